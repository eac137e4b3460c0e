"""Mixed-sample data augmentation for PyTorch."""
