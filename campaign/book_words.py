"""The few words of our own in the book that is handed over, in the campaign's language; English where we have none.

book.py and delivery.py ask for them; numbers, dates and countries come from CLDR.
"""

from dataclasses import dataclass

from babel import Locale


@dataclass(frozen=True)
class Words:
    """Those of one language."""

    anonymous: str
    """Who signed, where that is not to be told."""
    signatures: dict[str, str]
    """What is counted, by CLDR's plural category, `other` for those not named."""


_WORDS = {
    "ar": Words("مجهول", {"one": "توقيع", "two": "توقيعان", "few": "تواقيع", "many": "توقيعًا", "other": "توقيع"}),
    "cs": Words("Anonymně", {"one": "podpis", "few": "podpisy", "many": "podpisu", "other": "podpisů"}),
    "da": Words("Anonym", {"one": "underskrift", "other": "underskrifter"}),
    "de": Words("Anonym", {"one": "Unterschrift", "other": "Unterschriften"}),
    "en": Words("Anonymous", {"one": "signature", "other": "signatures"}),
    "es": Words("Anónimo", {"one": "firma", "other": "firmas"}),
    "fa": Words("ناشناس", {"other": "امضا"}),
    "fi": Words("Nimetön", {"one": "allekirjoitus", "other": "allekirjoitusta"}),
    "fr": Words("Anonyme", {"one": "signature", "other": "signatures"}),
    "he": Words("אנונימי", {"one": "חתימה", "other": "חתימות"}),
    "it": Words("Anonimo", {"one": "firma", "other": "firme"}),
    "ja": Words("匿名", {"other": "署名"}),
    "ko": Words("익명", {"other": "서명"}),
    "nb": Words("Anonym", {"one": "underskrift", "other": "underskrifter"}),
    "nl": Words("Anoniem", {"one": "handtekening", "other": "handtekeningen"}),
    "pl": Words("Anonimowo", {"one": "podpis", "few": "podpisy", "many": "podpisów", "other": "podpisu"}),
    "pt": Words("Anónimo", {"one": "assinatura", "other": "assinaturas"}),
    "ru": Words("Анонимно", {"one": "подпись", "few": "подписи", "many": "подписей", "other": "подписи"}),
    "sv": Words("Anonym", {"one": "underskrift", "other": "underskrifter"}),
    "tr": Words("Anonim", {"other": "imza"}),
    "uk": Words("Анонімно", {"one": "підпис", "few": "підписи", "many": "підписів", "other": "підпису"}),
    "zh": Words("匿名", {"other": "签名"}),
}


def anonymous(language: str) -> str:
    """What stands in a name's place, in the language of that BCP 47 tag."""
    return _of(language).anonymous


def signatures(count: int, language: str) -> str:
    """The word after so many signatures, in the language of that BCP 47 tag."""
    forms = _of(language).signatures
    known = Locale.parse(language, sep="-") if _of(language) is not _WORDS["en"] else Locale("en")
    return forms.get(known.plural_form(count), forms["other"])


def _of(language: str) -> Words:
    return _WORDS.get(language.partition("-")[0].lower(), _WORDS["en"])
