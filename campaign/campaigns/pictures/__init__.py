"""Campaign pictures: shrinking uploads, removing their metadata, and storing them in the database.

Start with `preparing.py`, which makes a JPEG of any upload. `limits.py` refuses pictures that would take too much work,
and `colors.py` converts colors to those of the web. `storage.py` keeps the JPEGs in the database.
"""
