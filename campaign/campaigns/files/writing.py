"""Writes a campaign as a Markdown file with YAML front matter, and each of its translations as another one."""

import base64
from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

import yaml

from campaign.campaigns import fields
from campaign.campaigns.fields import CampaignFile
from campaign.campaigns.files import front_matter

_DATA_URL = "data:image/jpeg;base64,"


class _Dumper(yaml.SafeDumper):
    """Writes texts so that people can read them, and so that front_matter.py reads them unchanged."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    # A block shows line breaks as they are. The reader replaces breaks that nobody sees, so they are escaped.
    style = '"' if front_matter.HIDDEN_BREAKS.search(text) else "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


_Dumper.add_representer(str, _represent_text)


def files_of(file: CampaignFile) -> dict[str, str]:
    """Return the files of a campaign and its translations: the text by name. Reading them returns the same campaign."""
    names = {f"{file.slug}.{tag}.md": _translation(texts) for tag, texts in file.translations.items()}
    return {f"{file.slug}.md": write(file), **names}


def write(file: CampaignFile) -> str:
    """Return a campaign, without its translations, as the text of a file with its picture embedded."""
    keys: dict[str, Any] = {key: getattr(file, key) for key in fields.CHECKS if key not in ("letter", "picture")}
    keys["addressees"] = file.addressees.split("\n") if file.addressees else ""
    for key in ("opens_at", "closes_at"):
        if keys[key]:
            keys[key] = keys[key].astimezone(ZoneInfo(file.time_zone))
    if file.picture:
        # The picture comes last, because it is long.
        keys["picture"] = _DATA_URL + base64.b64encode(file.picture.data).decode("ascii")
    return _text({key: value for key, value in keys.items() if value not in (None, "")}, file.letter)


def _translation(texts: Mapping[str, str]) -> str:
    """Return a translation as the text of a file."""
    keys: dict[str, Any] = {key: texts[key] for key in fields.TEXTS if key in texts and key != "letter"}
    if "addressees" in keys:
        keys["addressees"] = keys["addressees"].split("\n")
    return _text(keys, texts.get("letter", ""))


def _text(keys: Mapping[str, Any], letter: str) -> str:
    front = yaml.dump(keys, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=float("inf")) if keys else ""
    return f"---\n{front}---\n{letter}\n"
