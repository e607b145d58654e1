"""Many cells: what names them, and how equal shapes train together."""
