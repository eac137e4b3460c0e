"""PuzzleMix: which image each block shows, and where its blocks are moved to."""
