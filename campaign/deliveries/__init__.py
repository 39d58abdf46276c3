"""Deliveries: files of signatures for the organization and for the people a letter is addressed to.

Start with `contents.py`, which selects the signatures and columns of a delivery, and writes CSV. `spreadsheet.py`
writes XLSX. `book.py`, `book_words.py`, and `pdf.py` make the PDF book. `exports.py` stores requested files, and
`making.py` makes each of them in a separate process.
"""
