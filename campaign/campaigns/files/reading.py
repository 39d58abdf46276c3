"""Reads a campaign from a Markdown file with YAML front matter, and its translations from files next to it.

front_matter.py parses the YAML, fields.py validates the keys, and editing.py stores the campaign. The README explains
the keys. The translation of my-campaign.md into Spanish is my-campaign.es.md, with only the translated keys.
"""

import glob
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from campaign.campaigns import fields
from campaign.campaigns.fields import CampaignFile
from campaign.campaigns.files import front_matter
from campaign.campaigns.files.front_matter import Scalar, Value
from campaign.campaigns.files.regular_files import picture_of, read_regular
from campaign.campaigns.translations import Texts, checked_tag
from campaign.languages import catalogs
from campaign.text.bounded_text import quoted, shortened

MOST_BYTES = 2**20
"""The most bytes of a campaign file: twice the largest file that the desk writes, with a picture of 200 KB."""
MOST_UNKNOWN = 5
"""The most unknown keys that are reported for one file."""


class CampaignFileError(ValueError):
    """Campaign files can't be used. The message has a line for each error, with the file, the key, and the reason."""


@dataclass
class ReadFile:
    """A campaign file, or one of its translations, that was read: its valid fields, and what its author should know."""

    path: Path
    tag: str = ""
    """The language of a translation; empty for a campaign."""
    keys: frozenset[str] = frozenset()
    """The keys of its front matter, valid or not."""
    values: dict[str, Any] = field(default_factory=dict)
    """The valid fields, cleaned."""
    errors: dict[str, str] = field(default_factory=dict)
    """What is wrong: a sentence for each key, or for a part of the file, such as "front matter"."""
    notices: dict[str, str] = field(default_factory=dict)
    """How values were understood, by key, if not as they are written."""
    translations: list["ReadFile"] = field(default_factory=list)

    @property
    def campaign(self) -> CampaignFile:
        """The campaign of a file without errors, with its translations."""
        return CampaignFile(**self.values, translations=self.translated)

    @property
    def translated(self) -> Texts:
        """The valid texts of the translations by language tag."""
        return {
            each.tag: {key: text for key, text in each.values.items() if text} for each in self.translations if each.tag
        }

    @property
    def is_valid(self) -> bool:
        """Whether neither the file nor one of its translations has an error."""
        return not self.errors and not any(each.errors for each in self.translations)

    def error_lines(self) -> list[str]:
        """Return the errors of the file and its translations for the terminal, one line each."""
        return [line for file in (self, *self.translations) for line in file._lines(file.errors)]

    def notice_lines(self) -> list[str]:
        """Return the notices of the file and its translations for the terminal, one line each."""
        return [line for file in (self, *self.translations) for line in file._lines(file.notices)]

    def _lines(self, messages: Mapping[str, str]) -> list[str]:
        return [f"{self.path}: {shortened(key)}: {shortened(message)}" for key, message in messages.items()]


def read(path: Path) -> CampaignFile:
    """Read and validate a campaign file and its translations.

    Raises:
        CampaignFileError: A file can't be read, or keys are missing, unknown, or invalid.
    """
    (file,) = read_all([path])
    if not file.is_valid:
        raise CampaignFileError("\n".join(file.error_lines()))
    return file.campaign


def read_all(paths: Iterable[Path]) -> list[ReadFile]:
    """Read and validate files that are published together. Two files with the same slug are an error.

    The translations next to a campaign's file belong to it, whether they are named or not. So does the campaign's file
    next to a translation.
    """
    named = list(paths)
    files: list[ReadFile] = []
    owners: dict[str, Path] = {}
    for path in dict.fromkeys(_campaign_of(path, named) for path in named):
        file = _examined(path)
        if path.name != (own := _without_tag(path)) and "slug" not in file.keys and "file" not in file.errors:
            file.errors = {"file": f"Add {own} to this folder. This translation belongs to it"}
        else:
            file.translations = _translations_of(file, named)
        files.append(file)
        slug = file.values.get("slug")
        if slug in owners:
            file.errors["slug"] = f"Choose another slug, because {owners[slug]} has it, too"
        elif slug:
            owners[slug] = path
    return files


def _without_tag(path: Path) -> str:
    """Return the name of the campaign's file if this is the name of a translation, such as my-campaign.es.md."""
    stem, _, _ = path.stem.rpartition(".")
    return f"{stem}{path.suffix}" if stem else path.name


def _campaign_of(path: Path, named: Sequence[Path]) -> Path:
    """Return the campaign's file if this is the file of a translation, or else the same path."""
    own = path.with_name(_without_tag(path)) if path.name else path
    return own if own != path and (own in named or own.is_file()) and _is_translation(path) else path


def _is_translation(path: Path) -> bool:
    """Return whether a file with a name like my-campaign.es.md is a translation, rather than a campaign of its own."""
    if catalogs.usual_tag(path.stem.rpartition(".")[2]):
        return True
    with suppress(OSError, ValueError):
        keys, _ = front_matter.split(read_regular(path, MOST_BYTES, follow=True).decode())
        return "slug" not in keys
    return True


