"""Grids of runs: what is compared, carried out, and put on record."""
