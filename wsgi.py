"""The one entry: what gunicorn and the flask command load."""

from campaign import create_app

app = create_app()
