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
    to: str
    """Printed above the addressees."""
    signatories: str
    """The heading of the list."""
    not_named: str
    """Printed before the number of signatures that count, but aren't named. A label, so it needs no plural."""


_WORDS = {
    "ar": Words(
        "مجهول",
        {"one": "توقيع", "two": "توقيعان", "few": "تواقيع", "many": "توقيعًا", "other": "توقيع"},
        "للتسليم",
        "إلى:",
        "الموقّعون",
        "غير مذكورين بالاسم في هذا الكتاب",
    ),
    "cs": Words(
        "Anonymně",
        {"one": "podpis", "few": "podpisy", "many": "podpisu", "other": "podpisů"},
        "K předání",
        "Komu:",
        "Podepsaní",
        "V této knize nejmenovaní",
    ),
    "da": Words(
        "Anonym",
        {"one": "underskrift", "other": "underskrifter"},
        "Til overdragelse",
        "Til:",
        "Underskrivere",
        "Ikke nævnt ved navn i denne bog",
    ),
    "de": Words(
        "Anonym",
        {"one": "Unterschrift", "other": "Unterschriften"},
        "Zur Übergabe",
        "An:",
        "Unterzeichnende",
        "In diesem Buch nicht namentlich genannt",
    ),
    "en": Words(
        "Anonymous",
        {"one": "signature", "other": "signatures"},
        "For delivery",
        "To:",
        "Signatories",
        "Not named in this book",
    ),
    "es": Words(
        "Anónimo", {"one": "firma", "other": "firmas"}, "Para entregar", "A:", "Firmantes", "Sin nombrar en este libro"
    ),
    "fa": Words("ناشناس", {"other": "امضا"}, "برای تحویل", "به:", "امضاکنندگان", "بدون ذکر نام در این کتاب"),
    "fi": Words(
        "Nimetön",
        {"one": "allekirjoitus", "other": "allekirjoitusta"},
        "Luovutettavaksi",
        "Vastaanottaja:",
        "Allekirjoittajat",
        "Tässä kirjassa nimeämättä",
    ),
    "fr": Words(
        "Anonyme",
        {"one": "signature", "other": "signatures"},
        "À remettre",
        "À :",
        "Signataires",
        "Non nommés dans ce livre",
    ),
    "he": Words("אנונימי", {"one": "חתימה", "other": "חתימות"}, "למסירה", "אל:", "החותמים", "לא נקובים בשם בספר זה"),
    "it": Words(
        "Anonimo",
        {"one": "firma", "other": "firme"},
        "Da consegnare",
        "A:",
        "Firmatari",
        "Non nominati in questo libro",
    ),
    "ja": Words("匿名", {"other": "署名"}, "提出用", "宛先:", "署名者", "この冊子に氏名を記載していない署名"),
    "ko": Words("익명", {"other": "서명"}, "제출용", "받는 사람:", "서명자", "이 책에 이름을 싣지 않은 서명"),
    "nb": Words(
        "Anonym",
        {"one": "underskrift", "other": "underskrifter"},
        "Til overlevering",
        "Til:",
        "Underskrivere",
        "Ikke nevnt ved navn i denne boken",
    ),
    "nl": Words(
        "Anoniem",
        {"one": "handtekening", "other": "handtekeningen"},
        "Ter overhandiging",
        "Aan:",
        "Ondertekenaars",
        "Niet bij naam genoemd in dit boek",
    ),
    "pl": Words(
        "Anonimowo",
        {"one": "podpis", "few": "podpisy", "many": "podpisów", "other": "podpisu"},
        "Do przekazania",
        "Do:",
        "Sygnatariusze",
        "Niewymienieni z nazwiska w tej księdze",
    ),
    "pt": Words(
        "Anónimo",
        {"one": "assinatura", "other": "assinaturas"},
        "Para entrega",
        "Para:",
        "Signatários",
        "Não nomeados neste livro",
    ),
    "ru": Words(
        "Анонимно",
        {"one": "подпись", "few": "подписи", "many": "подписей", "other": "подписи"},
        "Для передачи",
        "Кому:",
        "Подписавшиеся",
        "Не названы в этой книге",
    ),
    "sv": Words(
        "Anonym",
        {"one": "underskrift", "other": "underskrifter"},
        "För överlämning",
        "Till:",
        "Undertecknare",
        "Inte namngivna i denna bok",
    ),
    "tr": Words(
        "Anonim", {"other": "imza"}, "Teslim edilmek üzere", "Kime:", "İmzacılar", "Bu kitapta adı geçmeyenler"
    ),
    "uk": Words(
        "Анонімно",
        {"one": "підпис", "few": "підписи", "many": "підписів", "other": "підпису"},
        "Для передачі",
        "Кому:",
        "Підписанти",
        "Не названі в цій книзі",
    ),
    "zh": Words("匿名", {"other": "签名"}, "递交用", "致:", "签名者", "本册未列出姓名的签名"),
}


def signatures(count: int, language: str) -> str:
    """Return the word "signatures" as it follows this count, in the language of this BCP 47 tag."""
    forms = of(language).signatures
    known = Locale.parse(language, sep="-") if of(language) is not _WORDS["en"] else Locale("en")
    return forms.get(known.plural_form(count), forms["other"])


def of(language: str) -> Words:
    """Return the words in the language of this BCP 47 tag."""
    return _WORDS.get(language.partition("-")[0].lower(), _WORDS["en"])
