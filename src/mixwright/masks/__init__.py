"""Pure functions that make masks: numbers in, masks out, no generator."""
