"""One file per kind of figure; ``collection.py`` calls them all."""
