"""Share links: plain links to other sites' share pages. Nothing is loaded from those sites. And link previews."""

import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote, urlencode

from babel import Locale
from babel.core import get_global

from campaign.languages.speaking import LazyText, lazy_gettext
from campaign.models.campaign import Campaign
from campaign.text.bounded_text import normalized
from campaign.text.folding import without_ignorable

LONGEST_INSTANCE = 500
"""The most characters of a Mastodon server as typed. A host name has up to 253 (RFC 1035), a URL or handle more."""


@dataclass(frozen=True)
class ShareLink:
    """The name of a site, and the URL of its page for a new post."""

    name: str | LazyText
    url: str


def text_of(campaign: Campaign) -> str:
    """Return the text to share: the organizer's, or else the title."""
    return campaign.share_text or campaign.title


@lru_cache(maxsize=256)
def links(url: str, text: str, title: str) -> tuple[ShareLink, ...]:
    """Return links that share the campaign at `url` with a `text`. For Mastodon, see `mastodon_link`.

    Each link adds a source word to the campaign's URL, so that organizers see where signers came from (sources.py).
    """

    def link(source: str) -> str:
        return f"{url}?ref={source}"

    def text_with_link(source: str) -> str:
        return f"{text} {link(source)}"

    # The formats are from each site's documentation of its share or compose page. mailto: needs spaces as %20, not plus
    # (RFC 6068).
    return (
        ShareLink("Bluesky", "https://bsky.app/intent/compose?" + urlencode({"text": text_with_link("bluesky")})),
        ShareLink("X", "https://x.com/intent/post?" + urlencode({"text": text, "url": link("x")})),
        ShareLink("Facebook", "https://www.facebook.com/sharer/sharer.php?" + urlencode({"u": link("facebook")})),
        ShareLink("WhatsApp", "https://wa.me/?" + urlencode({"text": text_with_link("whatsapp")})),
        ShareLink("Telegram", "https://t.me/share/url?" + urlencode({"url": link("telegram"), "text": text})),
        ShareLink("Reddit", "https://www.reddit.com/submit?" + urlencode({"url": link("reddit"), "title": title})),
        ShareLink(
            "LinkedIn", "https://www.linkedin.com/sharing/share-offsite/?" + urlencode({"url": link("linkedin")})
        ),
        ShareLink(
            lazy_gettext("Email"),
            "mailto:?" + urlencode({"subject": title, "body": text_with_link("email")}, quote_via=quote),
        ),
    )


@lru_cache(maxsize=256)
def preview_locale(language: str) -> str:
    """Return the locale of a BCP 47 tag for link previews (Open Graph), such as "en_US" for "en".

    Open Graph needs a territory. If the tag names none, it is the one that CLDR considers likely. The result is empty
    for languages that belong to none, such as Esperanto.
    """
    locale = Locale.parse(language, sep="-")
    territory, likely = locale.territory, get_global("likely_subtags")
    # CLDR writes "001" for the world and "419" for Latin America, which aren't territories of Open Graph.
    if not territory or territory.isdecimal():
        full = likely.get(f"{locale.language}_{locale.script}") or likely.get(locale.language, "")
        territory = full.rpartition("_")[2]
    return f"{locale.language}_{territory}" if territory.isalpha() and len(territory) == 2 else ""


def mastodon_link(instance: str, url: str, text: str) -> ShareLink:
    """Return the link to a Mastodon server's share page. People can type a host name, a URL, or their handle.

    Raises:
        ValueError: `instance` contains no host name.
    """
    typed = normalized(instance, LONGEST_INSTANCE, "NFKC").replace("。", ".").lower()
    # Phones put a space after a period.
    host = re.sub(r"\s*([.@])\s*", r"\1", without_ignorable(typed)).strip(" .,;:!?()<>\"'")
    host = re.sub("^https?:/*", "", host).partition("/")[0].rpartition("@")[2].rstrip(".")
    try:
        host = host.encode("idna").decode("ascii")
    except UnicodeError:
        raise ValueError(f"{instance!r} names no host") from None
    # At least two labels as in RFC 1123, and the last one isn't a number.
    if len(host) > 253 or not re.fullmatch(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9]", host):
        raise ValueError(f"{instance!r} names no host")
    return ShareLink(host, f"https://{host}/share?" + urlencode({"text": f"{text} {url}?ref=mastodon"}))
