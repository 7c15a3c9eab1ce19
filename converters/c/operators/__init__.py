"""What each operator becomes: one module a family, one function an operator, named as it is."""
