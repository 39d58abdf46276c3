"""Web addresses as people type and paste them, such as www.example.org/donate.

A link without a scheme would lead to a page of our own site that doesn't exist. So every link that an organizer writes
is completed here, or refused.
"""

import re
from collections.abc import Callable
from urllib.parse import urlsplit

from campaign.text.bounded_text import quoted

URL_LENGTH = 2000
"""The most characters of a URL. Browsers and mail programs handle URLs of this length."""

_INVISIBLE = dict.fromkeys(map(ord, "\u00ad\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\ufeff"))
# "https:/", "https:", and "https:///" are typing errors, which browsers would read as a path of our own site.
_WEB = re.compile(r"(https?):[/\\]*", re.IGNORECASE)
# A scheme such as mailto: or javascript:. What has a dot is a host with a port, as in example.org:8080.
_SCHEME = re.compile(r"[a-z][a-z0-9+-]*:(?!\d+(?:[/?#]|$))", re.IGNORECASE)
# Two labels or more, the last of which has letters only, or is in Punycode. Letters may be of any script.
_HOST = re.compile(r"(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.)+(?:[^\W\d_]{2,63}|xn--[a-z0-9-]{2,59})\.?", re.IGNORECASE)
# Endings of files that are no top-level domains, so that index.html is not taken for a host.
_FILE = re.compile(r"\.(?:html?|php|aspx?|jsp|pdf|docx?|xlsx?|txt|jpe?g|png|gif|webp|svg)", re.IGNORECASE)
_MAIL = re.compile(r"(?:mailto:)?([^\s@/?#:]{1,64}@([^\s@/?#:]+)(?:\?\S*)?)", re.IGNORECASE)


def completed(typed: str, *, mail: bool = False) -> str:
    """Return the absolute URL that a person means, with https:// in front of an address without a scheme.

    Args:
        typed: The address as typed or pasted. It may be in angle brackets, as in mails.
        mail: Whether an email address is allowed, too. It becomes a mailto: URL.

    Raises:
        ValueError: The text is no web address. The message is a full sentence that says what to do.
    """
    if len(typed) > URL_LENGTH:
        raise ValueError(f"Enter a web address of {URL_LENGTH:,} characters or fewer, not of {len(typed):,}")
    url = typed.strip().translate(_INVISIBLE).strip().removeprefix("<").removesuffix(">").strip()
    if mail and (found := _MAIL.fullmatch(url)) and _HOST.fullmatch(found[2].partition("?")[0]):
        return f"mailto:{found[1]}"
    if web := _WEB.match(url):
        url = f"{web[1].lower()}://{url[web.end() :]}"
        is_host: Callable[[str], bool] = _is_short
    elif _SCHEME.match(url):
        raise _refused(typed)
    else:
        url, is_host = f"https://{url.removeprefix('//')}", _is_host
    if re.search(r"[\s\\<>\"\x00-\x20\x7f]", url):
        raise _refused(typed)
    try:
        parts = urlsplit(url)
        # Reading the port checks it. A name before the host is a trick of phishing, or an email address.
        if parts.port == 0 or "@" in parts.netloc or not is_host(parts.hostname or ""):
            raise _refused(typed)
    except ValueError:
        raise _refused(typed) from None
    return url


def _is_short(name: str) -> bool:
    """Return whether a host can have this name (RFC 1035). Programs encode the name of a host in quadratic time."""
    return 0 < len(name) <= 253


def _is_host(name: str) -> bool:
    """Return whether a name without a scheme is a public host name, and not a word, a number, or a file."""
    return _is_short(name) and bool(_HOST.fullmatch(name)) and not _FILE.search(name, max(len(name) - 5, 0))


def _refused(typed: str) -> ValueError:
    return ValueError(f"Enter a full web address, like https://example.org/donate, instead of {quoted(typed)}")
