"""Parts of pages: SVG figures, numbers and tables as text, images, HTML templates."""
