"""Tables, figures and pages from records; computes nothing new."""
