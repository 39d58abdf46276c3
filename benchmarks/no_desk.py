"""The site without the desk's place in it, to compare with."""

from campaign import create_app, mount

mount.init_app = lambda _app, _load: None

app = create_app()
