"""WSDL: neural networks in which weight sharing is a first-class thing, compiled to ONNX."""
