"""The report as one HTML page: one Jinja2 template per section."""
