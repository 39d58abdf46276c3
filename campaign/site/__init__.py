"""The public site: pages, the sign form, and views for machines.

Start with `views.py`. `responses.py` has what its views share. `sign_form.py` validates the sign form, `pages.py`
renders a campaign's page and its preview, and `machines.py` serves JSON, Atom, robots.txt, and the health checks. The
organizers' pages are in `desk/`.
"""

from campaign.site import machines  # noqa: F401 (registers its routes)
from campaign.site.views import site

__all__ = ["site"]
