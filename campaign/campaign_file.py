"""A campaign as one Markdown file with YAML front matter, as an organiser writes and downloads it: read, and written.

campaign_keys.py checks what stands in it, editing.py puts it into the table. Keys are explained in the README, "How to
write a campaign".
"""

import base64
import binascii
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import frontmatter
import yaml
from frontmatter.default_handlers import YAMLHandler

from campaign import campaign_keys
from campaign.campaign_keys import CampaignFile, WrongError


class CampaignFileError(ValueError):
    """A campaign's file can't be used; the message is one line that names file, key and reason."""

    def __init__(self, path: Path, key: str, reason: str) -> None:
        """Make the line."""
        super().__init__(f"{path}: {key}: {reason}")


def read_all(paths: Iterable[Path]) -> dict[Path, CampaignFile]:
    """Read and check files that are published together.

    Raises:
        CampaignFileError: one of them is broken, or two have the same slug.
    """
    files: dict[Path, CampaignFile] = {}
    for path in paths:
        file = read(path)
        for other, there in files.items():
            if there.slug == file.slug:
                raise CampaignFileError(path, "slug", f"is also the slug of {other}")
        files[path] = file
    return files


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
        if key not in campaign_keys.CHECKS or key == "letter":
            raise CampaignFileError(path, str(key), "is not a key that a campaign has")
    if not document.content.strip():
        raise CampaignFileError(path, "letter", "is missing; it is the text below the front matter")
    try:
        picture = _picture(given.get("picture"), path.parent)
        return campaign_keys.check({**given, "letter": document.content, "picture": picture})
    except WrongError as error:
        key, reason = next(iter(error.errors.items()))
        raise CampaignFileError(path, key, reason) from None


def write(file: CampaignFile) -> str:
    """The text of a file that `read` reads as the very same; its picture is in it."""
    keys: dict[str, Any] = {key: getattr(file, key) for key in campaign_keys.CHECKS if key not in ("letter", "picture")}
    keys["addressees"] = file.addressees.split("\n")
    for key in ("opens_at", "closes_at"):
        if keys[key]:
            keys[key] = keys[key].astimezone(ZoneInfo(file.time_zone))
    if file.picture:
        # At the end, because it is long.
        keys["picture"] = _DATA_URL + base64.b64encode(file.picture.data).decode("ascii")
    given = {key: value for key, value in keys.items() if value not in (None, "")}
    front = yaml.safe_dump(given, allow_unicode=True, sort_keys=False, width=float("inf"))
    return f"---\n{front}---\n{file.letter}\n"


_DATA_URL = "data:image/jpeg;base64,"


def _picture(value: object, folder: Path) -> bytes | None:
    """What a file has under `picture`: a path beside it, or a data: URL (RFC 2397)."""
    if value is None or value == "":
        return None
    try:
        if not isinstance(value, str):
            raise ValueError("must be the name of a file")
        if value.startswith("data:"):
            kind, _, data = value.partition(",")
            if not kind.endswith(";base64"):
                raise ValueError("must be in base64 where it is a data: URL")
            return base64.b64decode(data, validate=True)
        return (folder / value).read_bytes()
    except binascii.Error:
        raise WrongError({"picture": "is no whole data: URL"}) from None
    except OSError as error:
        raise WrongError({"picture": f"can’t be read: {error.strerror or error}"}) from None
    except ValueError as error:
        raise WrongError({"picture": str(error)}) from None


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
