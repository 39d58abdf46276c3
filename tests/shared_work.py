"""Work that all apps of a test process share or save, because doing it for each test took half of the suite's time."""

from collections.abc import Callable
from types import CodeType
from typing import Any

import pytest
from jinja2 import BytecodeCache
from jinja2.bccache import Bucket
from passlib.totp import AppWallet
from sqlalchemy import Engine, event
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.util import LRUCache
from werkzeug.routing import Rule

from campaign.desk.sign_in.settings import ARGON2
from campaign.settings import ROOT
from campaign.signatures import places


class CompiledTemplates(BytecodeCache):
    """The compiled templates of all apps; compiling them took a tenth of the time of the suite."""

    def __init__(self) -> None:
        self._codes: dict[tuple[str, str], CodeType] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self._codes.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        assert bucket.code
        self._codes[bucket.key, bucket.checksum] = bucket.code


@pytest.fixture(scope="session")
def compiled_templates() -> BytecodeCache:
    return CompiledTemplates()


@pytest.fixture(scope="session", autouse=True)
def built_urls() -> None:
    """Let Werkzeug compile the function that builds a route's URLs once for all apps; it took a fifth of all tests."""
    compile_builder = Rule._compile_builder
    compiled: dict[tuple[object, ...], Callable[..., tuple[str, str]]] = {}

    def compile_once(rule: Rule, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:
        # The function depends on nothing else of the rule; it is bound to the rule afterwards.
        key = (rule.rule, tuple(rule._trace), repr(rule.defaults), append_unknown)
        if key not in compiled:
            compiled[key] = compile_builder(rule, append_unknown)
        return compiled[key]

    Rule._compile_builder = compile_once  # type: ignore[method-assign, assignment]


@pytest.fixture(scope="session", autouse=True)
def compiled_queries() -> None:
    """Let all engines of a database system share their compiled SQL; compiling it took a fifth of all tests."""
    compiled = LRUCache[Any, Any](5000)
    event.listen(Engine, "engine_connect", lambda connection: setattr(connection.engine, "_compiled_cache", compiled))
    for dialect in (PGDialect_psycopg, SQLiteDialect_pysqlite):
        # The cache's keys contain the engine's dialect. All dialects of a class compile the same SQL.
        dialect.__hash__ = lambda self: hash(type(self))  # type: ignore[method-assign]
        dialect.__eq__ = lambda self, other: type(self) is type(other)  # type: ignore[method-assign]


@pytest.fixture(scope="session", autouse=True)
def us_places() -> None:
    """Load the list of US ZIP codes from the file that servers use, too. Generating it takes seconds."""
    places.load(ROOT / "instance")


FULL_COST = dict(ARGON2)


@pytest.fixture(scope="session", autouse=True)
def cheap_hashes() -> None:
    """Hash passwords and recovery codes, and encrypt the keys of authenticator apps, at the lowest cost.

    At the usual cost, a sign-in takes half a second. The tests of the cost itself use `full_cost`.
    """
    ARGON2.update(memory_cost=8, time_cost=1)
    AppWallet.encrypt_cost = 1


@pytest.fixture
def full_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hash at the usual cost. Use this before `app`."""
    for name, value in FULL_COST.items():
        monkeypatch.setitem(ARGON2, name, value)
