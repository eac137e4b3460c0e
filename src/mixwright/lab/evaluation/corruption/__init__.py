"""Accuracy on corrupted images, after CIFAR-10-C, Tiny-ImageNet-C and ImageNet-C."""
