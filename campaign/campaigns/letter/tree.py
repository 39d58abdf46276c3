"""A letter as a tree. Page and live preview (html_writer.py) and the book (templates/book.typ) are written from it.

So the words, numbers, and links are the same wherever the letter is read: a writer only decides how they look.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from markdown_it.token import Token

from campaign.campaigns.letter import markdown
from campaign.campaigns.letter.cleaning import cleaned
from campaign.campaigns.letter.markdown import LETTER_LENGTH, TooMuchWorkError
from campaign.text import urls

_LAST_LEVEL = 6
_MOST_NESTED = {"emphasis": 1, "strong": 1, "link": 1, "quote": 8}
"""How often a node can be within nodes of its kind. More of them look the same. Typst fails at 16 quotes."""
_KINDS = {
    "paragraph_open": "paragraph",
    "heading_open": "heading",
    "blockquote_open": "quote",
    "bullet_list_open": "bullets",
    "ordered_list_open": "numbers",
    "list_item_open": "item",
    "hr": "rule",
    "em_open": "emphasis",
    "strong_open": "strong",
    "link_open": "link",
    "softbreak": "space",
    "hardbreak": "break",
}


@dataclass(frozen=True)
class Node:
    """A part of a letter."""

    kind: str
    """A block: paragraph, heading, quote, rule, bullets or numbers (lists) with items, words (the words of an item in
    a list without empty lines). Or a part of a line: text, space, break, emphasis, strong, link."""
    text: str = ""
    """The words of a text. For a link, its URL as the book prints it after the link's words; empty if the words are the
    URL."""
    number: int = 0
    """A heading's level, from 2 to 6, because the title has level 1; the first number of a numbered list."""
    url: str = ""
    """A link's URL: http, https, or mailto."""
    inner: tuple["Node", ...] = ()


def parse(letter: str) -> tuple[Node, ...]:
    """Return a letter's blocks. A letter that takes too much work is cut to LETTER_LENGTH, and has plain paragraphs."""
    return _parse(letter[: LETTER_LENGTH + 1])


@lru_cache(maxsize=16)
def _parse(letter: str) -> tuple[Node, ...]:
    text = cleaned(letter[:LETTER_LENGTH])
    if len(letter) <= LETTER_LENGTH:
        try:
            tokens, _ = markdown.parse(text)
            return _tree(tokens)
        except TooMuchWorkError:
            pass
    paragraphs = (_one_line(paragraph.strip()) for paragraph in text.split("\n\n"))
    return tuple(Node("paragraph", inner=(Node("text", line),)) for line in paragraphs if line)


def words(node: Node) -> str:
    """Return the words of a node and of the nodes in it, without list numbers and the URLs of links."""
    own = {"text": node.text, "space": " ", "break": " "}.get(node.kind, "")
    return own + "".join(map(words, node.inner))


@dataclass
class _Open:
    """A node whose end hasn't been reached, and the nodes in it so far."""

    token: Token | None
    kind: str
    """Empty if it exceeds _MOST_NESTED. Its nodes are then those of its parent."""
    inner: list[Node]


def _tree(tokens: list[Token]) -> tuple[Node, ...]:
    """Return the nodes of markdown-it's flat list of tokens.

    This is a loop, because emphasis can be nested in more levels than functions can. The tree has at most markdown-it's
    `maxNesting` levels of blocks, and three of parts of a line.
    """
    stack, opened = [_Open(None, "", [])], Counter[str]()
    for token in flat(tokens):
        other = "words" if token.nesting else "text"
        kind = other if token.hidden else _KINDS.get(token.type, other)
        if token.nesting > 0:
            if opened[kind] == _MOST_NESTED.get(kind):
                stack.append(_Open(token, "", stack[-1].inner))
            else:
                stack.append(_Open(token, kind, []))
                opened[kind] += 1
        elif token.nesting == 0:
            stack[-1].inner.append(Node(kind, _one_line(token.content) if kind == "text" else ""))
        elif (done := stack.pop()).kind:
            stack[-1].inner.append(_node(done))
            opened[done.kind] -= 1
    return tuple(stack[0].inner)


def flat(tokens: list[Token]) -> Iterator[Token]:
    """Yield markdown-it's tokens of blocks and of parts of lines in order.

    Pictures aren't shown, because they would tell another site who reads the letter. The words that describe them are.
    """
    for token in tokens:
        if token.type in ("inline", "image"):
            yield from flat(token.children or [])
        else:
            yield token


def _one_line(text: str) -> str:
    """Return the text with single spaces, as browsers show it. Typst would print line breaks that HTML doesn't show."""
    return re.sub(r"[ \t\n\r\f\v]+", " ", text)


def _node(done: _Open) -> Node:
    token, inner = done.token, tuple(done.inner)
    assert token  # noqa: S101 (only the root has none, and it is never closed)
    if done.kind == "heading":
        return Node("heading", number=min(int(token.tag[1]) + 1, _LAST_LEVEL), inner=inner)
    if done.kind == "numbers":
        return Node("numbers", number=int(token.attrs.get("start", 1)), inner=inner)
    return _link(token, inner) if done.kind == "link" else Node(done.kind, inner=inner)


def _link(token: Token, inner: tuple[Node, ...]) -> Node:
    """Return a link, or its words alone if its URL can't be used."""
    url, shown = str(token.attrs["href"]), "".join(map(words, inner))
    if not is_usable(url):
        # <Name:Ada> looks like a link to markdown-it.
        before, after = ("<", ">") if token.markup == "autolink" else ("", "")
        return Node("words", inner=(Node("text", before), *inner, Node("text", after)))
    printed = url.removeprefix("mailto:")
    is_shown = token.info == "auto" or shown in (url, printed) or f"https://{shown}" == url
    return Node("link", "" if is_shown else printed, url=url, inner=inner)


def is_usable(url: str) -> bool:
    """Return whether a link in a letter can have this URL."""
    try:
        urls.completed(url, mail=True)
    except ValueError:
        return False
    return True
