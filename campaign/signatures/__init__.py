"""Signatures: signing, counting, and the public list.

Start with `signing.py`, which stores signatures and counts each mailbox once. `cleaning.py` cleans names and places,
`countries.py` names and sorts countries, `places.py` has US states and ZIP codes, `city_names.py` spells US cities, and
`sources.py` reads the source word in a shared link. `tally.py` keeps the count, and `equal_work.py` makes a duplicate
cost as much as a new signature. `feed.py` reads the newest signatories for the public, and `fake.py` generates
signatures for development. Hiding and removing signatures is in `moderation/`.
"""
