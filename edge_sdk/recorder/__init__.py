"""Recording: sensors into a dataset folder, with labels from keys, a cue sheet or the command line."""
