"""What pages are made with: SVG, numbers and tables as text, pixels, HTML templates."""
