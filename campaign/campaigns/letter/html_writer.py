"""Writes a letter's tree as HTML, for the page and the live preview. The book's writer is in templates/book.typ."""

from functools import lru_cache
from html import escape

import nh3

from campaign.campaigns.letter import tree
from campaign.campaigns.letter.markdown import LETTER_LENGTH
from campaign.campaigns.letter.tree import Node

_TAGS = {
    "paragraph": "p",
    "quote": "blockquote",
    "bullets": "ul",
    "numbers": "ol",
    "item": "li",
    "emphasis": "em",
    "strong": "strong",
    "link": "a",
}
_ALLOWED = {"p", "br", "em", "strong", "a", "ul", "ol", "li", "blockquote", "h2", "h3", "h4", "h5", "h6", "hr"}
_SCHEMES = {"http", "https", "mailto"}


def to_html(letter: str) -> str:
    """Return a letter as HTML with paragraphs, emphasis, links, lists, quotes, and headings.

    Every tag and attribute is written here, all words are escaped, and tree.py has checked the URLs. nh3 checks the
    result once more, and adds `rel` to links.
    """
    return _to_html(letter[: LETTER_LENGTH + 1])


@lru_cache(maxsize=64)
def _to_html(letter: str) -> str:
    html = "\n".join(map(_html, tree.parse(letter)))
    return nh3.clean(html, tags=_ALLOWED, attributes={"a": {"href"}, "ol": {"start"}}, url_schemes=_SCHEMES)


def _html(node: Node) -> str:
    if node.kind == "text":
        return escape(node.text)
    if node.kind in ("space", "break", "rule"):
        return {"space": "\n", "break": "<br>\n", "rule": "<hr>"}[node.kind]
    inner = "".join(map(_html, node.inner))
    if node.kind == "words":
        return inner
    tag = f"h{node.number}" if node.kind == "heading" else _TAGS[node.kind]
    attribute = f' href="{escape(node.url)}"' if node.kind == "link" else ""
    if node.kind == "numbers" and node.number != 1:
        attribute = f' start="{node.number}"'
    return f"<{tag}{attribute}>{inner}</{tag}>"
