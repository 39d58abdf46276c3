"""Letters: reading, checking, and rendering a letter, and public changes to a letter that has signatures.

Start with `tree.py`: page, preview, and book are written from one tree. `cleaning.py` cleans pasted text, and
`markdown.py` parses with bounded work. `html_writer.py` renders; the book's writer is `templates/book.typ`. `checks.py`
says what must be corrected before a letter is saved. `changes.py` stores and reads changes. `comparison.py` compares
two texts with bounded work, and `merging.py` merges the changes of two editors.
"""
