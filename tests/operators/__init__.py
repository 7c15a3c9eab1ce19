"""Operators as Hypothesis draws them: a module a family, as in converters/c/operators."""
