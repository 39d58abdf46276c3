"""The desk: the organizers' pages. It is a Flask app of its own, because the public site has no sessions.

Start with `create_desk()`, then `access.py`: every view declares the right that it needs. `statistics.py`,
`deliveries.py`, `audit_log.py`, and `accounts.py` have the views of one subject each, and so have the subpackages
`campaigns/` for writing campaigns and `signatures/`. `uploads.py` limits bodies and files before a form is parsed.
`bounded_fields.py` limits the text that Flask-Security processes. Sign-in is in `sign_in/`.
"""

from urllib.parse import urlencode

from flask import Flask, Response, current_app, g, request
from flask.typing import ResponseReturnValue
from flask_wtf import CSRFProtect
from flask_wtf.csrf import CSRFError, generate_csrf
from werkzeug.exceptions import TooManyRequests, UnsupportedMediaType

from campaign.accounts.permissions import Right
from campaign.campaigns.letter.comparison import Comparer, with_context
from campaign.desk import access, accounts, audit_log, campaigns, deliveries, statistics, uploads
from campaign.desk.sign_in import events as sign_in_events
from campaign.desk.sign_in import second_factors, security, throttle
from campaign.desk.sign_in.settings import settings_of
from campaign.desk.signatures.views import signatures
from campaign.languages.speaking import lazy_gettext
from campaign.settings import ROOT, Settings
from campaign.storage.database import db, engine_options
from campaign.web import errors, formatting, page_language, request_checks, request_log, security_headers
from campaign.web.desk_mount import link_to_site
from campaign.web.errors import ErrorStyle, Words
from campaign.web.limits import body_limits, rate_limits

CONNECTIONS = 4
"""Database connections per process that are reserved for the desk, in addition to the public site's pool."""

TABS = [
    ("letter", "campaigns.edit", Right.WRITE),
    ("signatures", "signatures.table", Right.MODERATE),
    ("statistics", "figures.page", Right.FIGURES),
    ("downloads", "deliveries.page", Right.DELIVER),
    ("activity log", "records.of_campaign", Right.READ_RECORD),
]
"""The tabs of a campaign's pages: name, endpoint, and the right that each requires."""

_ERROR_STYLE = ErrorStyle(
    negotiates=False,
    page="desk/error.html",
    noticed=None,
    typing=frozenset({"campaigns.preview", "campaigns.preview_new", "campaigns.autosave", "campaigns.autosave_new"}),
    words={
        400: Words(
            lazy_gettext("Your request was incomplete"),
            lazy_gettext(
                "The page may have been open for too long, or you signed in again in the meantime. Go back, reload "
                "the page, and try again."
            ),
        ),
        403: Words(
            lazy_gettext("You don’t have permission"),
            lazy_gettext("Your account doesn’t have permission to do this. Ask an admin to change your role."),
        ),
        413: Words(
            lazy_gettext("Your form is too large"),
            lazy_gettext("Nothing was saved. Go back and shorten the text, or choose a picture of 25 MB or less."),
        ),
        415: Words(
            lazy_gettext("We can’t read this request"),
            lazy_gettext("The desk accepts only the forms on its own pages. Go back and use the form."),
        ),
        429: Words(
            lazy_gettext("Too many attempts"),
            lazy_gettext("There were too many attempts to sign in. Wait a while, then try again."),
        ),
    },
)

_STALE = Words(
    lazy_gettext("This page has expired"),
    lazy_gettext("The page was open for too long, or you signed in again in the meantime. Nothing has been saved yet."),
)
_STALE_PREVIEW = Words(
    lazy_gettext("The preview can’t be updated"),
    lazy_gettext(
        "The page was open for too long, or you signed in again in the meantime. What you typed is still here. Press "
        "Save, then press Try again on the next page."
    ),
)
_STALE_AUTOSAVE = Words(
    lazy_gettext("Your changes can’t be saved right now"),
    lazy_gettext(
        "The page was open for too long, or you signed in again in the meantime. What you typed is still here. Press "
        "Save, then press Try again on the next page."
    ),
)
"""Messages shown when the form's CSRF token has expired or belongs to another session."""