def _translations_of(campaign: ReadFile, named: Sequence[Path]) -> list[ReadFile]:
    path = campaign.path
    beside = [each for each in named if each.parent == path.parent]
    with suppress(OSError):
        beside += sorted(each for each in path.parent.glob(f"{glob.escape(path.stem)}.*{glob.escape(path.suffix)}"))
    found: list[ReadFile] = []
    for each in dict.fromkeys(beside):
        if each == path or _without_tag(each) != path.name or not _is_translation(each):
            continue
        file = _examined(each, campaign)
        other = next((earlier.path.name for earlier in found if earlier.tag == file.tag), None)
        if file.tag and other:
            file.errors["file"] = f"Remove this file or {other}. Both are translations into the same language"
        found.append(file)
    return found


def _examined(path: Path, campaign: ReadFile | None = None) -> ReadFile:
    """Return a campaign's file, or that of a translation of `campaign`."""
    file = ReadFile(path)
    try:
        text = read_regular(path, MOST_BYTES, follow=True).decode()
        if campaign:
            typed = path.stem.rpartition(".")[2]
            file.tag = checked_tag(typed, campaign.values.get("language", ""))
    except OSError as error:
        file.errors["file"] = f"The file can’t be read: {error.strerror or error}"
    except UnicodeDecodeError:
        file.errors["file"] = "The file is not UTF-8 text. Save it in UTF-8"
    except ValueError as error:
        file.errors["file"] = str(error)
    else:
        _examine(file, re.sub(r"\r\n?", "\n", text), campaign)
    return file


def _examine(file: ReadFile, text: str, campaign: ReadFile | None) -> None:
    """Add the fields, errors, and notices of a file's text."""
    try:
        keys, letter = front_matter.split(text)
    except ValueError as error:
        file.errors["front matter"] = str(error)
        return
    file.keys = frozenset(keys)
    if not keys and not campaign:
        file.errors["front matter"] = "Start the file with a line of ---, the keys, and another line of ---"
        return
    unknown = [key for key in keys if key not in fields.CHECKS or key == "letter"]
    file.errors = dict.fromkeys(unknown[:MOST_UNKNOWN], "Correct or remove this key. Campaigns have no such key")
    if len(unknown) > MOST_UNKNOWN:
        file.errors["front matter"] = f"Remove {len(unknown) - MOST_UNKNOWN} more keys that campaigns don’t have"
    if "letter" in unknown:
        file.errors["letter"] = "Write the letter below the front matter, not as a key"
    if campaign:
        shared = [key for key in keys if key in fields.CHECKS and key not in fields.TEXTS]
        reason = f"Remove this key. All languages share it, so it belongs in {campaign.path.name}"
        file.errors |= dict.fromkeys(shared, reason)
    raw: dict[str, object] = {"letter": letter}
    for key, value in keys.items():
        if key in file.errors or key in unknown:
            continue
        raw[key] = _raw(value)
        try:
            _check_reading(file, key, value)
            if key == "picture":
                raw[key] = picture_of(raw[key], file.path.parent)
        except ValueError as error:
            file.errors[key] = str(error)
    if campaign:
        file.values, file.errors = fields.check_translation(raw, file.errors)
        if not file.errors and not any(file.values.values()):
            file.errors["file"] = "Translate at least one text, or remove this file"
    else:
        file.values, file.errors = fields.check_each(raw, file.errors)
        if not letter and "letter" not in keys:
            file.errors["letter"] = "Write the letter below the front matter"
    for key, value in keys.items():
        _note_reading(file, key, value)


_NULL = re.compile("~|null|Null|NULL")


def _raw(value: Value) -> object:
    """Return a value of the front matter as text, or as a list or mapping of texts; None if YAML has no value there."""
    if isinstance(value, Scalar):
        return None if value.is_plain and _NULL.fullmatch(value.text) else value.text
    if isinstance(value, list):
        return [_raw(item) for item in value]
    return {key: _raw(item) for key, item in value.items()}


_NEVER_A_HASH = fields.CHECKS.keys() - {*fields.TEXTS, "picture"}
"""The keys whose values have no #. After them, a comment is surely meant as one."""


def _check_reading(file: ReadFile, key: str, value: Value) -> None:
    """Check that YAML doesn't take the end of a text for a comment.

    Raises:
        ValueError: There is a comment after the text.
    """
    for scalar in value if isinstance(value, list) else [value]:
        if isinstance(scalar, Scalar) and scalar.comment and key not in _NEVER_A_HASH:
            raise ValueError(
                f"Put the text on line {scalar.line} in quotes, or remove {quoted(scalar.comment)}: "
                "without quotes, YAML ignores everything after a #"
            )


def _note_reading(file: ReadFile, key: str, value: Value) -> None:
    """Add a notice if the value was understood differently from what is written."""
    if not isinstance(value, Scalar) or key not in file.values:
        return
    understood = file.values[key]
    if value.is_plain and _NULL.fullmatch(value.text):
        file.notices[key] = f"Line {value.line} says {value.text}, which was read as no value"
    elif key in ("goal", "goal_step", "donate_url") and value.text and value.text != str(understood):
        file.notices[key] = f"Line {value.line} says {quoted(value.text)}, which was read as {understood}"
