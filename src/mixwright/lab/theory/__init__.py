"""Why mixing helps, in numbers: second moments of masks, and what they explain of the loss."""