_PASSWORD_FORMS = {"accounts.accept", "accounts.first_passkey"}
"""Endpoints whose forms contain a password. Their error pages must not repeat the form."""


_BLUEPRINTS = (
    accounts.accounts,
    campaigns.campaigns,
    deliveries.deliveries,
    statistics.figures,
    audit_log.records,
    signatures,
)


def create_desk(site: Flask) -> Flask:
    """Return the desk app for a site."""
    settings: Settings = site.config["SETTINGS"]
    app = Flask(__name__, root_path=str(ROOT), instance_path=site.instance_path, static_folder=None)
    app.config.from_mapping(
        SETTINGS=settings,
        SECRET_KEY=settings.secret_key,
        SQLALCHEMY_DATABASE_URI=settings.database_url,
        SQLALCHEMY_ENGINE_OPTIONS=engine_options(settings.database_url, CONNECTIONS, for_requests=True),
        **settings_of(settings),
    )
    app.extensions["site"] = site
    body_limits.init_app(app)
    request_log.report_routes(app)
    db.init_app(app)
    app.before_request(lambda: request_checks.refuse_cross_site(request, settings))
    # These checks must run before CSRF protection and sign-in, which read the form.
    app.before_request(uploads.limit_body)
    app.before_request(_refuse_json)
    app.before_request(uploads.refuse_foreign_files)
    CSRFProtect(app)
    throttle.init_app(app, settings, site.extensions["shared"])
    security.init_app(app)
    sign_in_events.init_app(app)
    app.after_request(_finish)
    errors.init_app(app, _ERROR_STYLE)
    app.register_error_handler(rate_limits.RateLimitError, _limited)
    app.register_error_handler(CSRFError, _stale)
    link_to_site(app, site)
    app.context_processor(_template_context)
    formatting.init_app(app)
    page_language.init_app(app)
    for blueprint in _BLUEPRINTS:
        app.register_blueprint(blueprint)
    return app


def _template_context() -> dict[str, object]:
    """Return the names that every template of the desk can use."""
    return {
        "can": access.can,
        "Right": Right,
        "me": access.me,
        "is_signed_in": access.is_signed_in,
        "csrf_token": generate_csrf,
        "desk_tabs": TABS,
        "prop_next": _keep_next,
        # Each page gets a new comparer, because all comparisons on a page share one budget of steps.
        "difference": Comparer().difference,
        "with_context": with_context,
        "adding_first_passkey": second_factors.is_adding_first_passkey(),
    }


def _refuse_json() -> None:
    """Refuse JSON requests, which Flask-Security would accept in addition to forms."""
    if request.is_json:
        raise UnsupportedMediaType


def _limited(error: rate_limits.RateLimitError) -> ResponseReturnValue:
    return errors.answer(TooManyRequests(retry_after=error.seconds))


def _stale(error: CSRFError) -> ResponseReturnValue:
    """Return the error page for a stale CSRF token, with the submitted form so that it can be sent again.

    The form came from our own page: `refuse_cross_site` has already rejected all others.
    """
    preview_words = dict.fromkeys(("campaigns.preview_new", "campaigns.preview"), _STALE_PREVIEW)
    preview_words |= dict.fromkeys(("campaigns.autosave_new", "campaigns.autosave"), _STALE_AUTOSAVE)
    ours = request.blueprint not in (None, "security") and request.endpoint not in _PASSWORD_FORMS
    if ours and request.endpoint not in preview_words:
        g.keep_form = True
        return errors.answer(error, _STALE)
    return errors.answer(error, preview_words.get(request.endpoint or ""))


def _finish(response: Response) -> Response:
    """Forbid caching of the desk's pages, and allow `data:` images for the QR code of an authenticator app."""
    response.headers["Cache-Control"] = "no-store"
    security_headers.add_headers(response, current_app.config["SETTINGS"], images="'self' data:")
    return response


def _keep_next() -> str:
    """Return a query string that passes the `next` URL on to the next step of sign-in, or an empty string."""
    target = request.args.get("next") or request.form.get("next")
    return f"?{urlencode({'next': target})}" if target else ""
