"""How a classifier reacts to pixels: one by one, two at an offset, and in curvature."""
