"""Accounts of the desk's users: roles and rights, invitations, sessions, and the audit log.

Start with `permissions.py`, the table of rights. `invitations.py` creates, changes, and closes accounts.
`sessions.py` starts, finds, and ends sessions. `audit_log.py` records every change, and `sign_in_log.py` sign-ins and
lockouts. `known_networks.py` remembers the networks that users signed in from. Sign-in itself (passwords, second
factors) is in `desk/sign_in/`.
"""
