"""How gunicorn serves the site; read by itself when gunicorn starts in this folder."""

from typing import Any

from campaign.settings import Settings

settings = Settings.from_environ()

wsgi_app = "wsgi:app"
bind = settings.bind
workers = settings.web_concurrency
# Threads, so that a slow phone holds up nobody else. Few, for they share one interpreter.
worker_class = "gthread"
threads = 4
# Nobody needs its notes on starting and stopping; what goes wrong is still written.
loglevel = "warning"
# We don't steer a running gunicorn by its socket, which it would put into the home folder.
control_socket_disable = True


def when_ready(_server: Any) -> None:
    """Say where the site is."""
    print(f"{settings.site_name} is at http://{settings.bind} (stop it with Ctrl+C)", flush=True)
