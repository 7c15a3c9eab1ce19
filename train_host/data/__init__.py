"""What `edgeml data` does with a dataset folder: fills, checks, divides, shows it, says what changed."""
