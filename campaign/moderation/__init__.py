"""Moderation: finding signatures, and hiding, removing, and restoring them.

Start with `actions.py`; `changes.py` carries its changes out. `mailboxes.py` releases, reclaims, and blocks the
mailboxes of removed signatures. `table.py` filters and pages the signatures, and `entries.py` reads them. `search.py`
queries the search index, which `indexing.py` keeps current on SQLite, and `unindexed.py` looks at signatures that
aren't in it yet. `duplicates.py` finds possible duplicates.
"""
