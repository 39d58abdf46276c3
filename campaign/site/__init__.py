"""The public surface: what a visitor reads and sends. Pages are in views.py, machines.py has JSON and its like."""

from campaign.site import machines  # noqa: F401 (adds its routes)
from campaign.site.views import site

__all__ = ["site"]
