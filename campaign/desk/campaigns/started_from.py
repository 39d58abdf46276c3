"""The version that an editor started from, which their form carries in a hidden field.

A merge needs it: differences in the form are this editor's changes, and differences in the database are other editors'.
The audit log can't provide it, because automatic saves are grouped there. A forged version can overwrite other
editors' changes. That is no new risk: the forger has the right to edit the campaign.
"""

import base64
import binascii
import json
import zlib

from campaign.campaigns import fields
from campaign.campaigns.fields import CampaignFile
from campaign.campaigns.letter.markdown import LETTER_LENGTH
from campaign.campaigns.versions.sittings import recorded

MOST_BYTES = 8 * LETTER_LENGTH
"""The most bytes of all columns as JSON: the letter may take four bytes a character, and so may the rest."""


def columns(file: CampaignFile) -> dict[str, object]:
    """Return a campaign's columns as the audit log stores them."""
    return {key: recorded(value) for key, value in file.columns().items()}


def encode(file: CampaignFile) -> str:
    """Return a campaign's columns as a short text of ASCII letters."""
    return base64.urlsafe_b64encode(zlib.compress(json.dumps(columns(file), ensure_ascii=False).encode())).decode()


def decode(sent: str | None) -> dict[str, object]:
    """Return the columns, as the audit log stores them; empty if the text is not one that `encode` made."""
    try:
        inflating = zlib.decompressobj()
        read = inflating.decompress(base64.urlsafe_b64decode((sent or "").encode("ascii")), MOST_BYTES)
        sent_columns = json.loads(read)
    except (ValueError, zlib.error, binascii.Error, RecursionError):
        return {}
    # A version that lacks a field would make another editor's change to it look like none.
    if not isinstance(sent_columns, dict) or sent_columns.keys() != fields.CHECKS.keys():
        return {}
    return sent_columns
