"""Sign-in at the desk: passwords, second factors, the session cookie, and limits on guessing.

Start with `security.py`, which sets up Flask-Security with `settings.py`. `passwords.py` and `second_factors.py` check
passwords and second factors. `session_cookie.py` sets up and renews the cookie. `throttle.py` limits attempts, and
`events.py` records them. The rules that don't need a request are in `campaign/accounts/`.
"""
