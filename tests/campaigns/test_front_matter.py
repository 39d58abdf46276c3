"""Values of a campaign file are read as their author sees them, and not as YAML guesses."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from campaign.campaigns import field_checks
from campaign.campaigns.files import front_matter, reading
from campaign.campaigns.files.reading import CampaignFileError
from tests.cli.test_publishing import KEYS, text


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "park.md"


AS_WRITTEN: dict[str, dict[str, Any]] = {
    "language": {"no": "no", "nb": "nb", "de": "de", "~": "en", "": "en", '"no"': "no", "null": "en"},
    "slug": {
        "2027": "2027",
        "1e3": "1e3",
        "0x10": "0x10",
        "010": "010",
        "null-and-void": "null-and-void",
        "yes": "yes",
    },
    "title": {
        "2027": "2027",
        "1.10": "1.10",
        "12:30": "12:30",
        "2027-03-01": "2027-03-01",
        "yes": "yes",
        "No": "No",
        "'null'": "null",
        '"~"': "~",
        "=": "=",
        ".inf": ".inf",
        '"Park #1"': "Park #1",
        "Park#1": "Park#1",
        "C# for all": "C# for all",
        "“Stop” it": "“Stop” it",
        "Save\n  the park": "Save the park",
    },
    "goal": {"010": 10, "1000": 1000, "1,000": 1000, "10_000": 10_000, "10 000": 10_000, '"10"': 10, "1’000": 1000}
    | {"１０００": 1000, "1000 # for now": 1000},
    "goal_step": {"": 0, "~": 0, "0": 0, "08": 8},
    "deliver_anonymous": {"yes": True, "No": False, "TRUE": True, "off": False, '"true"': True, "~": False, "": False},
    "category": {"no": "no", "~": "", "Null": "", "nULL": "nULL", "''": ""},
    "addressees": {
        "[1, no, ~, 2.0]": "1\nno\n2.0",
        "\n- The Mayor\n- 2027\n-": "The Mayor\n2027",
        "The Mayor": "The Mayor",
    },
    "opens_at": {
        "2027-03-01T09:00:00Z": datetime(2027, 3, 1, 9, tzinfo=UTC),
        "2027-03-01 09:00:00+01:00": datetime(2027, 3, 1, 8, tzinfo=UTC),
        '"2027-03-01T09:00Z"': datetime(2027, 3, 1, 9, tzinfo=UTC),
        "2027-3-1 9:00:00 -5": datetime(2027, 3, 1, 14, tzinfo=UTC),
        "~": None,
    },
    "donate_url": {"www.example.org": "https://www.example.org", "": "", "https://x.org/#a": "https://x.org/#a"},
}


@pytest.mark.parametrize("key", AS_WRITTEN)
def test_value_is_read_as_it_is_written(path: Path, key: str) -> None:
    for written, value in AS_WRITTEN[key].items():
        path.write_text(text(**{key: written}))
        assert getattr(reading.read(path), key) == value, written


@pytest.mark.parametrize(
    ("key", "values"),
    {
        "goal": ["1e3", "0x10", "1:30", "0o17", "10.000", "1,00", "1__0", "-5", "+5", "1 0", "½", "²", ".5", "true"],
        "goal_step": ["1e3", "no", "0b1"],
        "deliver_anonymous": ["1", "0", "y", "ja", "maybe", "[yes]", "2027-03-01"],
        "opens_at": ["2027-03-01", "1:30", "tomorrow", "2027", "2027-03-01T09:00:00", "2027-02-30T00:00:00Z"],
        "language": ["false", "off", "1", "2027-03-01", "[no]"],
        "slug": ["~", "No", "1.5", "1_000"],
    }.items(),
)
def test_value_of_another_kind_is_refused(path: Path, key: str, values: list[str]) -> None:
    for written in values:
        path.write_text(text(**{key: written}))
        with pytest.raises(CampaignFileError, match=rf"park\.md: {key}: \w+ .*"):
            reading.read(path)


BEFORE_IT = ["\ufeff", "\ufeff\ufeff", "\n\n", "\ufeff\n \n", " ", "\n\ufeff"]


@pytest.mark.parametrize("before", BEFORE_IT, ids=ascii)
def test_byte_order_mark_and_blank_lines_before_front_matter_are_skipped(path: Path, before: str) -> None:
    path.write_text(before + text().replace("title:", "\ufefftitle:"), encoding="utf-8")
    assert reading.read(path).title == KEYS["title"]
    path.write_text(before + text(title="Park #1"), encoding="utf-8")
    with pytest.raises(CampaignFileError, match=f"on line {3 + before.count(chr(10))} in quotes"):
        reading.read(path)


def test_hidden_breaks_and_blanks_of_pasted_text_do_not_end_a_value(path: Path) -> None:
    path.write_text(text(title="\u00a0Save\u2028the\u0085park\u2029now").replace("title: ", "title:"), encoding="utf-8")
    assert reading.read(path).title == "Save the park now"


PARAGRAPHS = {
    "folded": "summary: >-\n  One\n  line.\n\n  Two.\n",
    "folded with a break at its end": "summary: >\n  One\n  line.\n\n  Two.\n",
    "plain": "summary: One\n  line.\n\n  Two.\n",
    "literal": "summary: |\n  One line.\n\n  Two.\n",
    "quoted": 'summary: "One line.\\n\\nTwo."\n',
}


@pytest.mark.parametrize("written", PARAGRAPHS.values(), ids=PARAGRAPHS)
def test_empty_line_separates_paragraphs_in_every_style(path: Path, written: str) -> None:
    path.write_text(text(summary=None).replace("title:", f"{written}title:"))
    assert reading.read(path).summary == "One line.\n\nTwo."


@pytest.mark.parametrize("key", ["slug", "goal", "language", "opens_at", "deliver_anonymous"])
def test_comment_after_a_value_that_has_no_hash_is_ignored(path: Path, key: str) -> None:
    values = KEYS | {"opens_at": "2027-03-01T09:00:00Z", "deliver_anonymous": "no"}
    path.write_text(text(**{key: f"{values[key]} # for now"}))
    assert reading.read(path)
    path.write_text(text().replace("title:", "# The title: #1\ntitle:"))
    assert reading.read(path).title == KEYS["title"]


@pytest.mark.parametrize("key", ["title", "category", "summary", "thanks", "share_text", "donate_url", "donate_text"])
@pytest.mark.parametrize("comment", [" #1", "   #"])
def test_comment_that_cuts_a_text_is_refused_with_its_line(path: Path, key: str, comment: str) -> None:
    content = text(**{key: f"{KEYS[key]}{comment}"})
    line = content.split("\n").index(f"{key}: {KEYS[key]}{comment}") + 1
    path.write_text(content)
    with pytest.raises(CampaignFileError, match=f"{key}: Put the text on line {line} in quotes, or remove '#"):
        reading.read(path)


def test_lines_in_errors_are_lines_of_the_file() -> None:
    for above in ("", "\n\n", "\ufeff\n"):
        for front in ("a: 1\n\n\nb: [\n", "\n\na: 1\na: 2\n", "a: b\n# c\n\nd: e: f\n"):
            content = f"{above}---\n{front}---\n"
            wrong = next(
                number for number, line in enumerate(content.split("\n"), 1) if line in ("a: 2", "d: e: f", "b: [")
            )
            with pytest.raises(ValueError, match=r"^Line \d+ ") as error:
                front_matter.split(content)
            line = int(str(error.value).split()[1])
            # A list that isn't closed is noticed on the line after it.
            assert line - wrong in (0, 1), content


@pytest.mark.parametrize("number", ["9" * 20, "1" + ",000" * 8, "1" * 400_000, "1," * 200_000])
def test_long_number_is_refused_without_converting_it(number: str) -> None:
    with pytest.raises(ValueError, match="goal") as error:
        field_checks.number("goal", 1)(number)
    assert len(str(error.value)) < 200
