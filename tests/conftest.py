"""What every test may use: a fresh store, and the sample data beside the checkout."""

import os
from pathlib import Path

import pytest
from builders import MINUTE, contents, temporary_store

from fastk import InvalidInput

CHECKOUT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of sample data, which is no part of the project."""
    folder = Path(os.environ.get("FASTK_SHARED") or CHECKOUT.parent / "shared")
    if not folder.is_dir():
        pytest.skip(f"sample data is needed, and {folder} does not exist (FASTK_SHARED names another folder)")
    return folder


@pytest.fixture
def figures(record_property):
    """Notes what a proof has really tried, for the tables of the page on reliability: table, row, counts by column."""

    def note(table: str, row: object, counts: dict[str, int]) -> None:
        record_property("figures", [table, str(row).replace("_", " "), counts])

    return note


@pytest.fixture
def store():
    """A fresh store."""
    with temporary_store() as opened:
        yield opened


@pytest.fixture
def klines(store):
    """A series of bars without rows."""
    return store.register_kline_series("BTC", "1m", MINUTE)


@pytest.fixture
def ticks(store):
    """A series of trades without rows."""
    return store.register_trade_series("BTC", "spot")


@pytest.fixture
def refuse(store):
    """A check that rows are refused by an append, and that neither the series nor any file changes."""

    def check(series, rows, match=None, **options):
        before, length = contents(store.root), len(series)
        with pytest.raises(InvalidInput, match=match) as refused:
            series.append(rows, **options)
        assert contents(store.root) == before
        store.refresh()
        assert len(series) == length
        return str(refused.value)

    return check
