"""From run folders to where people watch curves: TensorBoard, and one tidy table."""
