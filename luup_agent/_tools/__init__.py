"""Tools: the schemas of their arguments, their contexts, their results."""
