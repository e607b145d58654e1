"""The report as one HTML page: a template a section, drawn by Jinja2."""
