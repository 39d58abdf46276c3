"""Campaigns as files: `reading.py` reads them, and `writing.py` writes them; `front_matter.py` reads YAML."""
