"""The language of the current page: it translates, and it never reaches another thread or request."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from campaign.languages import speaking


def test_message_is_translated_into_the_language_in_use() -> None:
    assert speaking.gettext("Country") == "Country"
    with speaking.use("de"):
        assert speaking.gettext("Country") == "Land"
        with speaking.use("es-MX"):
            assert speaking.current().tag == "es-MX"
            assert speaking.gettext("Country") == "País"
        assert speaking.gettext("Country") == "Land"
    assert speaking.gettext("Country") == "Country"


def test_lazy_message_is_translated_when_it_is_shown() -> None:
    label = speaking.lazy_gettext("Country")
    with speaking.use("de"):
        assert str(label) == "Land"
    assert str(label) == "Country"


def test_text_in_a_language_without_a_catalog_stands_on_an_english_page() -> None:
    with speaking.use("eo") as language:
        assert (language.tag, language.direction) == ("en", "ltr")
    with speaking.use("ar") as language:
        assert (language.tag, language.direction) == ("ar", "rtl")


def test_plural_form_follows_the_number() -> None:
    one, many = "%(number)s person signed it.", "%(number)s people signed it."
    assert speaking.ngettext(one, many, 1, number="1") == "1 person signed it."
    assert speaking.ngettext(one, many, 2, number="2") == "2 people signed it."
    with speaking.use("pl"):
        forms = {speaking.ngettext(one, many, number, number="") for number in (1, 2, 5)}
    assert len(forms) == 3


def test_threads_have_languages_of_their_own() -> None:
    tags = ["de", "es", "ar", "ja"]
    together = Barrier(len(tags))

    def word(tag: str) -> list[str]:
        words = []
        for _ in range(20):
            with speaking.use(tag):
                together.wait(timeout=30)
                words.append(speaking.gettext("Country"))
        return words

    with ThreadPoolExecutor(len(tags)) as pool:
        found = list(pool.map(word, tags))
    assert [len(set(words)) for words in found] == [1, 1, 1, 1]
    assert len({words[0] for words in found}) == len(tags)
