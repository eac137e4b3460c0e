"""Where images come from: one file a data set or a way of storing them, each asked by its name."""
