"""Co-Mixup: masks of a group of outputs, chosen together."""
