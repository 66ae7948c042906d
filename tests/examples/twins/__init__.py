"""The networks of `examples/` written a second time, in PyTorch, under the same parameter names."""
