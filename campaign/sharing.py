"""Links by which a visitor spreads the word: plain addresses of other sites, with nothing loaded from them."""

import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote, urlencode


@dataclass(frozen=True)
class ShareLink:
    """A site's name and the address that opens its page for a new post."""

    name: str
    url: str


@lru_cache(maxsize=256)
def links(url: str, text: str, title: str) -> tuple[ShareLink, ...]:
    """Where to share the campaign at `url`, with the organiser's `text`; Mastodon is not here, see `mastodon_link`.

    Each is given the address with a word of its own, so that organisers see where the word was spread (sources.py).
    """

    def at(source: str) -> str:
        return f"{url}?ref={source}"

    def words(source: str) -> str:
        return f"{text} {at(source)}"

    # Formats: each site's own documentation of its share or compose page; quote, not plus, for mail (RFC 6068).
    return (
        ShareLink("Bluesky", "https://bsky.app/intent/compose?" + urlencode({"text": words("bluesky")})),
        ShareLink("X", "https://x.com/intent/post?" + urlencode({"text": text, "url": at("x")})),
        ShareLink("Facebook", "https://www.facebook.com/sharer/sharer.php?" + urlencode({"u": at("facebook")})),
        ShareLink("WhatsApp", "https://wa.me/?" + urlencode({"text": words("whatsapp")})),
        ShareLink("Telegram", "https://t.me/share/url?" + urlencode({"url": at("telegram"), "text": text})),
        ShareLink("Reddit", "https://www.reddit.com/submit?" + urlencode({"url": at("reddit"), "title": title})),
        ShareLink("LinkedIn", "https://www.linkedin.com/sharing/share-offsite/?" + urlencode({"url": at("linkedin")})),
        ShareLink("Email", "mailto:?" + urlencode({"subject": title, "body": words("email")}, quote_via=quote)),
    )


def mastodon_link(instance: str, url: str, text: str) -> ShareLink:
    """The share page of a Mastodon instance, whose name people type as they know it: a host, an address or a handle.

    Raises:
        ValueError: no host name can be read from `instance`.
    """
    host = instance.strip().lower().removeprefix("https://").removeprefix("http://").partition("/")[0]
    host = host.rpartition("@")[2]
    try:
        host = host.encode("idna").decode("ascii")
    except UnicodeError:
        raise ValueError(f"{instance!r} names no host") from None
    # RFC 1123 labels, two at least, and a last one that is no number.
    if len(host) > 253 or not re.fullmatch(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9]", host):
        raise ValueError(f"{instance!r} names no host")
    return ShareLink(host, f"https://{host}/share?" + urlencode({"text": f"{text} {url}?ref=mastodon"}))
