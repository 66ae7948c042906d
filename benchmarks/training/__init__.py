"""A step of training against PyTorch's: `python -m benchmarks.training` (`--quick` for a first look)."""
