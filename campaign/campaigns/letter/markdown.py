"""Parsing of a letter's Markdown into tokens, with bounded work.

Some texts make a Markdown parser read the same characters again and again. So the parser's steps are counted. A letter
that takes too many steps can't be saved (fields.py); one that was saved earlier is shown as plain paragraphs.

Letters have no code, no HTML, and no headings that are underlined with hyphens: indented paragraphs, ~~~ as a
decoration, and "--" below "Yours," would be taken for them. tree.py makes a tree of the tokens.
"""

import re
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.parser_block import ParserBlock
from markdown_it.parser_inline import ParserInline
from markdown_it.ruler import RuleOptionsType
from markdown_it.rules_block import StateBlock, lheading
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

from campaign.text import urls

LETTER_LENGTH = 50_000
"""The most characters of a letter: about thirty printed pages."""
MOST_STEPS = 50_000
"""The most steps of the parser for one letter, which take a second at most. A letter of LETTER_LENGTH with markup in
every line takes a third of them."""
MOST_IN_LINKS = 4 * LETTER_LENGTH
"""The most characters of all URLs and titles of links together. Each use of a reference repeats its URL, so a letter of
48 KB could become 144 MB of HTML. A thousand links of 200 characters fit."""

# A bare URL begins after anything but a Latin letter, a digit, or a part of another URL. It ends before a space, a
# bracket, or a quotation mark; see _bare_url for its last characters. If it is longer than the limit, it isn't a link.
_BEGINNING = r"(?<![a-z0-9@./:-])(?:https?://|www\.)"
_NOT_IN_URL = r"\s<>\[\]\\`\"“”„‘’‚«»‹›、。，；：！？（）「」『』【】《》"
_BARE_URL = re.compile(f"{_BEGINNING}[^{_NOT_IN_URL}]{{1,{urls.URL_LENGTH + 1}}}", re.IGNORECASE)


class TooMuchWorkError(Exception):
    """Parsing the letter takes more than MOST_STEPS steps, or it exceeds MOST_IN_LINKS."""


def parse(text: str) -> tuple[list[Token], dict[str, Any]]:
    """Parse a cleaned letter.

    Returns:
        markdown-it's tokens, and its environment. The environment has `references`, and `too_deep`: the indexes of
        the lines at which words are lost because they are nested too deeply.

    Raises:
        TooMuchWorkError: The letter has far more markup than words.
    """
    env: dict[str, Any] = {"steps": 0, "references": {}, "too_deep": []}
    tokens = _markdown.parse(text, env)
    # Images count as well, because their URLs are repeated like those of links.
    inline = (child for token in tokens for child in token.children or ())
    if sum(len(str(value)) for child in inline for value in child.attrs.values()) > MOST_IN_LINKS:
        raise TooMuchWorkError
    return tokens, env


def _count(state: StateInline | StateBlock) -> None:
    steps = state.env["steps"] = state.env["steps"] + 1
    if steps > MOST_STEPS:
        raise TooMuchWorkError


class _Block(ParserBlock):
    """A block parser that reports where it drops words because they are nested too deeply."""

    def tokenize(self, state: StateBlock, startLine: int, endLine: int) -> None:  # noqa: N803 (named by markdown-it)
        if state.level >= state.md.options.maxNesting and state.skipEmptyLines(startLine) < endLine:
            state.env["too_deep"].append(startLine)
        super().tokenize(state, startLine, endLine)


class _Inline(ParserInline):
    """An inline parser that counts a step each time it looks ahead, and stops at bare URLs."""

    def __init__(self) -> None:
        super().__init__()
        self.terminator_re = re.compile(f"{self.terminator_re.pattern}|{_BEGINNING}", re.IGNORECASE)

    def skipToken(self, state: StateInline) -> None:  # noqa: N802 (named by markdown-it)
        _count(state)
        super().skipToken(state)


class _Markdown(MarkdownIt):
    """CommonMark with the rules of a letter."""

    def __init__(self) -> None:
        super().__init__("commonmark", {"html": False})
        block, inline = _Block(), _Inline()
        block.ruler.enableOnly(self.block.ruler.get_active_rules())
        inline.ruler.enableOnly(self.inline.ruler.get_active_rules())
        inline.ruler2.enableOnly(self.inline.ruler2.get_active_rules())
        self.block, self.inline = block, inline
        self.disable(["code", "fence"])
        block.ruler.at("lheading", _underlined_heading)
        inline.ruler.before("text", "count", _count_inline)
        inline.ruler.after("text", "bare_url", _bare_url)
        # Also count where the parser checks whether a line ends a paragraph, quote, or list.
        anywhere: RuleOptionsType = {"alt": ["paragraph", "reference", "blockquote", "list"]}
        block.ruler.before("code", "count", _count_block, anywhere)

    def normalizeLink(self, url: str) -> str:  # noqa: N802 (named by markdown-it)
        """Return the URL in ASCII, with its scheme if it lacks one. Return a URL that can't be used unchanged."""
        try:
            # Markdown allows spaces in a URL in angle brackets.
            return super().normalizeLink(urls.completed(url.replace(" ", "%20"), mail=True))
        except ValueError:
            return url

    def validateLink(self, url: str) -> bool:  # noqa: N802 (named by markdown-it)
        """Accept every URL as the target of a link, because tree.py checks it, and reports unusable ones."""
        return True


def _count_inline(state: StateInline, _silent: bool) -> bool:
    """Count a step, as an inline rule that the parser tries first and that never matches."""
    _count(state)
    return False


def _count_block(state: StateBlock, _start: int, _end: int, _silent: bool) -> bool:
    """Count a step, as a block rule that never matches."""
    _count(state)
    return False


def _underlined_heading(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Accept a heading that is underlined with equals signs, as a block rule. With hyphens, it's none."""
    before, parent = len(state.tokens), state.parentType
    if not lheading(state, start, end, silent):
        return False
    if state.tokens[-1].markup == "=":
        return True
    del state.tokens[before:]
    state.line, state.parentType = start, parent
    return False


def _bare_url(state: StateInline, silent: bool) -> bool:
    """Make a link of a URL among the words, as an inline rule. It ends as in GitHub Flavored Markdown, section 6.9."""
    found = None if state.linkLevel else _BARE_URL.match(state.src, state.pos, state.posMax)
    if not found:
        return False
    url = _without_punctuation(found[0])
    try:
        urls.completed(url)
    except ValueError:
        return False
    if not silent:
        opening = state.push("link_open", "a", 1)
        opening.attrs, opening.info = {"href": state.md.normalizeLink(url)}, "auto"
        state.push("text", "", 0).content = url
        state.push("link_close", "a", -1)
    state.pos += len(url)
    return True


def _without_punctuation(url: str) -> str:
    """Return the URL without the punctuation after it. A closing parenthesis stays if the URL has the opening one."""
    end, surplus = len(url), url.count(")") - url.count("(")
    while end:
        if url[end - 1] == ")" and surplus > 0:
            surplus -= 1
        elif url[end - 1] not in "?!.,:;*_~'…":
            break
        end -= 1
    return url[:end]


_markdown = _Markdown()
