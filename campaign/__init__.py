"""Campaign, a petition site. `create_app()` creates the Flask app and connects its parts."""

from flask import Flask, request

from campaign.cli import commands
from campaign.monitoring import logging_setup
from campaign.settings import ROOT, Settings
from campaign.site import site
from campaign.storage.database import db, engine_options, is_command, replica_binds
from campaign.storage.redis import SharedRedis
from campaign.web import (
    addresses,
    desk_mount,
    errors,
    formatting,
    page_language,
    request_checks,
    request_log,
    security_headers,
    static_files,
)
from campaign.web.hosts import ClientAddress, HostCheck
from campaign.web.limits import body_limits, rate_limits
from campaign.web.limits.header_limits import HeaderLimits
from campaign.web.response_cache import ResponseCache, edition
from campaign.worker import command as worker_command

CODE_ATTEMPTS = "30 per minute, 200 per hour"
"""How often one IPv4 address or IPv6 /64 network may send a code that confirms a signature."""


def create_app(settings: Settings | None = None) -> Flask:
    """Create the site's Flask app with these settings, or with settings from the environment.

    Raises:
        SettingError: A setting in the environment is invalid.
    """
    settings = settings or Settings.from_environ()
    page_language.check(settings)
    logging_setup.set_up()
    shared = SharedRedis(settings)
    app = Flask(
        __name__,
        root_path=str(ROOT),
        instance_path=str(settings.instance),
    )
    app.config.from_mapping(
        SETTINGS=settings,
        SECRET_KEY=settings.secret_key,
        SQLALCHEMY_DATABASE_URI=settings.database_url,
        SQLALCHEMY_ENGINE_OPTIONS=engine_options(settings.database_url, for_requests=not is_command()),
        SQLALCHEMY_BINDS=replica_binds(settings.database_read_url),
    )
    body_limits.init_app(app)
    app.session_interface = request_checks.NoSessions()
    app.extensions["shared"] = shared
    app.extensions["sign_limit"] = rate_limits.RateLimit(settings, shared, settings.ratelimit_sign)
    app.extensions["code_limit"] = rate_limits.RateLimit(settings, shared, CODE_ATTEMPTS)
    desk_mount.init_app(app, _load_desk)
    _add_middleware(app, settings, shared)
    db.init_app(app)
    static_files.compress.init_app(app)
    app.before_request(lambda: request_checks.refuse_cross_site(request, settings))
    app.before_request(lambda: body_limits.refuse_large_body(request))
    app.after_request(lambda response: security_headers.add_headers(response, settings))
    errors.init_app(app)
    addresses.init_app(app)
    formatting.init_app(app)
    page_language.init_app(app)
    static_files.init_app(app)
    app.register_blueprint(site)
    commands.init_app(app)
    worker_command.init_app(app)
    return app


def _add_middleware(app: Flask, settings: Settings, shared: SharedRedis) -> None:
    """Wrap the site and the desk in WSGI middleware. The middleware added last handles a request first."""
    inner = ResponseCache(HeaderLimits(app.wsgi_app), shared, edition(settings), settings.site_url)
    outer = HostCheck(inner, settings, errors.wsgi_error(400, errors.OTHER_HOST, settings))
    app.wsgi_app = ClientAddress(outer, settings.trusted_proxies) if settings.trusted_proxies else outer  # type: ignore[method-assign]
    broken = errors.wsgi_error(500, errors.WORDS[500], settings)
    request_log.init_app(app, trust_proxy=settings.trusted_proxies > 0, broken=broken)


def _load_desk(site: Flask) -> Flask:
    from campaign.desk import create_desk

    return create_desk(site)
