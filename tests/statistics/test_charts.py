"""Charts and maps comply with the content security policy, are accessible, and include every place."""

import re
from xml.etree import ElementTree

import pytest

from campaign.signatures import places
from campaign.signatures.countries import countries
from campaign.statistics import charts, maps
from campaign.statistics.charts import Bar

SVG = "{http://www.w3.org/2000/svg}"


def draw(values: list[int]) -> str:
    bars = [Bar(f"Hour {n}", "noon" if n % 12 == 0 else "", value) for n, value in enumerate(values)]
    return charts.bars(bars, "times", "Signatures", "Most: 9")


@pytest.mark.parametrize("values", [[0], [1], [0, 0, 0], [5] * 48, [0, 10**7], list(range(400))])
def test_each_bar_has_its_name_and_value(values: list[int]) -> None:
    drawing = ElementTree.fromstring(draw(values))  # noqa: S314 (our own SVG)
    assert [bar.findtext("title") for bar in drawing.iter("rect")] == [f"Hour {n}: {v:,}" for n, v in enumerate(values)]
    heights = [float(bar.get("height", "")) for bar in drawing.iter("rect")]
    assert all(
        (height > 0) == (value > 0) for height, value in zip(heights, values, strict=True) if value * 500 >= max(values)
    )
    assert [text.text for text in drawing.iter("text")].count("noon") == -(-len(values) // 12)


def test_chart_has_an_accessible_name_and_description() -> None:
    drawing = ElementTree.fromstring(draw([9, 1]))  # noqa: S314
    assert drawing.get("role") == "img"
    assert drawing.get("aria-labelledby") == "times-title times-description"
    assert (drawing.findtext("title"), drawing.findtext("desc")) == ("Signatures", "Most: 9")


def test_chart_svg_has_no_styles_scripts_or_external_references() -> None:
    drawing = draw([1, 2, 3])
    assert set(re.findall(r"<(\w+)", drawing)) == {"svg", "title", "desc", "g", "path", "rect", "text"}
    assert not re.search(r"style|<script|href|http|\son\w+=", drawing)


def test_chart_text_is_escaped() -> None:
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
def test_scale_has_round_numbers(most: int, ticks: list[int]) -> None:
    texts = [text.replace(",", "") for text in re.findall(r"<text[^>]*>([\d,]+)</text>", draw([most]))]
    assert texts == [str(tick) for tick in ticks]


def test_every_country_has_its_own_tile_on_the_map() -> None:
    world = maps.world({})
    assert sorted(tile.code for tile in world.tiles) == sorted(countries("en"))
    assert len({(tile.column, tile.row) for tile in world.tiles}) == len(world.tiles)


def test_every_state_and_territory_has_its_own_tile_on_the_map() -> None:
    others = {"FM", "MH", "PW", "AA", "AE", "AP"}
    assert {tile.code for tile in maps.states({}).tiles} == set(places.US_STATES) - others
    assert len(maps.states({}).tiles) == 56


def test_more_signatures_make_darker_tiles() -> None:
    counts = {"AL": 1, "AK": 1, "AZ": 2, "AR": 3, "CA": 50, "CO": 60, "CT": 700, "DE": 8000, "": 9}
    shown = maps.states(counts)
    shades = {tile.code: tile.shade for tile in shown.tiles}
    assert [shades[code] for code in counts if code] == [1, 1, 2, 2, 3, 3, 4, 4]
    assert shades["TX"] == 0
    assert shown.legend == [(1, 1, 1), (2, 2, 3), (3, 50, 60), (4, 700, 8000)]


def test_single_country_gets_the_darkest_shade() -> None:
    shown = maps.world({"FR": 3})
    assert [(tile.name, tile.shade) for tile in shown.tiles if tile.shade] == [("France", 4)]
    assert shown.legend == [(4, 3, 3)]
    assert maps.world({}).legend == []
