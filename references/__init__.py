"""The networks of the examples in PyTorch: tests compare with them, benchmarks measure beside them."""
