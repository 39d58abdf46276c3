"""Dates, times, and isolation of text: CLDR's patterns in every language, and no run of text that reorders another."""

from datetime import UTC, date, datetime

import pytest
from babel.localedata import locale_identifiers

from campaign.web import formatting

AT = datetime(2027, 3, 1, 9, 5, 7, tzinfo=UTC)
TAGS = [identifier.replace("_", "-") for identifier in locale_identifiers()]


# From CLDR 48: the pattern of long dates, the joined pattern, and the clock of short times.
@pytest.mark.parametrize(
    ("language", "zone", "expected"),
    [
        ("en", "America/New_York", "March 1, 2027, 4:05 AM GMT-05:00"),
        ("en", "UTC", "March 1, 2027, 9:05 AM UTC"),
        ("en-GB", "Europe/London", "1 March 2027, 09:05 GMT+00:00"),
        ("de", "Europe/Berlin", "1. März 2027, 10:05 GMT+01:00"),
        ("ja", "Asia/Tokyo", "2027年3月1日 18:05 GMT+09:00"),
        ("zh", "Asia/Shanghai", "2027年3月1日 GMT+08:00 17:05"),
        ("ko", "Asia/Seoul", "2027년 3월 1일 PM 6:05 GMT+09:00"),
        ("hu", "Europe/Budapest", "2027. március 1. 10:05 GMT+01:00"),
        ("fr", "Asia/Kolkata", "1 mars 2027, 14:35 UTC+05:30"),
        ("da", "Europe/Copenhagen", "1. marts 2027 10.05 GMT+01:00"),
        ("pt-BR", "America/Sao_Paulo", "1 de março de 2027 06:05 GMT-03:00"),
        ("bg", "Europe/Sofia", "1 март 2027\u202fг., 11:05 ч. Гринуич+02:00"),
        ("ar", "Africa/Cairo", "1 مارس 2027، 11:05 ص \u2068غرينتش+02:00\u2069"),
        ("he", "Asia/Jerusalem", "1 במרץ 2027, 11:05 \u2068GMT+02:00\u200e\u2069"),
        ("fa", "Asia/Tehran", "1 مارس 2027، ساعت 12:35 \u2068+03:30 گرینویچ\u2069"),
        ("ar", "UTC", "1 مارس 2027، 9:05 ص \u2068UTC\u2069"),
    ],
)
def test_moment_has_the_languages_order_clock_and_offset(language: str, zone: str, expected: str) -> None:
    assert formatting.moment(AT, language, zone) == expected


@pytest.mark.parametrize(
    ("language", "long", "short", "without_year"),
    [
        ("en", "March 1, 2027", "Mar 1, 2027", "Mar 1"),
        ("de", "1. März 2027", "01.03.2027", "1. März"),
        ("ja", "2027年3月1日", "2027/03/01", "3月1日"),
        ("hu", "2027. március 1.", "2027. márc. 1.", "márc. 1."),
        ("ko", "2027년 3월 1일", "2027. 3. 1.", "3월 1일"),
        ("he", "1 במרץ 2027", "1 במרץ 2027", "1 במרץ"),
    ],
)
def test_day_has_the_languages_order(language: str, long: str, short: str, without_year: str) -> None:
    assert formatting.day(AT, language) == long
    assert formatting.short_day(AT.date(), language) == short
    assert formatting.short_day(AT.date(), language, year=False) == without_year


def test_clock_and_date_are_those_of_the_time_zone() -> None:
    late = datetime(2027, 3, 1, 23, 30, tzinfo=UTC)
    assert formatting.day(late, "en", "Asia/Tokyo") == "March 2, 2027"
    assert formatting.short_moment(late, "en", "Asia/Tokyo") == "Mar 2, 2027, 8:30\u202fAM"
    assert formatting.short_moment(late, "en") == "Mar 1, 2027, 11:30\u202fPM"
    assert formatting.clock(late, "de", "Asia/Tokyo") == "08:30"
    assert formatting.clock(late, "fi", seconds=True) == "23.30.00"


@pytest.mark.slow
def test_every_language_has_a_complete_moment() -> None:
    for tag in TAGS:
        shown = formatting.moment(AT, tag, "Asia/Kolkata")
        # Some calendars of CLDR abbreviate nothing, and none leaves out a part.
        assert "2027" in shown, tag
        assert "05:30" in shown, tag
        assert "35" in shown, tag
        assert formatting._ZONE_FIELD not in shown, tag
        assert formatting.short_day(date(2027, 3, 1), tag, year=False), tag


@pytest.mark.parametrize("text", ["دعوا الحديقة", "הצילו את הפארק", "Save the حديقة", "ދިވެހި", "𞤀𞤣𞤤𞤢𞤥"])
def test_right_to_left_text_is_isolated_where_markup_is_impossible(text: str) -> None:
    assert formatting.isolated(text) == f"\u2068{text}\u2069"


@pytest.mark.parametrize("text", ["Save the Park", "公園を守ろう", "Збережіть парк", "", "1,234"])
def test_other_text_is_not_changed(text: str) -> None:
    assert formatting.isolated(text) == text
