"""Campaigns: their fields, and how they are found, published, edited, and closed.

Start with `fields.py`, which validates every field with the checks in `field_checks.py`. `lookup.py` finds campaigns,
and `stages.py` has their stages, the steps between them, and the goal. `editing.py` changes campaigns, and `drafts.py`
saves drafts automatically, copies, and deletes them; `versions/` handles two editors at the same time. `slugs.py` makes
slugs and keeps them unique. `translations.py` has a campaign's texts in other languages. `problems.py` says why
a campaign can't be saved. `files/` reads and writes a campaign as files. `pictures/` processes uploads. `sharing.py`
makes share links, `preview_links.py` makes and checks preview links, and `time_zones.py` converts local times.
`letter/` reads, checks, renders, compares, and merges letters.
Signatures are in `signatures/`.
"""
