"""Published networks for images in PyTorch, under the names of timm's weights; `make vision` compares them."""
