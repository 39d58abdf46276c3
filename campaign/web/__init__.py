"""Everything around a request, before and after a view.

`hosts.py` accepts requests for known hosts only, and `limits/` limits headers, bodies, and the number of requests.
`request_checks.py` refuses cross-site posts and incomplete bodies, and `form_checks.py` checks text in forms.
`response_cache.py` caches whole responses, and `security_headers.py` adds headers to them. `addresses.py` corrects
public addresses that are almost right. `request_log.py` logs and counts requests, `errors.py` renders errors, and
`health.py` reports whether the database can store a signature. `static_files.py` versions and compresses static files,
`formatting.py` formats numbers and times, and `desk_mount.py` mounts the desk.
"""
