"""Fixtures for the background worker: those for exports, which it makes."""

from tests.deliveries.conftest import ask, grace, room

__all__ = ["ask", "grace", "room"]
