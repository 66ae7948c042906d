"""Figures that a page or a decision quotes: `python -m benchmarks` measures them anew."""
