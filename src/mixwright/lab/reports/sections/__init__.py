"""One file for each evaluation: from what was found to tables and figures. Computes nothing new."""
