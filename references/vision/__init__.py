"""Published networks for images in PyTorch, under the names of timm's weights.

`references/vision/check.py` compares them with timm and torchvision.
"""
