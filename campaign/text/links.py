"""Links in names and places: which text is refused as a link, and which text a moderator should look at.

A link has a scheme, `www.`, or a path, or it looks like a host name as people type one. Names with a dot, such as J.de
Vries, K.Dev, or Dr.Ly, look like host names only to a program. In doubt, `contains_link` takes a text for a name, and
`may_contain_link` points it out to moderators.
"""

import re

from campaign.text.bounded_text import MOST_TYPED, RefusedTextError, check, normalized
from campaign.text.email_address import EMAIL_LENGTH
from campaign.text.folding import without_ignorable


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_NEVER_NAMES = _words(
    "com net org info biz xyz online website shop store site icu casino cfd sbs click club "
    "рф рус бел укр сайт онлайн москва қаз срб мкд бг мон ελ ευ გე հայ 中国 中國 公司 网址 网络 在线 商城 香港 台湾 "
    "台灣 コム みんな 닷컴 닷넷 한국 भारत ไทย كوم شبكة موقع ایران مصر السعودية امارات المغرب قطر קום ישראל"
)
"""Top-level domains that are nobody's name: a link in lowercase and uppercase, even after a single letter."""
_RARELY_NAMES = _words(
    "bg br by ca cc ch cl cn cz dk ee eu fm fr gg gl gr hk hr ie il io ir jp ke kr kz lt lv mx nl nu nz pk pl pw ro rs "
    "ru sk th tk tr tv tw ua uk us uz vn ws za"
)
"""Top-level domains that are a link unless capitalized as in Wang.Ru, or after an initial or a title."""
_OFTEN_NAMES = _words(
    "ai al am app at au be bet co de dev es fi fun ge hu id in is it la li link live loan lu ly ma me my ng no page pe "
    "ph pro pt se sh si so space st su to top vip wiki win work world"
)
"""Top-level domains that are also names or parts of names: a link only in a host name that is all lowercase."""
_DOMAINS = _NEVER_NAMES | _RARELY_NAMES | _OFTEN_NAMES
_PARTICLES = _words("al am at be de es in is it la li ma no st to")
"""Those that stand before a surname or the second part of a place: "rio.de janeiro", "j.in 't veld"."""
_TITLES = _words(
    "adv arch avv br capt col dipl dott dr dra drs eng fr frl ft gen hon hr ing ir jr lic lt ma mag maj mgr mlle mme "
    "mr mrs ms msgr mt pr prof pt rev sen sgt sig smt sr sra srta sta ste sto st "
    # First names that are abbreviated.
    "abd alex ant chas chr fco fred geo gpe jas joh jos md mohd muh phil rob sam theo thos wm"
)
"""Abbreviations before a name. A text such as "dr.ly" is a name."""

_EVIDENT = re.compile(
    r"@|://|\bwww\d?\s*\.|\b(?:https?|hxxps?|ftp|mailto|javascript)\s*:"
    # Disguised dots: "evil dot com", "evil [.] com", "evil . com", "evil,com".
    r"|\w\s*[\[({<]\s*(?:dot|точка|\.)\s*[\])}>]\s*[^\W\d_]{2}"
    r"|[^\W_]\s+(?:dot|точка)\s+(?:com|net|org|info|biz|xyz|online|ru|ру|рф)\b"
    r"|[^\W_]{2}(?:\s+\.\s?|\.\s|,)(?-i:com|net|org|info|biz|xyz|ru)\b",
    re.IGNORECASE,
)
# Most names have none of these, so nothing else needs to be searched for.
_HINT = re.compile(r"[.,:@]|dot|точка", re.IGNORECASE)
_DOTTED = re.compile(r"(?<![\w-])[\w-]+(?:\.[\w-]+)+")
_PATH = re.compile(r"\.?(?::\d+)?(?:/|[?#]\w)")
# "de" in "J.in't Veld" and "D.d'Arc" goes on after the apostrophe.
_GOES_ON = re.compile(r"['’ʼ]\w")
_NEXT_WORD = re.compile(r"\s+['’ʼ]?[^\W\d_]")


def contains_link(text: str) -> bool:
    """Return whether the text contains a link or an @, as spammers' names do. Full-width characters count as well.

    Raises:
        RefusedTextError: The text is longer than any field, or has too many combining marks.
    """
    plain = _plain(text)
    if not _HINT.search(plain):
        return False
    hosts = (_is_host(found[0].split("."), plain[found.end() :]) for found in _DOTTED.finditer(plain))
    return any(hosts) or _EVIDENT.search(plain) is not None


def may_contain_link(text: str) -> bool:
    """Return whether a moderator should look at the text, because it contains a link or looks a little like one.

    Also return True for text that `contains_link` refuses to examine.
    """
    try:
        plain = _plain(text).lower()
    except RefusedTextError:
        return True
    return _HINT.search(plain) is not None and (
        contains_link(plain)
        or any(_looks_like_host(found[0].split("."), plain[found.end() :]) for found in _DOTTED.finditer(plain))
    )


def _looks_like_host(labels: list[str], after: str) -> bool:
    is_initial_before_particle = (
        labels[-1] in _PARTICLES and _NEXT_WORD.match(after) and all(len(label) == 1 for label in labels[:-1])
    )
    return _PATH.match(after) is not None or (labels[-1] in _DOMAINS and not is_initial_before_particle)


_LONGEST = MOST_TYPED * EMAIL_LENGTH
"""The most code points of a text. No field is longer than the email address."""


def _plain(text: str) -> str:
    # NFKC turns full-width letters and dots into ordinary ones.
    check(text, _LONGEST)
    if text.isascii():
        return text
    return normalized(without_ignorable(text), _LONGEST, "NFKC").replace("。", ".")


def _is_host(labels: list[str], after: str) -> bool:
    """Return whether a word with dots is a host name as people type one, such as my-site.com.

    Args:
        labels: The parts between the dots.
        after: The text after the word.
    """
    top, domain, before = labels[-1], labels[-1].lower(), labels[-2]
    is_capitalized = top.istitle()
    if _GOES_ON.match(after):
        return False
    if _PATH.match(after) and domain in _DOMAINS:
        # But "K.Dev/A.Roy" are two names.
        return not is_capitalized and (len(before) > 1 or top.islower())
    if domain in _NEVER_NAMES:
        # "B.Com" and "M.Com" are academic degrees.
        is_degree = domain == "com" and before in ("B", "M", "b", "m")
        return not is_degree and not (is_capitalized and (domain != "com" or len(before) == 1))
    if is_capitalized or all(len(label) == 1 or label.lower() in _TITLES for label in labels[:-1]):
        return False
    if domain in _RARELY_NAMES:
        return True
    is_host = domain in _OFTEN_NAMES and all(label == label.lower() for label in labels)
    has_digit = any(character.isdigit() for character in before)
    return is_host and (has_digit or domain not in _PARTICLES or not _NEXT_WORD.match(after))
