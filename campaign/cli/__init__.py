"""The operator's commands: `flask prepare`, `campaigns`, `signatures`, `organizers`, and `copy-from`.

Start with `commands.py`. `organizers.py` has the commands for accounts, `copy_from.py` moves a site to another
database, `checks.py` compares counts with signatures, and `groups.py` reports database errors. Commands use the same
rules as the pages.
"""
