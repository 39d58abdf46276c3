"""The PDF book: its pages, their order, languages, and scripts. User input is only ever printed as text."""

import io
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pikepdf
import pypdf
import pytest
import typst
from PIL import Image

from campaign.deliveries.book import book
from campaign.deliveries.book.book import Book, Cover
from campaign.deliveries.book.pages import Block, paper_of
from campaign.deliveries.book.signatories import Entry
from campaign.deliveries.book.typesetting import Typesetter
from campaign.languages import speaking
from campaign.models.campaign import Campaign

pytestmark = pytest.mark.slow
NOW = datetime(2027, 3, 1, 12, 30, 0, 123456, tzinfo=UTC)
LETTER = """Dear Mayor,

please *keep* the **park**, as [we wrote](https://example.org/park).

## Why

> It is ours.

3. trees
4. birds
   - owls

---

Last\\
line
"""
EVERYWHERE = [
    Entry("Zoë Ångström-Nguyễn", "Łódź"),
    Entry("Анна Каренина", "Москва"),
    Entry("Ελένη Παπαδοπούλου", "Αθήνα"),
    Entry("דוד בן־גוריון", "תל אביב"),
]
"""Names in scripts that Typst's own font has."""

Made = Callable[..., pypdf.PdfReader]


class Maker:
    """Makes books of a campaign like Save the Park, and stores the reported progress and the result."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.progress: list[int] = []
        self.book: Book | None = None

    def __call__(
        self,
        entries: Sequence[Entry | None],
        *,
        fonts: typst.Fonts | None = None,
        picture: bytes | None = None,
        country: str = "",
        **changes: Any,
    ) -> pypdf.PdfReader:
        words = {"title": "Save the Park", "addressees": "The Mayor\nThe Council", "letter": LETTER, "language": "en"}
        campaign = Campaign(**{"time_zone": "UTC", "picture_text": "A tree", **words, **changes})
        self.progress = []
        self.book = book.make(
            campaign,
            entries,
            self.file,
            cover=Cover("Friends of the Park", (datetime(2027, 1, 2, tzinfo=UTC), NOW) if entries else None, picture),
            paper=paper_of(country),
            now=NOW,
            progress=self.progress.append,
            fonts=fonts or typst.Fonts(include_system_fonts=False),
        )
        return pypdf.PdfReader(self.file)


@pytest.fixture
def make(tmp_path: Path) -> Maker:
    """Return a maker of books. By default it uses only Typst's own fonts, as on a machine without fonts."""
    return Maker(tmp_path / "book.pdf")


def text_of(page: pypdf.PageObject) -> str:
    return re.sub(r"\s+", " ", page.extract_text())


def many(number: int) -> list[Entry]:
    return [Entry(f"Signer No{index}", "Leeds, United Kingdom") for index in range(number)]


def test_book_has_cover_letter_and_signatories(make: Maker) -> None:
    cover, letter = (text_of(page) for page in make(many(3)).pages)
    for words in ("Save the Park", "To: The Mayor The Council", "3 signatures", "Friends of the Park"):
        assert words in cover
    assert "January 2, 2027 – March 1, 2027" in cover
    for words in ("please keep the park, as we wrote (https://example.org/park).", "Why", "It is ours.", "3. trees"):
        assert words in letter
    assert "owls" in letter
    listed = letter[letter.index("Signatories") :]
    assert listed.startswith("Signatories 1 Signer No0 Leeds, United Kingdom 2 Signer No1 Leeds")


def test_book_has_every_signatory_once_in_order_on_numbered_pages(make: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book, "PART", 300)
    pages = [text_of(page) for page in make(many(2000)).pages]
    found = [
        tuple(map(int, pair))
        for page in pages
        for pair in re.findall(r"([\d,]+) Signer No(\d+)", page.replace(",", ""))
    ]
    assert found == [(number + 1, number) for number in range(2000)]
    assert make.book == Book(pages=len(pages), signatories=2000, spelled_out=0)
    assert make.progress[-1] == 2000
    assert make.progress == sorted(make.progress)
    assert not re.search(r"\d / \d", pages[0])
    for number, page in enumerate(pages[1:], 2):
        assert page.endswith(f"{number} / {len(pages)}")
    on_a_page = [len(re.findall("Signer", page)) for page in pages[2:]]
    assert len(set(on_a_page[:3])) == 1, "pages must be full"
    assert min(on_a_page) > 0.3 * max(on_a_page), "no page may be nearly empty"


