"""Bar charts as inline SVG, colored by desk.css.

A chart of a thousand days takes a few milliseconds. Chart libraries take up to a hundred times as long, and their
drawings contain styles and scripts, which our content security policy forbids within a page.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 400, 190
"""The size in units of the drawing. It is small, so that text is legible on a screen 320 pixels wide."""
MARGIN = 6
LETTER = 8.5
"""The width of a digit on a phone, in the same units. desk.css reduces the text on wide screens."""
LABELS = 29
"""The height of the labels below the bars, with their distance."""
GAP = 0.2
"""The part of a bar's place that stays empty."""


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
        bars: The bars, from left to right.
        key: The prefix of the element ids in the SVG.
        title: The accessible name of the chart.
        description: What the chart shows, in words.
    """
    ticks = _ticks(max(bar.value for bar in bars))
    left = MARGIN + LETTER * len(f"{ticks[-1]:,}")
    width, height = WIDTH - left - MARGIN, HEIGHT - LABELS - MARGIN
    step, unit = width / len(bars), height / ticks[-1]
    lines = (
        f'<path d="M0 {_n(height - tick * unit)} h{_n(width)}"/>'
        f'<text x="-5" y="{_n(height - tick * unit + 5)}">{tick:,}</text>'
        for tick in ticks
    )
    labels = (
        f'<path d="M{_n((n + 0.5) * step)} 0 v{_n(height)}"/>'
        f'<text x="{_n((n + 0.5) * step)}" y="{_n(height + 20)}">{escape(bar.label)}</text>'
        for n, bar in enumerate(bars)
        if bar.label
    )
    wide = _n(step * (1 - GAP))
    shapes = (
        f'<rect x="{_n((n + GAP / 2) * step)}" y="{_n(height - bar.value * unit)}" width="{wide}" '
        f'height="{_n(bar.value * unit)}"><title>{escape(bar.name)}: {bar.value:,}</title></rect>'
        for n, bar in enumerate(bars)
    )
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="{key}-title {key}-description">'
        f'<title id="{key}-title">{escape(title)}</title><desc id="{key}-description">{escape(description)}</desc>'
        f'<g transform="translate({_n(left)} {MARGIN})"><g class="y">{"".join(lines)}</g>'
        f'<g class="x">{"".join(labels)}</g>{"".join(shapes)}</g></svg>'
    )


def _ticks(most: int) -> list[int]:
    """Return round numbers from 0 to `most` or slightly more, at most four of them above 0."""
    most = max(most, 1)
    power: int = 10 ** max(0, len(str(most // 4)) - 1)
    step = next(step * power for step in (1, 2, 5, 10) if step * power * 4 >= most)
    return list(range(0, most + step, step))


def _n(value: float) -> str:
    """Return a number with at most two decimals."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
