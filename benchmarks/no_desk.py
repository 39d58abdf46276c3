"""The site without the desk's place in it, to compare with."""

from campaign import create_app, mount

mount.init_app = lambda app, load: None  # The desk is never loaded.

app = create_app()
