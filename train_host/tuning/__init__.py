"""A search for the model that is good enough and small enough."""
