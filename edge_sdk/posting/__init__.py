"""The HTTP server that devices post their readings to."""
