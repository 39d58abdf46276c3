"""Figures as drawings that our policy lets into a page, that can be read without colour, and that leave nobody out."""

import re
from xml.etree import ElementTree

import pytest

from campaign import charts, places, tiles
from campaign.charts import Bar

SVG = "{http://www.w3.org/2000/svg}"


def draw(values: list[int]) -> str:
    bars = [Bar(f"Hour {n}", "noon" if n % 12 == 0 else "", value) for n, value in enumerate(values)]
    return charts.bars(bars, "times", "Signatures", "Most: 9")


@pytest.mark.parametrize("values", [[0], [1], [0, 0, 0], [5] * 48, [0, 10**7], list(range(400))])
def test_there_is_a_bar_for_each_with_its_name_and_figure(values: list[int]) -> None:
    drawing = ElementTree.fromstring(draw(values))  # noqa: S314 (our own drawing)
    assert [bar.findtext("title") for bar in drawing.iter("rect")] == [f"Hour {n}: {v:,}" for n, v in enumerate(values)]
    heights = [float(bar.get("height", "")) for bar in drawing.iter("rect")]
    assert all(
        (height > 0) == (value > 0) for height, value in zip(heights, values, strict=True) if value * 500 >= max(values)
    )
    assert [text.text for text in drawing.iter("text")].count("noon") == -(-len(values) // 12)


def test_it_has_a_name_and_says_in_words_what_it_shows() -> None:
    drawing = ElementTree.fromstring(draw([9, 1]))  # noqa: S314
    assert drawing.get("role") == "img"
    assert drawing.get("aria-labelledby") == "times-title times-description"
    assert (drawing.findtext("title"), drawing.findtext("desc")) == ("Signatures", "Most: 9")


def test_nothing_in_it_is_styled_run_or_fetched() -> None:
    drawing = draw([1, 2, 3])
    assert set(re.findall(r"<(\w+)", drawing)) == {"svg", "title", "desc", "g", "path", "rect", "text"}
    assert not re.search(r"style|<script|href|http|\son\w+=", drawing)


def test_words_stay_words() -> None:
    drawing = charts.bars([Bar('<b> & "', '<b> & "', 1)], "times", "<i>", "</svg><script>")
    assert "<b>" not in drawing
    assert "<i>" not in drawing
    assert "<script" not in drawing
    ElementTree.fromstring(drawing)  # noqa: S314


@pytest.mark.parametrize(
    ("most", "ticks"),
    [
        (0, [0, 1]),
        (1, [0, 1]),
        (3, [0, 1, 2, 3]),
        (7, [0, 2, 4, 6, 8]),
        (100, [0, 50, 100]),
        (12_345, [0, 5_000, 10_000, 15_000]),
    ],
)
def test_the_scale_has_round_numbers(most: int, ticks: list[int]) -> None:
    texts = [text.replace(",", "") for text in re.findall(r"<text[^>]*>([\d,]+)</text>", draw([most]))]
    assert texts == [str(tick) for tick in ticks]


def test_every_country_has_its_own_tile_on_the_map() -> None:
    world = tiles.world({})
    assert sorted(tile.code for tile in world.tiles) == sorted(places.countries("en"))
    assert len({(tile.column, tile.row) for tile in world.tiles}) == len(world.tiles)


def test_every_state_and_territory_has_its_own_tile_on_the_map() -> None:
    others = {"FM", "MH", "PW", "AA", "AE", "AP"}
    assert {tile.code for tile in tiles.states({}).tiles} == set(places.US_STATES) - others
    assert len(tiles.states({}).tiles) == 56


def test_tiles_are_darker_where_more_have_signed() -> None:
    counts = {"AL": 1, "AK": 1, "AZ": 2, "AR": 3, "CA": 50, "CO": 60, "CT": 700, "DE": 8000, "": 9}
    shown = tiles.states(counts)
    shades = {tile.code: tile.shade for tile in shown.tiles}
    assert [shades[code] for code in counts if code] == [1, 1, 2, 2, 3, 3, 4, 4]
    assert shades["TX"] == 0
    assert shown.legend == [(1, 1, 1), (2, 2, 3), (3, 50, 60), (4, 700, 8000)]


def test_where_only_one_has_signed_that_is_most() -> None:
    shown = tiles.world({"FR": 3})
    assert [(tile.name, tile.shade) for tile in shown.tiles if tile.shade] == [("France", 4)]
    assert shown.legend == [(4, 3, 3)]
    assert tiles.world({}).legend == []
