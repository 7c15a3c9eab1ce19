"""The training companion: from a dataset folder to a model that fits the device."""
