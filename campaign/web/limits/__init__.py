"""Limits on what a client may send: how often, how many bytes, and which headers.

Start with `rate_limits.py`. `body_limits.py` limits bodies and fields before anything parses them. `header_limits.py`
removes headers that the site doesn't read, and limits the length of the others.
"""
