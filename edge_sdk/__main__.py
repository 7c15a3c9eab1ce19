"""``python -m edge_sdk`` is ``edgeml``."""

from edge_sdk.cli import main

main()
