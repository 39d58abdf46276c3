"""Words of the search index: how names and places are split and folded, so that people find what they mean.

- Case, width, and accents don't matter: `MULLER` finds Müller. `mueller` finds it too, and `soerensen` finds Sørensen.
- A name with an apostrophe, a hyphen, or a period is also one word: `obrien` finds O’Brien, and `annemarie` finds
  Anne-Marie.
- Some scripts, such as Chinese and Thai, have no spaces between words. There, every pair of characters is a word, and
  so is the last character. So each part of a name is found, with or without a space between the parts.

Migration 0009 does the same in PostgreSQL, which indexes each signature as it is stored; tests compare the two.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from campaign.models.columns import NAME_LENGTH, PLACE_LENGTH, POSTAL_CODE_LENGTH
from campaign.text.bounded_text import RefusedTextError, normalized
from campaign.text.folding import without_ignorable

MOST_WORDS = 10
"""The most words of a search that are used. Nobody needs more, and each one costs time."""
MOST_PAIRS = 60
"""The most pairs of characters that are indexed for a signature. No name and place have more, and each one costs time
while a signer waits."""
LONGEST_SEARCH = 300
"""The most code points in a search: room for an email address, or for more words than are used."""
_LONGEST_INDEXED = NAME_LENGTH + 2 * PLACE_LENGTH + POSTAL_CODE_LENGTH + 3
_MOST_DECOMPOSED = 18
"""The most code points into which form KD splits one (UAX 15, table 7)."""

# What people type for an apostrophe, in several scripts, and between the parts of a name.
_APOSTROPHES = "’‘‛ʼʻʹʾʿ´`′׳՚ꞌ"
_HYPHENS = "‐‑‒–—−·・‧•゠"
_TYPED = str.maketrans({**dict.fromkeys(_APOSTROPHES, "'"), **dict.fromkeys(_HYPHENS, "-")})
_JOINED = str.maketrans(dict.fromkeys("'`.-"))
_JOINERS = re.compile(r"['`.-]")
_ACCENTS = re.compile("[\u0300-\u036f]")
# Letters that form KD doesn't split.
_OTHER_LETTERS = str.maketrans(
    {"ø": "o", "đ": "d", "ð": "d", "ł": "l", "ħ": "h", "ı": "i", "ς": "σ", "ß": "ss", "æ": "ae", "œ": "oe", "þ": "th"}
)
_SPACELESS = (
    "\u0e00-\u0eff\u1000-\u11ff\u1780-\u17ff\u1950-\u19df\u1a20-\u1aaf\u1b00-\u1b7f\u3005-\u3007\u3040-\u30ff"
    "\u3100-\u312f\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\ua980-\ua9df\uac00-\ud7af\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
"""Thai, Lao, Myanmar, Khmer, Tai, Balinese, Javanese, Chinese, Japanese, Korean, and Yi. Korean has spaces, but none
within a name."""
_RUNS = re.compile(f"[{_SPACELESS}]+|[^{_SPACELESS}]+")
_SPACELESS_RUN = re.compile(f"[{_SPACELESS}]+")
_SPACES_BETWEEN = re.compile(rf"(?<=[{_SPACELESS}])\s+(?=[{_SPACELESS}])")


@dataclass(frozen=True)
class Term:
    """A word to look up in the index, or the beginning of one."""

    word: str
    is_prefix: bool


Option = list[Term]
"""Terms that must all be found."""


def indexed(name: str, city: str, region: str, postal_code: str) -> list[str]:
    """Return the words by which a signature is found."""
    text = f"{name} {city} {region} {postal_code}"
    try:
        spellings = _spellings(text, _LONGEST_INDEXED)
    except RefusedTextError:
        # An imported signature can have such text. It is found by what needs no normalization.
        spellings = [text[:_LONGEST_INDEXED].lower()]
    folded = " ".join(spellings)
    if _JOINERS.search(folded):
        folded += " " + folded.translate(_JOINED)
    words = list(_split(folded))
    if folded.isascii():
        return words
    # Some people type a space between family name and given name, and others don't.
    runs = _SPACELESS_RUN.findall(_SPACES_BETWEEN.sub("", folded))
    pairs = [run[at : at + 2] for run in runs for at in range(len(run))]
    return words + pairs[:MOST_PAIRS]


def searched(text: str) -> list[list[Option]]:
    """Return the terms of a search. For each part of the text between spaces, one of its options must be found.

    Raises:
        RefusedTextError: The text is longer than LONGEST_SEARCH, or has too many combining marks.
    """
    wanted: list[list[Option]] = []
    used = 0
    for spellings in _parts(text):
        options = [option for each in spellings for option in _options(each, MOST_WORDS - used)]
        if options:
            wanted.append(options)
            used += len(options[0])
        if used >= MOST_WORDS:
            break
    return wanted


def _parts(text: str) -> Iterator[list[str]]:
    """Yield the spellings of each part of the text between spaces."""
    # Limit the whole text first: its parts are shorter, and there are few long ones.
    for part in normalized(text, LONGEST_SEARCH, "NFC").split():
        yield _spellings(part, LONGEST_SEARCH)


def _options(part: str, most: int) -> Iterator[Option]:
    """Yield the ways to find one part of a search: its words, and all of it as one word."""
    ways = [part, part.translate(_JOINED)] if _JOINERS.search(part) else [part]
    for way in ways:
        terms = [term for word in _split(way) for term in _terms(word)]
        if terms:
            yield terms[:most]


def _terms(word: str) -> Iterator[Term]:
    if not _SPACELESS_RUN.match(word):
        yield Term(word[:NAME_LENGTH], is_prefix=True)
    elif len(word) == 1:
        yield Term(word, is_prefix=True)
    else:
        for at in range(len(word) - 1):
            yield Term(word[at : at + 2], is_prefix=False)


def _spellings(text: str, longest: int) -> list[str]:
    """Return the text in lowercase and without accents; then also with `ue` for `ü` and the like, if that differs."""
    if text.isascii():
        return [text.lower()]
    decomposed = normalized(without_ignorable(text).translate(_TYPED), longest, "NFKD")
    spelled = re.sub("([aouAOU])\u0308", r"\1e", decomposed)
    spelled = re.sub("([aA])\u030a", r"\1a", spelled)
    spelled = spelled.replace("ø", "oe").replace("Ø", "oe")
    return [_folded(each, longest) for each in dict.fromkeys((decomposed, spelled))]


def _folded(decomposed: str, longest: int) -> str:
    composed = normalized(_ACCENTS.sub("", decomposed), 2 * _MOST_DECOMPOSED * longest)
    return composed.lower().translate(_OTHER_LETTERS)


def _split(folded: str) -> Iterator[str]:
    """Yield runs of letters, digits, and marks. Runs of scripts with and without spaces are separate."""
    if folded.isascii():
        yield from re.findall("[a-z0-9]+", folded)
        return
    for is_word, run in groupby(folded, key=lambda character: unicodedata.category(character)[0] in "LNM"):
        if is_word:
            yield from (each for each in _RUNS.findall("".join(run)) if any(map(str.isalnum, each)))
