from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.engine import Engine

import hubs
from penjing.fleet.hub import tables
from penjing.fleet.hub.ledger import Ledger


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    with hubs.postgres() as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.extras)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """Empty tables."""
    if request.param == "sqlite":
        engine = tables.opened(f"sqlite:///{tmp_path / 'hub.sqlite'}")
    else:
        engine = tables.opened(request.getfixturevalue("server"))
    try:
        yield engine
    finally:
        tables.SCHEMA.drop_all(engine)
        engine.dispose()


@pytest.fixture
def ledger(database: Engine) -> Ledger:
    return Ledger(database)
