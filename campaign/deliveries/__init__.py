"""Deliveries: files of signatures for the organization and for the people a letter is addressed to.

Start with `contents.py`, which selects the signatures and columns of a delivery, and writes CSV. `spreadsheet.py`
writes XLSX, and the package `book` makes the PDF book. `exports.py` stores requested files. `making.py` makes each of
them in a process of the background worker, in the temporary folder of `work_folder.py`. `queue.py` gives each to one
process at a time. `expired_files.py` deletes files.
"""
