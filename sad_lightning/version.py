"""The version of the package: a leaf, so that whoever names it imports nothing else."""

__version__ = "0.1.0"
