"""A campaign as an organiser writes it: a Markdown file with YAML front matter, read and checked.

campaigns.py puts it into the table. Keys are explained in the README, "How to write a campaign".
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import frontmatter
import yaml
from babel import Locale, UnknownLocaleError
from frontmatter.default_handlers import YAMLHandler

SLUG = r"[a-z0-9]+(?:-[a-z0-9]+)*"
"""What a slug looks like, in files and in addresses."""


class CampaignFileError(ValueError):
    """A campaign's file can't be used; the message is one line that names file, key and reason."""

    def __init__(self, path: Path, key: str, reason: str) -> None:
        """Make the line."""
        super().__init__(f"{path}: {key}: {reason}")


@dataclass(frozen=True)
class CampaignFile:
    """What a campaign's file says; fields are named and meant as those of `models.Campaign`."""

    slug: str
    title: str
    category: str
    summary: str
    addressees: str
    goal: int
    thanks: str
    share_text: str
    donate_url: str
    donate_text: str
    language: str
    opens_at: datetime | None
    closes_at: datetime | None
    letter: str


def read_all(paths: Iterable[Path]) -> list[CampaignFile]:
    """Read and check files that are published together.

    Raises:
        CampaignFileError: one of them is broken, or two have the same slug.
    """
    files: dict[str, tuple[Path, CampaignFile]] = {}
    for path in paths:
        file = read(path)
        if file.slug in files:
            raise CampaignFileError(path, "slug", f"is also the slug of {files[file.slug][0]}")
        files[file.slug] = path, file
    return [file for _, file in files.values()]


def read(path: Path) -> CampaignFile:
    """Read and check a file.

    Raises:
        CampaignFileError: it can't be read, or one of its keys is missing, unknown or wrong.
    """
    try:
        document = frontmatter.loads(path.read_text(encoding="utf-8"), handler=_Handler())
    except OSError as error:
        raise CampaignFileError(path, "file", error.strerror or str(error)) from None
    except UnicodeDecodeError:
        raise CampaignFileError(path, "file", "is not UTF-8 text") from None
    except yaml.MarkedYAMLError as error:
        line = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise CampaignFileError(path, "front matter", f"{error.problem}{line}") from None
    except (yaml.YAMLError, ValueError, TypeError) as error:
        raise CampaignFileError(path, "front matter", " ".join(str(error).split())) from None
    given: dict[str, Any] = document.metadata
    if not given:
        raise CampaignFileError(path, "front matter", "is missing; the file begins with a line of ---")
    for key in given:
        if key not in _CHECKS:
            raise CampaignFileError(path, str(key), "is not a key that a campaign has")
    values: dict[str, Any] = {"letter": document.content.strip()}
    if not values["letter"]:
        raise CampaignFileError(path, "letter", "is missing; it is the text below the front matter")
    for key, check in _CHECKS.items():
        try:
            values[key] = check(given.get(key))
        except ValueError as error:
            raise CampaignFileError(path, key, str(error)) from None
    file = CampaignFile(**values)
    if file.opens_at and file.closes_at and file.closes_at <= file.opens_at:
        raise CampaignFileError(path, "closes_at", "must be later than opens_at")
    if file.donate_url and not file.donate_text:
        raise CampaignFileError(path, "donate_text", "is missing; donate_url needs a sentence beside it")
    return file


class _Loader(yaml.SafeLoader):
    """YAML that refuses a key given twice, of which the standard loader silently keeps the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            if key_node.value in seen:
                raise yaml.MarkedYAMLError(problem=f"{key_node.value} is given twice", problem_mark=key_node.start_mark)
            seen.add(key_node.value)
        return super().construct_mapping(node, deep)


class _Handler(YAMLHandler):
    def load(self, fm: str, **kwargs: object) -> Any:
        return yaml.load(fm, Loader=_Loader)  # noqa: S506 (it is a SafeLoader)


# Neither XML nor UTF-8 can carry them; YAML can write them as \x01 or \ud800.
_NO_TEXT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def _text(most: int, *, needed: bool = True) -> Callable[[object], str]:
    def check(value: object) -> str:
        if value is None or value == "":
            if needed:
                raise ValueError("is missing")
            return ""
        if not isinstance(value, str):
            raise ValueError(f"must be text, not {value!r}; put it in quotes")
        if _NO_TEXT.search(value):
            raise ValueError("holds a control character")
        if len(value.strip()) > most:
            raise ValueError(f"must have {most} characters or fewer, and has {len(value.strip())}")
        return value.strip()

    return check


def _slug(value: object) -> str:
    slug = _text(80)(value)
    if not re.fullmatch(SLUG, slug):
        raise ValueError(f"must be made of small letters a to z, digits and single hyphens, not {slug!r}")
    return slug


def _addressees(value: object) -> str:
    names = value if isinstance(value, list) else [value]
    return "\n".join(_text(200)(name) for name in names) or _text(200)(None)


def _goal(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= 1_000_000_000:
        raise ValueError(f"must be a whole number above 0, not {value!r}" if value is not None else "is missing")
    return value


def _url(value: object) -> str:
    url = _text(500, needed=False)(value)
    if url and (urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname or re.search(r"\s", url)):
        raise ValueError(f"must be an address that begins with https://, not {url!r}")
    return url


def _language(value: object) -> str:
    language = _text(20)(value or "en")
    try:
        Locale.parse(language, sep="-")
    except (ValueError, UnknownLocaleError):
        raise ValueError(f"must be a language tag such as en, de or pt-BR, not {language!r}") from None
    return language


def _time(value: object) -> datetime | None:
    if value is None:
        return None
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise ValueError(f"must be a date, a time and a zone such as 2027-03-01T09:00:00Z, not '{value}'")
    return value


_CHECKS: dict[str, Callable[[object], Any]] = {
    "slug": _slug,
    "title": _text(200),
    "category": _text(60),
    "summary": _text(500),
    "addressees": _addressees,
    "goal": _goal,
    "thanks": _text(1000),
    "share_text": _text(300),
    "donate_url": _url,
    "donate_text": _text(300, needed=False),
    "language": _language,
    "opens_at": _time,
    "closes_at": _time,
}
