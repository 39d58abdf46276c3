"""The tables: `campaign.py`, `signature.py`, `account.py`, `audit_log.py`, and `export.py`.

`columns.py` has column types and lengths that several tables use. Rules about the data are in the packages that import
this one.
"""
