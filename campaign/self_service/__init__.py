"""What signers do with their own signature, by links in their mail: confirm, correct, and withdraw it.

Start with `confirming.py` and `own_signature.py`. `tokens.py` makes and reads the links, and the six-digit code.
`mailbox_records.py` limits how many codes anyone tries, and remembers who wants no more mail. `pending.py` deletes what
nobody has confirmed. The pages are in `site/`, and the messages in `mail/`.
"""
