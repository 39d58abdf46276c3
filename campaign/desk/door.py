"""The desk's door: every view says what one must be allowed to, and gets its campaign from here."""

from collections.abc import Callable
from functools import wraps
from typing import Any, cast

from flask import abort, current_app, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_security import current_user

from campaign import access, campaigns, record
from campaign.access import Right
from campaign.desk_models import Account
from campaign.extensions import db
from campaign.models import Campaign

View = Callable[..., ResponseReturnValue]


def me() -> Account:
    """Who is signed in; to be asked behind `allow`."""
    return cast(Account, current_user._get_current_object())


def by() -> record.Actor:
    """The same, as one who does something."""
    return record.actor(me())


def allow(right: Right | None, *, live: bool = False) -> Callable[[View], View]:
    """Let into a view only those who have the right; None: everybody who is signed in.

    A `slug` in its address arrives as `campaign`, which they must have to do with. `live` is a view that an open page
    asks for by itself: it keeps nobody signed in.
    """

    def dress(view: View) -> View:
        @wraps(view)
        def guarded(*, slug: str | None = None, **kwargs: Any) -> ResponseReturnValue:
            if not current_user.is_authenticated:
                return _sign_in_first()
            if right and not access.may(me(), right):
                abort(403)
            if slug is not None:
                kwargs["campaign"] = _find(slug, right)
            return view(**kwargs)

        guarded.allowed = right  # type: ignore[attr-defined]
        guarded.live = live  # type: ignore[attr-defined]
        return guarded

    return dress


def _find(slug: str, right: Right | None) -> Campaign:
    # Under its former slug too: somebody may have the form open while another changes it.
    campaign = campaigns.find_by_any_slug(db.session(), slug) or abort(404)
    if right and not access.may_with(db.session(), me(), right, campaign):
        abort(403)
    return campaign


def _sign_in_first() -> ResponseReturnValue:
    """To the page for it, and back; what was typed waits for it, where it stands or in a form of its own."""
    if request.headers.get("HX-Request") == "true":
        typing = request.endpoint in current_app.extensions["errors"].typing
        above = {} if typing else {"HX-Retarget": "#notice", "HX-Reswap": "innerHTML"}
        return render_template("desk/_signed_out.html", typing=typing), 401, above
    if request.method == "POST":
        return render_template("desk/signed_out.html", fields=request.form.items(multi=True)), 401
    return redirect(url_for("security.login", next=request.root_path + request.full_path.rstrip("?")))


def can(right: Right, campaign: Campaign | None = None) -> bool:
    """Whether who is signed in may do that, with that campaign; for templates."""
    if not current_user.is_authenticated:
        return False
    if campaign is None or campaign.id is None:
        return access.may(me(), right)
    return access.may_with(db.session(), me(), right, campaign)


def notice(text: str) -> None:
    """Say something on the next page."""
    flash(text, "success")
