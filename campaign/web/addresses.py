"""Corrects public addresses that are almost right, such as `/campaigns/save-the-park).` in a message.

Messengers link the punctuation after an address, mail programs encode it once too often, and people type capitals and
slashes. If the site has no page at such an address, but the public campaign that was meant exists, the visitor is
redirected there. The redirect keeps the query, which may contain the source (signatures/sources.py).

A target always begins with `/campaigns/` and a slug from the database, so nobody can redirect visitors to another site.
It is never the address that was requested, so there are no loops.
"""

import re
import unicodedata
from collections.abc import Iterator
from urllib.parse import quote, unquote

from flask import Flask, Response, current_app, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import NotFound

from campaign.campaigns import lookup
from campaign.campaigns.field_checks import SLUG_LENGTH
from campaign.languages import catalogs
from campaign.models.campaign import Campaign
from campaign.storage.database import STORAGE_ERRORS
from campaign.text.bounded_text import RefusedTextError, normalized
from campaign.web import errors

LONGEST = 1000
"""The most characters of a path that is corrected. A slug has up to 80, and a whole query may follow it by mistake."""

# Hyphens that word processors and keyboards insert. An underscore may stand for a hyphen, or for emphasis in a
# messenger. The letters ı and ſ are lowercase letters of I and S.
_TYPED = str.maketrans("‐‒–—―⁃−_\\ıſ", "--------/is")
_SOFT_LINE_BREAK = re.compile(r"=\s+")
"""A line break within a word in quoted-printable text (RFC 2045)."""
_END = re.compile(r"&(?:lt|gt|quot|apos|nbsp|#\d{1,5});|#")
"""An escaped character of HTML, or a fragment, which ends the address."""

_SLUG = r"(?P<slug>[a-z0-9][a-z0-9-]*)(?P<rest>.*)"
_UNDER_CAMPAIGNS = re.compile(rf"/*+campaigns?/++[^a-z0-9/]*+{_SLUG}", re.IGNORECASE | re.DOTALL)
_AT_ROOT = re.compile(rf"/++[^a-z0-9/.]*+{_SLUG}", re.IGNORECASE | re.DOTALL)
# Scanners look for weaknesses at many addresses with file names or folders. Looking these up would only cost time.
_FILE_OR_FOLDER = re.compile(r"\.(?!html?\b)[a-z0-9]|/+[a-z0-9.]", re.IGNORECASE)
_VIEW = re.compile(
    rf"(?:/+(?P<tag>{catalogs.TAG})(?![\w-]))?(?P<view>\.(?:json|atom)|(?:/+[a-z]+(?:-[a-z]+)*)*)", re.IGNORECASE
)
_SITE_PAGE = re.compile(r"/+(?:index\.html?|(?P<page>privacy)(?:\.html?)?)?\W*", re.IGNORECASE)
"""The home page, or the page about privacy."""


def init_app(app: Flask) -> None:
    """Correct addresses of the site for which it has no page."""
    # Werkzeug would redirect to addresses of no page, and caches may store its redirects.
    app.url_map.merge_slashes = False
    app.before_request(_correct_slashes)
    app.register_error_handler(NotFound, _correct_or_404)


def with_query(path: str, query: str = "") -> str:
    """Return a path with a query: `query`, and then that of the request."""
    queries = "&".join(filter(None, (query, request.query_string.decode("ascii", "replace"))))
    return f"{path}?{queries}" if queries else path


def moved(path: str, query: str = "") -> Response:
    """Return a redirect to a path of the site, with this query and that of the request.

    It also keeps the method and the form of a POST request.
    """
    target = with_query(path, query)
    answer = Response(status=308, headers={"Location": target})
    if "?" not in target:
        # For nginx only, which must read it before Cache-Control. It lets requests for one address wait for one another
        # (proxy_cache_lock), for up to five seconds if it may not cache the response.
        answer.headers["X-Accel-Expires"] = "1"
    # Don't cache: the campaign may get its former slug back, and the query belongs to one visitor.
    answer.cache_control.no_cache = True
    return answer


