"""TFLite and C models out of trained ones, measured against the original."""
