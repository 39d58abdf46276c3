"""Which characters the fonts of this machine can print, for the book. The book prints the code points of all others."""

import io
import json

import pikepdf
import typst


class Coverage:
    """Knows which characters the fonts have, so that the book has no empty boxes. To find out, it draws each once."""

    def __init__(self, fonts: typst.Fonts, names: list[str]) -> None:
        """Remember the fonts, and the names of the preferred ones."""
        self._fonts, self._names = fonts, names
        # The first font has all of ASCII.
        self._drawn: dict[str, bool] = {chr(code): True for code in range(0x20, 0x7F)}

    def spelled(self, text: str) -> str:
        """Return the text with code points in place of characters that no font has, as ‹U+0E44 U+0E21›."""
        self._learn(set(text) - self._drawn.keys())
        if all(self._drawn[character] for character in text):
            return text
        spelled, run = "", []
        for character in [*text, ""]:
            if character and not self._drawn[character]:
                run.append(f"U+{ord(character):04X}")
                continue
            spelled += f"‹{' '.join(run)}›{character}" if run else character
            run = []
        return spelled

    def _learn(self, characters: set[str]) -> None:
        if not characters:
            return
        in_order = sorted(characters)
        template = b"""#set page(width: auto, height: auto)
            #set text(font: json(bytes(sys.inputs.fonts)))
            #for character in json(bytes(sys.inputs.characters)) { page(text(character)) }"""
        inputs = {"characters": json.dumps(in_order), "fonts": json.dumps(self._names)}
        made = typst.Compiler(template, font_paths=self._fonts, sys_inputs=inputs).compile(pdf_tags=False)
        assert isinstance(made, bytes)  # noqa: S101 (one file)
        with pikepdf.open(io.BytesIO(made)) as pdf:
            for character, page in zip(in_order, pdf.pages, strict=True):
                self._drawn[character] = not _has_empty_box(page)


def _has_empty_box(page: pikepdf.Page) -> bool:
    """Return whether the page has glyph 0, which every font shows for missing characters (OpenType, "cmap")."""
    for instruction in pikepdf.parse_content_stream(page, "Tj TJ"):
        shown = instruction.operands[0]
        strings = shown if isinstance(shown, pikepdf.Array) else [shown]
        for string in strings:
            if isinstance(string, pikepdf.String):
                codes = bytes(string)
                # Each glyph has two bytes, except a picture, such as an emoji, which has one.
                if b"\0\0" in (codes[at : at + 2] for at in range(0, len(codes), 2)):
                    return True
    return False
