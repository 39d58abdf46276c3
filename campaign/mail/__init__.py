"""Mail: the outbox, and how its messages are sent. Requests only store messages; the background worker sends them.

Start with `sending.py`, which sends the messages of the outbox in turn. `outbox.py` leases them and stores the outcome.
`server.py` speaks SMTP with the operator's mail server. `composing.py` makes the text of a message. `checking.py` is
`flask mail check`. What a message is about belongs to other packages, which store it with `outbox.add`.
"""
