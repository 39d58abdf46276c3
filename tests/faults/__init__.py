"""Broken on purpose, under a steady load of signers: what each was told is true, and the site comes back by itself."""
