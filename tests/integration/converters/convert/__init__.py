"""`edgeml convert` on one real trained model. A package, so that the model and its processes end with it."""
