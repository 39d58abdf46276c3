"""Faults under a steady load of signers: every response must tell the truth, and the site must recover by itself."""
