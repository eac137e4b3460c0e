"""Published tables and figures as data: what was done, what was printed, and how to run it here."""
