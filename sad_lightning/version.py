"""The version of the package: a leaf, so that whoever names it imports nothing else."""

__version__ = "0.1.0"
NUMBERS_VERSION = 2  # raised only when equal settings give other numbers than before: results then have other keys
