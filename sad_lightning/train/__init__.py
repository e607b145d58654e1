"""The command that trains a cell, or a sweep of cells."""
