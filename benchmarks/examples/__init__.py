"""The examples that learn, trained at length by `wsdl train` and in PyTorch: `python -m benchmarks.examples PAGE…`."""
