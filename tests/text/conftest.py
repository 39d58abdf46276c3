"""Fixtures that the tests of text share with the tests of attacks."""

from tests.attacks.conftest import work

__all__ = ["work"]
