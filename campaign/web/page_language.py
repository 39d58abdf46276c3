"""The language of each response, and what templates need to translate.

A page of a campaign is in the campaign's language, if there is a complete catalog for it (languages/catalogs.py), and
depends on nothing else. Pages that belong to no campaign, and errors, follow the Accept-Language header, and then the
setting SITE_LANGUAGE. The desk is in English.
"""

from flask import Flask, current_app, g, request
from flask.wrappers import Response
from markupsafe import Markup
from werkzeug.datastructures import LanguageAccept
from werkzeug.http import parse_accept_header
from werkzeug.routing import BaseConverter

from campaign.languages import catalogs, speaking
from campaign.settings import SettingError, Settings

LONGEST = 256
"""The most characters of Accept-Language that are read. Browsers send up to ten languages."""


class LanguageConverter(BaseConverter):
    """A language tag in a URL, such as es in /campaigns/save-the-park/es."""

    regex = catalogs.TAG


def init_app(app: Flask) -> None:
    """Let the app's templates translate. Each request begins and ends without a language."""
    app.url_map.converters["language"] = LanguageConverter
    app.jinja_env.add_extension("jinja2.ext.i18n")
    # In templates, Jinja puts the values into messages, and escapes them.
    functions = speaking.translated, speaking.translated_plural
    app.jinja_env.install_gettext_callables(*functions, newstyle=True)  # type: ignore[attr-defined]  # The extension adds it.
    # Macros see globals, but no context processor's variables.
    app.jinja_env.globals |= {"page_language": speaking.current, "in_language": in_language}
    app.before_request(_begin)
    app.teardown_request(_end)
    app.after_request(_vary)


def _begin() -> None:
    g.began = True
    speaking.forget()


def _end(_error: BaseException | None) -> None:
    # A preview at the desk is rendered in a request context of the site, without a request.
    if g.get("began"):
        speaking.forget()


def check(settings: Settings) -> None:
    """Check the setting SITE_LANGUAGE.

    Raises:
        SettingError: There is no complete catalog for the language.
    """
    if catalogs.offered(settings.site_language) is None:
        known = ", ".join(tag for tag in catalogs.tags() if catalogs.catalog(tag).is_offered)
        raise SettingError("SITE_LANGUAGE", f"must be a language that the site has a translation for: {known}")


def negotiate() -> None:
    """Choose the language that the visitor prefers, for a response that belongs to no campaign."""
    g.negotiated = True
    speaking.choose(preferred(request.headers.get("Accept-Language", ""), current_app.config["SETTINGS"]))


def preferred(accepted: str, settings: Settings) -> str:
    """Return the best language that we have for an Accept-Language header (RFC 9110, section 12.5.4)."""
    wanted = parse_accept_header(accepted[:LONGEST], LanguageAccept)
    found = (catalogs.offered(tag) for tag, quality in wanted if quality > 0)
    return next(filter(None, found), settings.site_language)


def _vary(response: Response) -> Response:
    if g.get("negotiated"):
        response.vary.add("Accept-Language")
    return response


def in_language(tag: str, around: str = "") -> Markup:
    """Return the attributes `lang` and `dir` of an element with text in a language.

    There are none if the element around it, by default the page, is in the same language.
    """
    if (around or speaking.current().tag).casefold() == tag.casefold():
        return Markup()
    return Markup(' lang="{}" dir="{}"').format(tag, speaking.direction(tag))
