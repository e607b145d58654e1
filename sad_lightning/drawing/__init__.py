"""What pages are drawn with: SVG, numbers as text, pictures."""
