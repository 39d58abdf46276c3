"""What an organizer must correct before a letter can be saved. A letter that was saved earlier is shown in any case."""

from collections.abc import Iterator
from typing import Any

from markdown_it.token import Token

from campaign.campaigns.letter import markdown, tree
from campaign.campaigns.letter.cleaning import cleaned
from campaign.campaigns.letter.markdown import TooMuchWorkError
from campaign.text.bounded_text import quoted, shortened

MOST_LINKS = 3
"""The most links that an error names."""
_TOO_MUCH = "The letter has too much Markdown. Remove some of its links, brackets, asterisks, or lists"


def check(letter: str) -> None:
    """Check that a letter of at most LETTER_LENGTH characters can be shown as its author means it.

    Raises:
        ValueError: The letter has no words, too much Markdown, a table, or a link that can't be used. The message is
            a sentence or more that says what to do, and on which lines.
    """
    text = cleaned(letter)
    try:
        tokens, env = markdown.parse(text)
    except TooMuchWorkError:
        raise ValueError(_TOO_MUCH) from None
    if not any(token.content.strip() for token in tree.flat(tokens)):
        raise ValueError("Write the letter")
    lines = text.split("\n")
    errors = [*_link_errors(tokens, env), *_broken_link_errors(tokens), *_hidden_errors(tokens, env)]
    errors += [*_table_errors(lines), *_nesting_errors(env)]
    if errors:
        raise ValueError(". ".join(errors))


def _link_errors(tokens: list[Token], env: dict[str, Any]) -> Iterator[str]:
    wrong = [link for link in _links(tokens, env) if not tree.is_usable(link[2])]
    if wrong:
        shown = [f"“{shortened(words, 40)}” on line {line} ({quoted(url)})" for line, words, url in wrong[:MOST_LINKS]]
        more = [f"and {len(wrong) - MOST_LINKS} more"] if len(wrong) > MOST_LINKS else []
        yield f"Enter a full web address, like https://example.org/page, for the link {', '.join(shown + more)}"


def _links(tokens: list[Token], env: dict[str, Any]) -> Iterator[tuple[int, str, str]]:
    """Yield the line, words, and URL of each link, in order. First come references, such as "[a]: https://…"."""
    for label, reference in env["references"].items():
        yield reference["map"][0] + 1, f"[{label.lower()}]:", reference["href"]
    referenced = {reference["href"] for reference in env["references"].values()}
    for block in tokens:
        children, line = block.children or [], (block.map or [0])[0] + 1
        for index, token in enumerate(children):
            line += token.type in ("softbreak", "hardbreak")
            # <Name:Ada> looks like a link to markdown-it. tree.py shows it as text.
            if token.type == "link_open" and token.markup != "autolink" and token.attrs["href"] not in referenced:
                yield line, _words(children, index + 1), str(token.attrs["href"])


def _broken_link_errors(tokens: list[Token]) -> Iterator[str]:
    """Yield an error if a link would be shown as typed, because its URL has a space or a bracket is missing."""
    for block in tokens:
        line = (block.map or [0])[0] + 1
        for token in block.children or []:
            line += token.type in ("softbreak", "hardbreak")
            found = token.content.find("](") if token.type == "text" else -1
            if found >= 0:
                words = token.content[max(token.content.rfind("[", 0, found), found - 40, 0) : found + 1]
                yield (
                    f"Correct the link “{words}” on line {line}. Its address can’t have a space, and ends with ). "
                    "To show it as typed, put a space between ] and ("
                )
                return


def _words(tokens: list[Token], begin: int) -> str:
    """Return the words of the link that begins before the token at this index."""
    end = begin
    while tokens[end].type != "link_close":
        end += 1
    return "".join(token.content for token in tokens[begin:end])


def _hidden_errors(tokens: list[Token], env: dict[str, Any]) -> Iterator[str]:
    """Yield an error if no link uses a reference. Its author may have meant it as words, as in "[Contact]: Ada"."""
    used = {value for block in tokens for token in block.children or [] for value in token.attrs.values()}
    references = [
        (reference["map"][0], label) for label, reference in env["references"].items() if reference["href"] not in used
    ]
    references += [(reference["map"][0], reference["label"]) for reference in env.get("duplicate_refs", [])]
    if references:
        index, label = min(references)
        what = f"“[{shortened(label.lower(), 40)}]:” on line {index + 1}"
        yield f"Write a word before {what}. A line that begins like this is the address of a link, and isn’t shown"


def _table_errors(lines: list[str]) -> Iterator[str]:
    above = ""
    for number, line in enumerate(lines, 1):
        if _is_rule(line) or (_is_row(line) and _is_row(above)):
            first = number - 1 if above.strip() else number
            yield f"Write a list instead of the table on line {first}. A letter can’t show tables"
            return
        above = line


def _is_row(line: str) -> bool:
    line = line.strip("> \t")
    return len(line) > 2 and line[0] == line[-1] == "|"


def _is_rule(line: str) -> bool:
    """Return whether the line is a table's rule, such as |---|:--| or +---+---+."""
    line = line.strip("> \t")
    return "-" in line and ("|" in line or line.startswith("+-")) and not line.strip("|+:-= \t")


def _nesting_errors(env: dict[str, Any]) -> Iterator[str]:
    if env["too_deep"]:
        yield f"Use fewer levels of lists or quotes on line {min(env['too_deep']) + 1}"
