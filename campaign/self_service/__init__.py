"""What signers do with their own signature, by links in their mail: confirm, correct, and withdraw it.

Start with `confirming.py` and `own_signature.py`. `tokens.py` makes and reads the links, and the six-digit code.
`mailbox_records.py` limits how many codes anyone tries, and remembers who wants no more mail. `pending.py` deletes
signatures that were not confirmed in time. `withdrawals.py` counts withdrawn ones. The pages are in `site/`, and the
messages in `mail/`.
"""
