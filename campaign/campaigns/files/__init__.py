"""Campaigns as files: `reading.py` reads them, and `writing.py` writes them.

`front_matter.py` reads their YAML with limits, and `regular_files.py` the files themselves.
"""
