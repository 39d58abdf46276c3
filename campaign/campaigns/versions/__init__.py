"""Versions of a campaign: what happens when two editors change it at the same time.

`conflicts.py` detects that a campaign has changed since an editor loaded it, and `merging.py` merges both changes.
"""
