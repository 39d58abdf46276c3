"""The site without the desk, to measure what the desk costs the public pages."""

from campaign import create_app
from campaign.web import desk_mount

desk_mount.init_app = lambda app, load: None  # Never mounts or loads the desk.

app = create_app()
