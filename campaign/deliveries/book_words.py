"""The book's own words in the campaign's language, or in English if we have no translation.

book.py and contents.py use them. Numbers, dates, and names of countries come from CLDR.
"""

from dataclasses import dataclass

from babel import Locale


@dataclass(frozen=True)
class Words:
    """The words of one language."""

    anonymous: str
    """Printed instead of an anonymous signer's name."""
    signatures: dict[str, str]
    """The word "signatures" by CLDR plural category, with `other` for the rest."""
    for_delivery: str
    """Printed on the cover, because the organization also has files that are for itself only."""


_WORDS = {
    "ar": Words(
        "مجهول", {"one": "توقيع", "two": "توقيعان", "few": "تواقيع", "many": "توقيعًا", "other": "توقيع"}, "للتسليم"
    ),
    "cs": Words("Anonymně", {"one": "podpis", "few": "podpisy", "many": "podpisu", "other": "podpisů"}, "K předání"),
    "da": Words("Anonym", {"one": "underskrift", "other": "underskrifter"}, "Til overdragelse"),
    "de": Words("Anonym", {"one": "Unterschrift", "other": "Unterschriften"}, "Zur Übergabe"),
    "en": Words("Anonymous", {"one": "signature", "other": "signatures"}, "For delivery"),
    "es": Words("Anónimo", {"one": "firma", "other": "firmas"}, "Para entregar"),
    "fa": Words("ناشناس", {"other": "امضا"}, "برای تحویل"),
    "fi": Words("Nimetön", {"one": "allekirjoitus", "other": "allekirjoitusta"}, "Luovutettavaksi"),
    "fr": Words("Anonyme", {"one": "signature", "other": "signatures"}, "À remettre"),
    "he": Words("אנונימי", {"one": "חתימה", "other": "חתימות"}, "למסירה"),
    "it": Words("Anonimo", {"one": "firma", "other": "firme"}, "Da consegnare"),
    "ja": Words("匿名", {"other": "署名"}, "提出用"),
    "ko": Words("익명", {"other": "서명"}, "제출용"),
    "nb": Words("Anonym", {"one": "underskrift", "other": "underskrifter"}, "Til overlevering"),
    "nl": Words("Anoniem", {"one": "handtekening", "other": "handtekeningen"}, "Ter overhandiging"),
    "pl": Words(
        "Anonimowo", {"one": "podpis", "few": "podpisy", "many": "podpisów", "other": "podpisu"}, "Do przekazania"
    ),
    "pt": Words("Anónimo", {"one": "assinatura", "other": "assinaturas"}, "Para entrega"),
    "ru": Words(
        "Анонимно", {"one": "подпись", "few": "подписи", "many": "подписей", "other": "подписи"}, "Для передачи"
    ),
    "sv": Words("Anonym", {"one": "underskrift", "other": "underskrifter"}, "För överlämning"),
    "tr": Words("Anonim", {"other": "imza"}, "Teslim edilmek üzere"),
    "uk": Words(
        "Анонімно", {"one": "підпис", "few": "підписи", "many": "підписів", "other": "підпису"}, "Для передачі"
    ),
    "zh": Words("匿名", {"other": "签名"}, "递交用"),
}


def anonymous(language: str) -> str:
    """Return the word for an anonymous signer, in the language of this BCP 47 tag."""
    return _of(language).anonymous


def for_delivery(language: str) -> str:
    """Return the words "for delivery", in the language of this BCP 47 tag."""
    return _of(language).for_delivery


def signatures(count: int, language: str) -> str:
    """Return the word "signatures" as it follows this count, in the language of this BCP 47 tag."""
    forms = _of(language).signatures
    known = Locale.parse(language, sep="-") if _of(language) is not _WORDS["en"] else Locale("en")
    return forms.get(known.plural_form(count), forms["other"])


def _of(language: str) -> Words:
    return _WORDS.get(language.partition("-")[0].lower(), _WORDS["en"])
