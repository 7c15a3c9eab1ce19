"""A model learns: the loop, its checkpoints, its pace, and the devices that it runs on."""
