"""The PDF book of a letter and its signatories.

Start with `book.py`, which decides what is on which page. `signatories.py` reads the entries, `pages.py` has the sizes
of pages and blocks, and `typesetting.py` sets them with Typst. `coverage.py` finds characters that no font has, and
`pdf.py` joins the parts. The book's own words are messages in the site's catalogs (`campaign/languages`).
"""
