"""Images made wrong on purpose: one step, many steps, and what a paper's code does instead."""
