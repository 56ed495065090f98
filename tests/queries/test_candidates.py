"""Rows that may satisfy several conditions: all that do, and others only where many of a chunk match."""

import numpy as np
import pytest
from builders import FEBRUARY, JANUARY, MARCH, MINUTE, temporary_store

from fastk import Between, Eq, Gt, Gte, InSet, Ne
from fastk.engine.rows import ChunkRows
from fastk.query.candidates import candidates

ROWS = 6_000


@pytest.fixture(scope="module")
def snapshot():
    """Three chunks of bars, whose close goes up and whose volume jumps about."""
    with temporary_store() as store:
        series = store.register_kline_series("BTC", "1m", MINUTE, value_indexes=["volume"])
        rows = np.arange(ROWS)
        for start in (JANUARY, FEBRUARY, MARCH):
            series.append(dict.fromkeys(series.schema.names, rows) | {"ts": start + rows, "volume": rows * 7_919 % 997})
        yield series._reader.snapshot


def found(snapshot, *conditions, start=0, end=2**63 - 1):
    places = snapshot.settings.schema.index
    return list(candidates(snapshot, [(places[name], each) for name, each in conditions], start, end))


def rows_of(pieces):
    return [row for piece in pieces for row in zip(piece.close.tolist(), piece.volume.tolist(), strict=True)]


def test_few_rows_of_each_chunk_are_gathered(snapshot):
    pieces = found(snapshot, ("close", Between(1_000, 3_000)), ("volume", InSet([5, 7])))
    expected = [(row, row * 7_919 % 997) for row in range(1_000, 3_001) if row * 7_919 % 997 in (5, 7)]
    assert len(pieces) == 3
    assert rows_of(pieces) == expected * 3


def test_chunks_without_a_match_of_any_condition_are_left_out(snapshot):
    assert found(snapshot, ("close", Eq(4_000)), ("volume", Eq(4_000 * 7_919 % 997 + 1))) == []
    assert found(snapshot, ("close", Gt(ROWS)), ("volume", Gte(0))) == []


def test_chunks_of_which_many_rows_match_come_whole_as_views(snapshot):
    (piece,) = found(snapshot, ("volume", Ne(5)), ("close", Gt(ROWS // 2)), start=FEBRUARY, end=MARCH - 1)
    assert isinstance(piece, ChunkRows)
    assert len(piece) == ROWS


def test_without_conditions_the_window_comes_as_views(snapshot):
    pieces = found(snapshot, start=JANUARY + 5_990, end=FEBRUARY + 9)
    assert [piece.close.tolist() for piece in pieces] == [list(range(5_990, 6_000)), list(range(10))]
    assert all(isinstance(piece, ChunkRows) for piece in pieces)
    assert found(snapshot, start=5, end=4) == found(snapshot, start=JANUARY + ROWS, end=FEBRUARY - 1) == []


def test_chunks_are_searched_as_they_are_asked_for(snapshot, monkeypatch):
    opened = []
    window = type(snapshot).window
    watched = lambda self, *where: opened.append(where) or window(self, *where)  # noqa: E731
    monkeypatch.setattr(type(snapshot), "window", watched)
    pieces = candidates(snapshot, [(4, Between(1, 5))], 0, 2**63 - 1)
    assert opened == []
    assert len(next(pieces)) == 5
    assert len(opened) == 1
