"""The app that gunicorn and the flask command load."""

from campaign import create_app

app = create_app()
