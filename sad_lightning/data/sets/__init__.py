"""The data sets that ship with the package, each a function that returns ``Arrays``."""
