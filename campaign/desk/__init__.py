"""The organisers' desk: an app of its own beside the public site, with sessions, which that has not."""

from urllib.parse import urlencode

from flask import Flask, Response, current_app, request
from flask.typing import ResponseReturnValue
from flask_wtf import CSRFProtect
from flask_wtf.csrf import CSRFError, generate_csrf
from werkzeug.exceptions import TooManyRequests, UnsupportedMediaType

from campaign import errors, formatting, guard, letter_changes, watch
from campaign.access import Right
from campaign.desk import accounts, campaigns, deliveries, door, figures, records, security, signatures, tries
from campaign.desk.security_settings import settings_of
from campaign.errors import Manner, Words
from campaign.extensions import db, engine_options
from campaign.mount import link_to_site
from campaign.settings import ROOT, Settings

CONNECTIONS = 4
"""Connections to the database that a process keeps for the desk, apart from those that signers have."""
MOST_BYTES = 6 * 1024 * 1024
"""The largest request body: a picture of 5 MB and the words around it."""

TABS = [
    ("letter", "campaigns.edit", Right.WRITE),
    ("signatures", "signatures.table", Right.MODERATE),
    ("figures", "figures.page", Right.FIGURES),
    ("deliveries", "deliveries.page", Right.DELIVER),
    ("record", "records.of_campaign", Right.READ_RECORD),
]
"""The pages of a campaign: name, endpoint, and what one must be allowed to."""

_MANNER = Manner(
    page="desk/error.html",
    noticed=None,
    typing=frozenset({"campaigns.preview", "campaigns.preview_new"}),
    words={
        400: Words(
            "That did not arrive whole",
            "The page may have been open for too long, or you have signed in again since. Please go back, load the "
            "page anew and try again.",
        ),
        403: Words("You may not do that", "Your account has not the right to it. An admin can change what you are."),
        413: Words("That was too much", "What was sent is larger than 6 MB. Please go back and choose a smaller file."),
        415: Words("That was no form", "Please use the desk’s own pages."),
        429: Words("Too many tries", "Somebody has tried to sign in too often. Please wait a while and try again."),
    },
)

_STALE = Words(
    "That page is too old",
    "It has been open for too long, or you have signed in again since. Nothing is saved yet.",
)
_STALE_PREVIEW = Words(
    "The preview can’t follow any more",
    "The page has been open for too long, or you have signed in again since. What you have typed is still here. Press "
    "Save, and send it again from the page that comes.",
)
"""What who writes a campaign is told of a token that is of another session, or too old."""


def create_desk(site: Flask) -> Flask:
    """Make the desk of a site."""
    settings: Settings = site.config["SETTINGS"]
    app = Flask(__name__, root_path=str(ROOT), instance_path=site.instance_path, static_folder=None)
    app.config.from_mapping(
        SETTINGS=settings,
        SECRET_KEY=settings.secret_key,
        MAX_CONTENT_LENGTH=MOST_BYTES,
        SQLALCHEMY_DATABASE_URI=settings.database_url,
        SQLALCHEMY_ENGINE_OPTIONS=engine_options(settings.database_url, CONNECTIONS),
        **settings_of(settings),
    )
    app.extensions["site"] = site
    watch.tell_routes(app)
    db.init_app(app)
    app.before_request(lambda: guard.refuse_cross_site(request))
    app.before_request(_refuse_json)
    CSRFProtect(app)
    tries.init_app(app, settings, site.extensions["shared"])
    security.init_app(app)
    app.after_request(_finish)
    errors.init_app(app, _MANNER)
    app.register_error_handler(guard.LimitedError, _limited)
    app.register_error_handler(CSRFError, _stale)
    link_to_site(app, site)
    app.context_processor(lambda: {"can": door.can, "Right": Right, "me": door.me, "csrf_token": generate_csrf})
    app.context_processor(lambda: {"desk_tabs": TABS, "prop_next": _keep_next, "difference": letter_changes.difference})
    app.context_processor(lambda: {"adding_first_passkey": security.is_adding_first_passkey()})
    formatting.init_app(app)
    blueprints = (
        accounts.accounts,
        campaigns.campaigns,
        deliveries.deliveries,
        figures.figures,
        records.records,
        signatures.signatures,
    )
    for blueprint in blueprints:
        app.register_blueprint(blueprint)
    return app


def _refuse_json() -> None:
    """Take forms only; Flask-Security would take JSON as well."""
    if request.is_json:
        raise UnsupportedMediaType


def _limited(error: guard.LimitedError) -> ResponseReturnValue:
    return errors.answer(TooManyRequests(retry_after=error.seconds))


def _stale(error: CSRFError) -> ResponseReturnValue:
    """Lead nobody who writes a campaign away from it, for what was typed would be gone; it is no other site's."""
    told = {
        "campaigns.new": _STALE,
        "campaigns.edit": _STALE,
        "campaigns.preview_new": _STALE_PREVIEW,
        "campaigns.preview": _STALE_PREVIEW,
    }
    return errors.answer(error, told.get(request.endpoint or ""))


def _finish(response: Response) -> Response:
    """Nothing of the desk is kept by anybody, and its pages may show the picture of a second factor's code."""
    response.headers["Cache-Control"] = "no-store"
    guard.add_headers(response, current_app.config["SETTINGS"], images="'self' data:")
    return response


def _keep_next() -> str:
    """The part of an address by which sign-in remembers, from page to page, where somebody wanted to go."""
    wanted = request.args.get("next") or request.form.get("next")
    return f"?{urlencode({'next': wanted})}" if wanted else ""