def split(path: str) -> tuple[str, str]:
    """Return the readable address in a decoded path, in ASCII where possible, and a query that became part of the path.

    The address is empty if the path is too long. The query is percent-encoded.
    """
    if len(path) > LONGEST:
        return "", ""
    try:
        plain = normalized(unquote(path), LONGEST, "NFKD")
    except RefusedTextError:
        return "", ""
    # Leave out accents and invisible characters.
    visible = "".join(c for c in plain if unicodedata.category(c) not in ("Mn", "Cf"))
    whole = _END.split(_SOFT_LINE_BREAK.sub("", visible), maxsplit=1)[0]
    address, query = [*re.split("[?&]", whole, maxsplit=1), ""][:2]
    # A query has no white space, so what follows it is not part of the address.
    query = [*query.split(maxsplit=1), ""][0].replace("&amp;", "&").removeprefix("amp;").replace("=3D", "=")
    return address.translate(_TYPED), quote(query, safe="=&+/:;,@!*()'~")


def guesses(address: str) -> Iterator[tuple[str, str, str]]:
    """Yield the slug, the language tag, and the rest of the path, such as "/thanks", that a visitor may have meant.

    There are two guesses at most. The campaign, the translation, and the view may not exist.
    """
    slugs = set()
    # White space is a line break within the address, or comes before text that doesn't belong to it.
    for each in (re.sub(r"\s", "", address), address):
        found = _UNDER_CAMPAIGNS.match(each) or _AT_ROOT.fullmatch(each)
        if not found or (found.re is _AT_ROOT and _FILE_OR_FOLDER.match(found["rest"])):
            continue
        slug = re.sub("--+", "-", found["slug"].lower()).strip("-")
        view = _VIEW.match(found["rest"])
        assert view  # noqa: S101 (the pattern matches every text)
        if len(slug) <= SLUG_LENGTH and slug not in slugs:
            slugs.add(slug)
            yield slug, view["tag"] or "", re.sub("//+", "/", view["view"].lower())


def _correction() -> Response | None:
    """Return a redirect to the page that the visitor meant, or None if there is none."""
    asked = request.environ["PATH_INFO"].encode("latin-1", "replace").decode("utf-8", "replace")
    address, query = split(asked)
    pages = current_app.create_url_adapter(request)
    if pages is None or not address:
        return None
    if (found := _SITE_PAGE.fullmatch(address)) and pages.test(
        path := f"/{(found['page'] or '').lower()}", request.method
    ):
        return moved(path, query) if path != asked else None
    for slug, tag, view in guesses(address):
        views = (end for end in (view, "") if pages.test(f"/campaigns/{slug}{end}", request.method))
        end = next(views, None)
        if end is not None and (campaign := _public(slug, tag)):
            # Words of three letters, such as "now", are rarely meant as a language.
            is_tag = len(tag) != 3 or catalogs.usual_tag(tag)
            if tag and is_tag and not campaign.tag and asked == f"/campaigns/{slug}/{tag}{view}":
                # The address is right, but there is no such translation.
                return None
            path = f"/campaigns/{campaign.slug}{f'/{campaign.tag}' if campaign.tag else ''}{end}"
            return moved(path, query) if path != asked else None
    return None


def _public(slug: str, tag: str) -> Campaign | None:
    """Return the public campaign in a language, or in its main language."""
    return (lookup.find_public(slug, tag) if tag else None) or lookup.find_public(slug)


def _correct_slashes() -> Response | None:
    """Correct slashes at the beginning, which Flask ignores: the response cache has only `/campaigns/…`."""
    return _correction() if request.environ["PATH_INFO"].startswith("//") else None


def _correct_or_404(error: NotFound) -> ResponseReturnValue:
    try:
        return _correction() or errors.answer(error)
    except STORAGE_ERRORS as fault:
        return errors.handle_storage_error(fault)
