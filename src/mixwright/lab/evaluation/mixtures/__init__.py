"""What a mixer gives: how different its mixtures are, and how true to what was asked."""
