"""The public site: pages, the sign form, and views for machines.

Start with `views.py`. `responses.py` has what its views share. `sign_form.py` validates the sign form and the other
forms of signers, `pages.py` renders a campaign's page and its preview, and `machines.py` serves JSON, Atom, robots.txt,
and the health checks. `confirming.py` and `my_signature.py` are the pages that messages to signers link to. The
organizers' pages are in `desk/`.
"""

from campaign.site import confirming, machines, my_signature, views  # noqa: F401 (they register their routes)
from campaign.site.blueprint import site

__all__ = ["site"]
