"""The pytest plugin: a test file written once runs on every target."""
