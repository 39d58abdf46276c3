"""Versions of a campaign: what happens when two editors change it at the same time.

`conflicts.py` detects that a campaign has changed since an editor loaded it, and `merging.py` merges both changes.
`sittings.py` groups the automatic saves of a draft for the audit log.
"""
