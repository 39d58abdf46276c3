"""Access checks: every view of the desk declares the right that it requires.

`allow` checks the right, and finds the campaign that the URL names.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, cast

from flask import abort, current_app, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_security import check_and_update_authn_fresh, current_user

from campaign.accounts import audit_log, permissions
from campaign.accounts.permissions import Right
from campaign.campaigns import lookup
from campaign.desk.sign_in.settings import FRESH, GRACE
from campaign.models.account import Account
from campaign.models.campaign import Campaign
from campaign.storage.database import STORAGE_ERRORS, db

View = Callable[..., ResponseReturnValue]


def me() -> Account:
    """Return the account that is signed in. Call this only in views that `allow` guards."""
    return cast(Account, current_user._get_current_object())


def by() -> audit_log.Actor:
    """Return the account that is signed in as an actor for the audit log."""
    return audit_log.actor(me())


def allow(
    right: Right | None, *, live: bool = False, fresh: bool = False, translated: bool = True
) -> Callable[[View], View]:
    """Return a decorator that lets only accounts with a right use a view.

    A `slug` in the URL is passed to the view as `campaign`; the account must have access to that campaign.

    Args:
        right: The right that the view requires; None for every account that is signed in.
        live: Whether an open page polls the view. Such requests do not extend the session.
        fresh: Whether the view requires a password entered in the last half hour, because it creates or closes
            accounts.
        translated: Whether the view needs the campaign's translations.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(*, slug: str | None = None, **kwargs: Any) -> ResponseReturnValue:
            if not current_user.is_authenticated:
                return _sign_in_first()
            if right and not permissions.may(me(), right):
                abort(403)
            if fresh and not check_and_update_authn_fresh(FRESH, GRACE, "session"):
                return _password_first()
            if slug is not None:
                kwargs["campaign"] = _find(slug, right, translated=translated)
            return view(**kwargs)

        guarded.allowed = right  # type: ignore[attr-defined]
        guarded.live = live  # type: ignore[attr-defined]
        return guarded

    return decorate


def _find(slug: str, right: Right | None, *, translated: bool) -> Campaign:
    # Accept former slugs too: another editor may change the slug while a form is open.
    campaign = lookup.find_by_any_slug(db.session(), slug, translated=translated) or abort(404)
    if right and not permissions.may_with(db.session(), me(), right, campaign):
        # Answer 404, because 403 would reveal that a draft exists. Published campaigns get the same answer, so that
        # nobody learns when a draft is published.
        abort(404)
    return campaign


def _sign_in_first() -> ResponseReturnValue:
    """Redirect to the sign-in page, which returns to the requested page.

    A POST instead gets a page that holds the submitted form until the user has signed in. An HTMX request gets a
    notice, and what was typed stays on the page.
    """
    if request.headers.get("HX-Request") == "true":
        typing = request.endpoint in current_app.extensions["errors"].typing
        headers = {} if typing else {"HX-Retarget": "#notice", "HX-Reswap": "innerHTML"}
        return render_template("desk/sign_in/_signed_out.html", typing=typing), 401, headers
    if request.method == "POST":
        return render_template("desk/sign_in/signed_out.html", fields=request.form.items(multi=True)), 401
    return redirect(url_for("security.login", next=request.root_path + request.full_path.rstrip("?")))


def _password_first() -> ResponseReturnValue:
    """Ask for the password, then return to the requested page; hold a submitted form as `_sign_in_first` does."""
    if request.method == "POST":
        fields = request.form.items(multi=True)
        return render_template("desk/sign_in/signed_out.html", fields=fields, password_only=True), 401
    return redirect(url_for("security.verify", next=request.root_path + request.full_path.rstrip("?")))


def can(right: Right, campaign: Campaign | None = None) -> bool:
    """Return whether the signed-in account has a right, for this campaign if given. Templates call this."""
    if not current_user.is_authenticated:
        return False
    if campaign is None or campaign.id is None:
        return permissions.may(me(), right)
    return permissions.may_with(db.session(), me(), right, campaign)


def is_signed_in() -> bool:
    """Return whether a user is signed in; False if the database can't be read. Error pages call this."""
    try:
        return bool(current_user.is_authenticated)
    except STORAGE_ERRORS:
        return False


def notice(text: str, kind: str = "success") -> None:
    """Show a message on the next page; `kind` is success or error."""
    flash(text, kind)