def test_each_page_has_a_heading_with_its_signatories(make: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    # So many parts that some are joined.
    monkeypatch.setattr(book, "PART", 150)
    monkeypatch.setattr(book, "_RESERVE", 100)
    monkeypatch.setattr(book, "_JOINED", 2)
    pages = [text_of(page) for page in make(many(1000)).pages]
    assert len(pages) > 6
    for page in pages[2:]:
        numbers = [number.replace(",", "") for number in re.findall(r"([\d,]+) Signer", page)]
        first, last = (f"{int(number):,}" for number in (numbers[0], numbers[-1]))
        assert f"Save the Park {first} – {last}" in page


def test_few_blocks_wait_however_many_signatories_there_are(make: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book, "PART", 200)
    monkeypatch.setattr(book, "_RESERVE", 100)
    measured, waiting = Typesetter.measured, list[int]()

    def measure(setter: Typesetter, blocks: Sequence[Block]) -> list[Block]:
        waiting.append(len(blocks))
        return measured(setter, blocks)

    monkeypatch.setattr(Typesetter, "measured", measure)
    make(many(3000))
    assert len(waiting) == 2
    assert max(waiting) <= 300


def test_campaign_without_signatures_has_a_book(make: Maker) -> None:
    cover, letter = (text_of(page) for page in make([]).pages)
    assert "0 signatures" in cover
    assert "Signatories" not in letter


def test_book_says_how_many_signatures_are_not_named(make: Maker) -> None:
    cover, letter = (text_of(page) for page in make([None, *many(2), None]).pages)
    assert "4 signatures" in cover
    assert "Not named in this book: 2" in cover
    assert "2 Signer No1" in letter
    assert make.progress[-1] == 4
    assert "Not named" not in text_of(make(many(2)).pages[0])


@pytest.mark.parametrize("number", [1, 5, 40, 92, 150, 230, 320])
@pytest.mark.parametrize("paragraphs", [3, 9, 10, 11, 12, 14])
def test_no_page_is_nearly_empty(make: Maker, number: int, paragraphs: int) -> None:
    letter = "\n\n".join(["We ask you to keep the park, because it is ours. " * 5] * paragraphs)
    last = make(many(number), letter=letter).pages[-1]
    lowest: list[float] = []
    last.extract_text(
        visitor_text=lambda text, cm, tm, *_: lowest.append(tm[5] * cm[3] + cm[5]) if text.strip() else None
    )
    body = sorted(y for y in lowest if 57 < y < 780)
    assert body[-1] - body[0] > 0.28 * 720


@pytest.mark.parametrize(
    ("country", "size"), [("", (595, 842)), ("DE", (595, 842)), ("US", (612, 792)), ("MX", (612, 792))]
)
def test_paper_is_that_of_the_organizations_country(make: Maker, country: str, size: tuple[int, int]) -> None:
    for page in make(many(1), country=country).pages:
        assert (round(page.mediabox.width), round(page.mediabox.height)) == size


def test_type_in_columns_is_large_enough_to_read(make: Maker) -> None:
    sizes: set[float] = set()
    page = make(many(20)).pages[1]
    page.extract_text(
        visitor_text=lambda text, cm, tm, font, size: sizes.add(size * abs(tm[3] * cm[3])) if "Signer" in text else None
    )
    assert sizes
    assert min(sizes) >= 9.5


def test_picture_is_on_the_cover_with_its_description(make: Maker) -> None:
    file = io.BytesIO()
    Image.new("RGB", (1200, 630), "green").save(file, "JPEG")
    reader = make(many(1), picture=file.getvalue())
    assert [len(page.images) for page in reader.pages] == [1, 0]
    with pikepdf.open(make.file) as pdf:
        assert "A tree" in [
            str(each.Alt) for each in pdf.objects if isinstance(each, pikepdf.Dictionary) and "/Alt" in each
        ]


def test_groups_have_headings_and_places_without_them(make: Maker) -> None:
    entries = [
        Entry("Ada", "Paris", ("France",)),
        Entry("Ben", "", ("United States",)),
        Entry("Cem", "Austin", ("United States", "Texas")),
        Entry("Dan", "Utica", ("United States", "New York")),
    ]
    text = text_of(make(entries).pages[1])
    assert "Signatories France 1 Ada Paris United States 2 Ben Texas 3 Cem Austin New York 4 Dan Utica" in text


def test_page_heading_names_the_group_that_continues(make: Maker) -> None:
    group = ("United States", "Texas")
    entries = [Entry(f"Signer No{number}", "Austin", group) for number in range(400)]
    assert "Save the Park United States · Texas · " in text_of(make(entries).pages[2])


def test_single_signature_is_counted_in_the_singular(make: Maker) -> None:
    assert "1 signature " in text_of(make(many(1)).pages[0]) + " "


def test_book_has_metadata_and_tags_for_screen_readers(make: Maker) -> None:
    reader = make(many(300), language="pt-BR")
    assert reader.metadata
    assert reader.metadata.title == "Save the Park"
    assert reader.metadata.author == "Friends of the Park"
    assert reader.metadata.creation_date == NOW.replace(microsecond=0)
    with pikepdf.open(make.file) as pdf:
        assert pdf.Root.Lang == "pt-BR"
        assert pdf.Root.MarkInfo.Marked
        tags = pdf.Root.StructTreeRoot
        found = [str(tag.S) for tag in tags.K[0].K]
        assert {"/H1", "/H3", "/P", "/BlockQuote", "/L"} <= set(found)
        keys = [int(key) for key in list(tags.ParentTree.Nums)[::2]]
        assert keys == sorted(set(keys)) == [int(page.obj.StructParents) for page in pdf.pages]
        last = tags.K[0].K[-1]
        assert str(last.S) == "/P"
        assert last.Pg.objgen == pdf.pages[-1].obj.objgen
        assert not [page for page in pdf.pages if "/Annots" in page]


def test_book_uses_the_campaigns_language_and_time_zone(make: Maker) -> None:
    cover = text_of(make(many(1234), language="de", time_zone="Pacific/Auckland").pages[0])
    assert "1.234" in cover
    assert "An: The Mayor" in cover
    assert "2. März 2027" in cover
    assert "2. Januar 2027 – 2. März 2027" in cover


def test_right_to_left_book_begins_at_the_right(make: Maker) -> None:
    def where(page: pypdf.PageObject, words: str) -> float:
        found: list[float] = []

        def look(text: str, cm: list[float], tm: list[float], *_: object) -> None:
            if words in text:
                found.append((tm[4] * cm[0]) + cm[4])

        page.extract_text(visitor_text=look)
        return found[0]

    entries = [Entry("Ada", "A"), *(Entry("Ben", "B") for _ in range(200)), Entry("Cem", "C")]
    ltr = make(entries).pages[1]
    assert where(ltr, "Ada") < 100
    rtl = make(entries, language="he").pages[1]
    assert where(rtl, "Ada") > 400


def test_european_scripts_need_no_system_fonts(make: Maker) -> None:
    text = " ".join(text_of(page) for page in make(EVERYWHERE).pages)
    assert make.book
    assert make.book.spelled_out == 0
    for name in ("Zoë Ångström-Nguyễn", "Анна Каренина", "Ελένη Παπαδοπούλου"):
        assert name in text


def test_characters_without_a_font_are_printed_as_code_points(make: Maker) -> None:
    reader = make([Entry("สมชาย", "X"), Entry("Grace 🌸 Hopper", "Y"), Entry("Ada", "Z")], title="大")
    text = " ".join(text_of(page) for page in reader.pages)
    assert "‹U+0E2A U+0E21 U+0E0A U+0E32 U+0E22› X" in text
    assert "Grace ‹U+1F338› Hopper" in text
    assert "‹U+5927›" in text
    assert make.book
    assert make.book.spelled_out == 2


HOSTILE = [
    '#import "/etc/passwd"',
    "#panic()",
    "#strong[x] *x* _x_ `x` $x$ <x> @x \\ // /* x",
    ") Tj ET BT (forged) Tj",
    "endstream endobj",
    "\\u{41} \\n %PDF-1.7",
    "<script>alert(1)</script>",
    '"] + read("secret") + ["',
    "= Heading",
    "- item",
]


def test_user_input_is_printed_as_plain_text(make: Maker) -> None:
    reader = make([Entry(words, words) for words in HOSTILE], title=HOSTILE[0], addressees="\n".join(HOSTILE))
    cover, listed = text_of(reader.pages[0]), text_of(reader.pages[1])
    for words in HOSTILE:
        assert words in cover
        assert (words + words).replace(" ", "") in listed.replace(" ", "")
    assert reader.metadata
    assert reader.metadata.title == HOSTILE[0]
    for page in reader.pages:
        assert "/Annots" not in page
    assert not {"/OpenAction", "/AA", "/Names", "/AcroForm"} & set(reader.root_object)


def test_html_and_pictures_in_a_letter_are_printed_as_text(make: Maker) -> None:
    letter = "<b>bold</b> ![a tree](https://example.org/tree.png) `#panic()`\n\n    #panic()\n\n```\n$x$\n```"
    text = text_of(make(many(1), letter=letter).pages[1])
    for words in ("<b>bold</b>", "a tree", "#panic()", "$x$"):
        assert words in text


def test_longest_name_is_printed_completely_and_once(make: Maker) -> None:
    long = Entry("W" * 100, "M" * 200)
    entries = [*many(208), long, *many(3)]
    text = "".join(page.extract_text() for page in make(entries).pages[1:])
    assert text.replace("\n", "").count("W" * 100) == 1


def test_book_leaves_no_temporary_files(make: Maker) -> None:
    make(many(3))
    assert [file.name for file in make.file.parent.iterdir()] == ["book.pdf"]


@pytest.mark.parametrize(
    ("language", "number", "words"),
    [
        ("de", 1, "1 Unterschrift "),
        ("de-AT", 2, "2 Unterschriften "),
        ("pl", 3, "3 podpisy "),
        ("pl", 5, "5 podpisów "),
        ("ro", 3, "3 semnături "),
        ("ro", 20, "20 de semnături "),
        ("ru", 21, "21 подпись "),
        ("hu", 2, "2 aláírás "),
        ("sw", 1, "1 signature "),
        ("sw", 2, "2 signatures "),
    ],
)
def test_word_for_signatures_follows_the_campaigns_language(
    make: Maker, language: str, number: int, words: str
) -> None:
    assert words in text_of(make(many(number), language=language).pages[0])


@pytest.mark.parametrize(
    ("language", "purpose", "to", "unnamed", "heading"),
    [
        ("da", "Til aflevering", "Til:", "Ikke nævnt ved navn i denne bog: 1", "Underskrivere"),
        ("el", "Προς παράδοση", "Προς:", "Χωρίς ονομαστική αναφορά σε αυτό το βιβλίο: 1", "Υπογραφές"),
        ("hu", "Átadásra", "Címzettek:", "Név szerint nem szerepel ebben a könyvben: 1", "Aláírók"),
        ("pt-PT", "Para entrega", "Para:", "Pessoas não citadas pelo nome neste livro: 1", "Quem assinou"),
        # There is no catalog for Swahili.
        ("sw", "For delivery", "To:", "Not named in this book: 1", "Signatories"),
    ],
)
def test_books_own_words_are_in_the_campaigns_language_or_in_english(
    make: Maker, language: str, purpose: str, to: str, unnamed: str, heading: str
) -> None:
    cover, letter = (text_of(page) for page in make([*many(1), None], language=language).pages)
    assert cover.startswith(f"{purpose} Save the Park {to} The Mayor")
    assert unnamed in cover
    assert f"{heading} 1 Signer No0" in letter


def test_colon_follows_english_words_in_a_right_to_left_book(make: Maker) -> None:
    runs: list[str] = []
    make(many(1), language="ur").pages[0].extract_text(visitor_text=lambda text, *_: runs.append(text.strip()))
    # A colon on the other side would be drawn apart from its word.
    assert "To:" in runs


def test_making_a_book_does_not_change_the_current_language(make: Maker) -> None:
    make(many(1), language="de")
    assert not speaking.is_chosen()
    with speaking.use("fr"):
        cover = text_of(make(many(1), language="de").pages[0])
        assert speaking.current().tag == "fr"
    assert "Zur Übergabe" in cover
