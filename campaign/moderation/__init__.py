"""Moderation: finding signatures, and hiding, removing, and restoring them.

Start with `actions.py`. `undo.py` undoes changes, `changes.py` carries them out, and `effects.py` puts them into words.
`mailboxes.py` releases, reclaims, and blocks the mailboxes of removed signatures. `table.py` filters and pages the
signatures, and `entries.py` reads them. `search.py` queries the search index, which `indexing.py` keeps current on
SQLite, and `unindexed.py` looks at signatures that aren't in it yet. `duplicates.py` finds possible duplicates.
"""
