"""Windows on their way from a dataset folder to a training step: divided, cut, ordered, shared."""
