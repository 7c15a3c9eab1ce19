"""Places where a model runs, one a file; ``host:`` is this machine."""
