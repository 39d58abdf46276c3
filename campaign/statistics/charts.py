"""Bar charts as inline SVG, drawn by pygal and colored by desk.css.

Only shapes and text of pygal's drawings are used. The drawings also contain styles and scripts, which our content
security policy forbids within a page.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from pygal import Bar as BarChart
from pygal.style import Style

WIDTH, HEIGHT = 400, 190
"""The size in units of the drawing. It is small, so that text is legible on a screen 320 pixels wide."""
LETTERS = 14
"""The font size on a phone, in the same units, for which pygal leaves room. desk.css reduces it on wide screens."""


@dataclass(frozen=True)
class Bar:
    """A bar of a chart."""

    name: str
    """What the bar stands for, shown in its tooltip."""
    label: str
    """The text below the bar. It is empty for most bars, because not all labels fit."""
    value: int


def bars(bars: Sequence[Bar], key: str, title: str, description: str) -> str:
    """Return a bar chart as inline SVG.

    Args:
        key: The prefix of the element ids in the SVG.
        title: The accessible name of the chart.
        description: What the chart shows, in words.
    """
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
    shapes = _copy(plot, (f"{bar.name}: {bar.value:,}" for bar in bars))
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="{key}-title {key}-description">'
        f'<title id="{key}-title">{escape(title)}</title>'
        f'<desc id="{key}-description">{escape(description)}</desc>{shapes}</svg>'
    )


def _ticks(most: int) -> list[int]:
    """Return round numbers from 0 to `most` or slightly more, at most four of them above 0."""
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
"""The elements and attributes that are copied from a drawing."""


def _copy(node: Any, names: Iterator[str]) -> str:
    """Return the allowed shapes and text of a node as SVG, with the next of the `names` as each bar's tooltip."""
    tag, kind = str(node.tag).rpartition("}")[2], node.get("class", "")
    # Leave out the guide lines of bars without a label, which would be too close together.
    if tag not in _ATTRIBUTES or kind == "background" or (kind == "guides" and not any(c.text for c in node)):
        return ""
    inner = "".join(_copy(child, names) for child in node)
    if tag == "rect":
        inner = f"<title>{escape(next(names))}</title>"
    elif tag == "text":
        inner = escape(node.text or "")
    if kind in ("bar", "bars", "guides") or kind.startswith("series"):
        return inner
    allowed = ((name, node.get(name)) for name in _ATTRIBUTES[tag])
    attributes = "".join(f' {name}="{escape(_rounded(value))}"' for name, value in allowed if value)
    return f"<{tag}{attributes}>{inner}</{tag}>"


def _rounded(value: str) -> str:
    return re.sub(r"\d+\.\d+", lambda number: f"{float(number[0]):.1f}".removesuffix(".0"), value)
