"""A model on a microcontroller, reached over serial, and the same tests on every target."""
