"""Campaign: petitions that are read, signed and watched as they grow. `create_app()` puts the parts together."""

from flask import Flask, request
from werkzeug.middleware.proxy_fix import ProxyFix

from campaign import commands, errors, formatting, guard, logs, mount, static, watch
from campaign.extensions import compress, db, engine_options, replica_binds
from campaign.kept import Kept
from campaign.settings import ROOT, Settings
from campaign.shared import Shared, edition
from campaign.site import site


def create_app(settings: Settings | None = None) -> Flask:
    """Make the site of these settings, or of those in the environment.

    Raises:
        SettingError: a setting in the environment is wrong.
    """
    settings = settings or Settings.from_environ()
    logs.set_up()
    shared = Shared(settings)
    app = Flask(
        __name__,
        root_path=str(ROOT),
        instance_path=str(settings.instance),
    )
    app.config.from_mapping(
        SETTINGS=settings,
        SECRET_KEY=settings.secret_key,
        MAX_CONTENT_LENGTH=guard.MOST_BYTES,
        SQLALCHEMY_DATABASE_URI=settings.database_url,
        SQLALCHEMY_ENGINE_OPTIONS=engine_options(settings.database_url),
        SQLALCHEMY_BINDS=replica_binds(settings.database_read_url),
    )
    app.session_interface = guard.NoSessions()
    app.extensions["shared"] = shared
    app.extensions["sign_limit"] = guard.Limit(settings, shared, settings.ratelimit_sign)
    mount.init_app(app, _load_desk)
    app.wsgi_app = Kept(app.wsgi_app, shared, edition(settings))  # type: ignore[method-assign]
    if settings.trusted_proxies:
        hops = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]
    watch.init_app(app, trust_proxy=settings.trusted_proxies > 0)
    db.init_app(app)
    compress.init_app(app)
    app.before_request(lambda: guard.refuse_cross_site(request))
    app.after_request(lambda response: guard.add_headers(response, settings))
    errors.init_app(app)
    formatting.init_app(app)
    static.init_app(app)
    app.register_blueprint(site)
    commands.init_app(app)
    return app


def _load_desk(site: Flask) -> Flask:
    from campaign.desk import create_desk

    return create_desk(site)
