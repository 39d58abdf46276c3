"""How gunicorn serves the site: its worker class, and the deadlines of a connection.

Start with `worker_class.py`, which decides when a request gets a thread. `deadline_socket.py` has the buffers and
deadlines of a connection. gunicorn's settings and hooks are in `gunicorn.conf.py`.
"""
