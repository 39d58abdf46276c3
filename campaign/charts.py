"""Bar charts as SVG for our pages: drawn by pygal, of which only shapes and words are taken; desk.css colours them.

Our policy allows no style and no script inside a page, and pygal's drawings have both.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from pygal import Bar as BarChart
from pygal.style import Style

WIDTH, HEIGHT = 400, 190
"""In units of the drawing; so few that its words can be read where it is 320 pixels wide."""
LETTERS = 14
"""Their height on a phone, in the same units; pygal leaves room for it. desk.css makes them smaller on wide screens."""


@dataclass(frozen=True)
class Bar:
    """One bar."""

    name: str
    """What it stands for; shown where one points at it."""
    label: str
    """What stands below it; empty for most, which would not fit."""
    value: int


def bars(bars: Sequence[Bar], key: str, title: str, description: str) -> str:
    """A bar chart as an inline SVG; `key` begins the ids in it, `description` says in words what it shows."""
    ticks = _ticks(max(bar.value for bar in bars))
    chart = BarChart(
        width=WIDTH,
        height=HEIGHT,
        margin=6,
        spacing=6,
        show_legend=False,
        js=[],
        css=[],
        style=Style(label_font_size=LETTERS, major_label_font_size=LETTERS),
        range=(0, ticks[-1]),
        x_labels=[bar.label for bar in bars],
        y_labels=[{"value": tick, "label": f"{tick:,}"} for tick in ticks],
        truncate_label=-1,
    )
    chart.add("", [bar.value for bar in bars])
    plot = next(node for node in chart.render_tree().iter() if node.get("class") == "plot")
    shapes = _taken(plot, (f"{bar.name}: {bar.value:,}" for bar in bars))
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="{key}-title {key}-description">'
        f'<title id="{key}-title">{escape(title)}</title>'
        f'<desc id="{key}-description">{escape(description)}</desc>{shapes}</svg>'
    )


def _ticks(most: int) -> list[int]:
    """Round numbers from 0 to `most` or a little more, up to four of them above 0."""
    most = max(most, 1)
    power: int = 10 ** max(0, len(str(most // 4)) - 1)
    step = next(step * power for step in (1, 2, 5, 10) if step * power * 4 >= most)
    return list(range(0, most + step, step))


_ATTRIBUTES = {
    "g": ("class", "transform"),
    "path": ("d",),
    "rect": ("x", "y", "width", "height"),
    "text": ("x", "y"),
}
"""All that is taken of a drawing."""


def _taken(node: Any, names: Iterator[str]) -> str:
    tag, kind = str(node.tag).rpartition("}")[2], node.get("class", "")
    # A line for each bar without a label would be a grating.
    if tag not in _ATTRIBUTES or kind == "background" or (kind == "guides" and not any(c.text for c in node)):
        return ""
    inner = "".join(_taken(child, names) for child in node)
    if tag == "rect":
        inner = f"<title>{escape(next(names))}</title>"
    elif tag == "text":
        inner = escape(node.text or "")
    if kind in ("bar", "bars", "guides") or kind.startswith("series"):
        return inner
    given = ((name, node.get(name)) for name in _ATTRIBUTES[tag])
    attributes = "".join(f' {name}="{escape(_rounded(value))}"' for name, value in given if value)
    return f"<{tag}{attributes}>{inner}</{tag}>"


def _rounded(value: str) -> str:
    return re.sub(r"\d+\.\d+", lambda number: f"{float(number[0]):.1f}".removesuffix(".0"), value)
