"""Short texts of several paragraphs, such as a summary. Empty lines separate the paragraphs, as in a letter."""

import re


def paragraphs(text: str) -> list[str]:
    """Return the paragraphs of a text, each on one line."""
    return [" ".join(part.split()) for part in re.split(r"\n[^\S\n]*\n", text) if part.strip()]


def one_line(text: str) -> str:
    """Return the text on one line, for example for a link preview."""
    return " ".join(text.split())
