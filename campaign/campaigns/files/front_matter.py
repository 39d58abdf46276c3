"""Front matter: the YAML at the top of a campaign file. It is parsed with limits, because files come from other people.

Each value is read as the text that its author sees, because YAML would read `no` as false and `010` as 8. The checks in
field_checks.py convert the texts. Aliases, tags, deep nesting, and very many values are refused as soon as the parser
reaches them, before any object is built.
"""

import re
from dataclasses import dataclass
from typing import Any

import yaml
from yaml.reader import ReaderError

from campaign.text.bounded_text import shortened

MOST_VALUES = 1200
"""The most keys, values, and list items together: enough for all keys of a campaign and a thousand addressees."""
MOST_DEPTH = 4
"""The most levels of nested lists and mappings. A campaign needs two."""


@dataclass(frozen=True)
class Scalar:
    """A single value, as text."""

    text: str
    line: int
    """The line of the file on which the value begins."""
    is_plain: bool
    """Whether the value is written without quotes, and not as a block."""
    comment: str = ""
    """The comment that follows a plain value on its line. YAML begins one at a # after a blank."""


Value = Scalar | list["Value"] | dict[str, "Value"]

_FENCE = re.compile(r"^-{3,}[ \t]*$", re.MULTILINE)
HIDDEN_BREAKS = re.compile("[\x0b\x0c\x85\u2028\u2029]")
"""Line breaks that nobody sees, from pasted text. For YAML, they would end a value, so they are read as blanks."""
# YAML separates a key from its value with a plain blank only.
_ODD_BLANKS = re.compile(r"^(\w+:)[\u00a0\u2007\u202f\u3000]+", re.MULTILINE)


def split(text: str) -> tuple[dict[str, Value], str]:
    """Return the keys of a Markdown file and the text below them. Without front matter, there are no keys.

    Raises:
        ValueError: The front matter is not valid YAML, or exceeds the limits. The message is one line.
    """
    # Some editors put a byte-order mark in front of the text, and programs that join files repeat it.
    bare = text.lstrip("\ufeff \t\n")
    first = _FENCE.match(bare)
    if first is None:
        return {}, bare.strip()
    second = _FENCE.search(bare, first.end())
    if second is None:
        raise ValueError("End the front matter with a line of ---")
    front = bare[first.end() : second.start()]
    front = _ODD_BLANKS.sub(r"\1 ", HIDDEN_BREAKS.sub(" ", front.replace("\ufeff", "")))
    lines_above = text[: len(text) - len(bare)].count("\n")
    return _load(front, lines_above), bare[second.end() :].strip()


def _load(front: str, lines_above: int) -> dict[str, Value]:
    """Parse YAML that begins at the end of a line, below `lines_above` other lines."""
    try:
        keys = _Loader(front, lines_above).get_single_data()
    except _RefusedError as error:
        raise ValueError(str(error)) from None
    except ReaderError as error:
        line = front.count("\n", 0, error.position) + 1 + lines_above
        raise ValueError(f"Line {line} has a control character, U+{error.character:04X}. Remove it") from None
    except yaml.MarkedYAMLError as error:
        line = (error.problem_mark.line if error.problem_mark else 0) + 1 + lines_above
        hint = "Put a value with any of : # ' \" [ ] { } in quotes"
        raise ValueError(f"Line {line} is not valid YAML: {error.problem}. {hint}") from None
    if keys is None:
        return {}
    if not isinstance(keys, dict):
        raise ValueError("Write the front matter as keys with values, such as title: Save the Park")
    return keys


class _RefusedError(Exception):
    """The front matter exceeds a limit, or contains what a campaign file may not contain."""


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with limits. It reads all values as text, and refuses duplicate keys."""

    # Without these, no value is taken for a number, a time, or a boolean.
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 (PyYAML's own attribute)

    def __init__(self, front: str, lines_above: int) -> None:
        super().__init__(front)
        self._front = front
        self._lines_above = lines_above
        self._values = 0
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise self._refused(event, "has an & or * (a YAML anchor or alias), which is not allowed. Quote the value")
        if event.tag is not None:
            raise self._refused(event, "has a ! (a YAML type tag), which is not allowed. Quote the value")
        self._values += 1
        if self._values > MOST_VALUES:
            raise self._refused(event, f"is too far down: a file may have {MOST_VALUES:,} keys and values. Remove some")
        if self._depth == MOST_DEPTH:
            raise self._refused(event, "has lists or keys nested too deeply. Write one list at most")
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Value:
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        if isinstance(node, yaml.SequenceNode):
            return [self.construct_object(item) for item in node.value]
        assert isinstance(node, yaml.MappingNode)  # noqa: S101 (there are only three kinds of nodes)
        keys: dict[str, Value] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise self._refused(key, "has a list or other keys as a key. Write a word as the key")
            if key.value in keys:
                raise self._refused(key, f"has the key {shortened(key.value, 60)} a second time. Remove one of them")
            keys[key.value] = self.construct_object(value)
        return keys

    def _scalar(self, node: yaml.ScalarNode) -> Scalar:
        is_plain = not node.style
        text, comment = node.value, ""
        if is_plain or node.style == ">":
            # In these styles, YAML turns an empty line into a single line break, and removes all other line breaks.
            text = re.sub(r"\n+", "\n\n", text.strip("\n"))
        if is_plain:
            rest = self._front[node.end_mark.index :].partition("\n")[0]
            comment = rest.strip() if re.match(r"[ \t]+#", rest) else ""
        return Scalar(text, node.start_mark.line + 1 + self._lines_above, is_plain, comment)

    def _refused(self, where: Any, reason: str) -> _RefusedError:
        """Return an error at a YAML event or node."""
        return _RefusedError(f"Line {where.start_mark.line + 1 + self._lines_above} {reason}")
