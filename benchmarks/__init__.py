"""Speed and memory of edgeml as ratios, measured side by side in one run: ``make bench``."""
