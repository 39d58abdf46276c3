"""Fixtures for tests of moderation."""

import pytest

from campaign.models.campaign import Campaign
from campaign.models.signature import SignatureState
from tests.moderation.signatures import put


@pytest.fixture
def people(campaign: Campaign) -> Campaign:
    """Return a campaign with the signatures of EVERYONE."""
    removed = {"state": SignatureState.REMOVED, "listed_at": None}
    put(
        campaign,
        {"name": "Ada Lovelace", "email": "ada@example.org", "city": "London", "country": "GB", "source": "radio"},
        {"name": "Zoë Müller-Lüdenscheidt", "email": "zoe.mueller@mail.example.net", "city": "Köln", "country": "DE"},
        {"name": "Adam O’Neill", "email": "adam@example.org", "anonymous": True, "postal_code": "M5H 2N2"},
        {"name": "Иван Петров", "email": "ivan@example.com", "region": "Москва", "source": "radio"},
        {"name": "Hidden Hugo", "email": "hugo@example.org", "listed_at": None, "region": "North Rhine"},
        {"name": "Removed Rita", "email": "rita@example.com", "source": "radio", **removed},
        {"name": "प्रिया शर्मा", "email": "priya@example.in", "country": "IN", "city": "पुणे"},
    )
    return campaign
