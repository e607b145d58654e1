"""A figure a file; ``collection.py`` lists them."""
