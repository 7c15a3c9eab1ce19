"""How good a model is, how far that can be believed, and whether it is better than another."""
