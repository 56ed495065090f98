"""A store against a plain dictionary of arrays: whatever is done, in whatever order, both say the same.

A writer registers, puts, drops and is reopened; a reader keeps the state that it pinned until it refreshes.
"""

import shutil
import tempfile

import numpy as np
import pytest
from builders import MEMORY
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import fastk
from fastk import InvalidInput, NotFound, Schema

HOUR = 3_600_000
CUSTOM = Schema(
    "custom",
    [("ts", "i8"), ("count", "u4"), ("x", "f8"), ("flag", "?"), ("text", "S5"), ("seq", "u8")],
    unique_ts=False,
    sequence_field="seq",
    partition="day",
    zone_maps=["x", "flag", "seq"],
    value_indexes=["count", "x"],
)
PLAIN = Schema("plain", [("ts", "i8"), ("y", "f4")], unique_ts=False, partition="hour")
SERIES = {
    ("BTC", "kline", "1m"): fastk.KLINE,
    ("BTC", "feature", "1m@@gap"): fastk.SCALAR,
    ("BTC", "trade", "spot"): fastk.TRADE,
    ("btc", "bbo", "spot"): fastk.BBO,
    ("BTC", "book_delta", "spot"): fastk.BOOK_DELTA,
    ("../x", "own", "1M"): CUSTOM,
    ("../x", "own", "1m"): PLAIN,
}
KEYS = st.sampled_from(sorted(SERIES))
# Times in a few hours of three months, close enough to meet often.
PLACES = st.builds(
    lambda month, hour, step: (month * 31 * 24 + hour) * HOUR + step,
    st.integers(-1, 1),
    st.integers(0, 2),
    st.integers(0, 12),
)
BOUNDS = st.none() | PLACES | st.sampled_from([-(10**30), 10**30])


def rows_at(schema, ts, first):
    """Rows at given times; the numbers in them count up from ``first``, so that each row is like no other."""
    columns = {"ts": np.array(ts, np.int64)}
    numbers = first + np.arange(len(ts))
    for field in schema.fields[1:]:
        if field.name == schema.sequence_field:
            columns[field.name] = numbers.astype(field.dtype)
        elif field.dtype.kind == "S":
            columns[field.name] = np.array([str(number % 10**5) for number in numbers], field.dtype)
        elif field.dtype.kind == "b":
            columns[field.name] = numbers % 2 == 0
        else:
            columns[field.name] = (numbers % 100).astype(field.dtype)
    table = np.empty(len(ts), schema.dtype)
    for name in schema.names:
        table[name] = columns[name]
    return table


def partition_of(ts, schema):
    return schema.partition.ordinal(int(ts), fastk.TimeUnit.MILLISECONDS)


def may_be_put(schema, stored, rows):
    """Whether a put is allowed, by the words of the design and none of its code."""
    if schema.unique_ts and len(set(rows["ts"].tolist())) < len(rows):
        return False
    for partition in {partition_of(ts, schema) for ts in rows["ts"]}:
        held = [row for row in stored if partition_of(row["ts"], schema) == partition]
        new = [row for row in rows if partition_of(row["ts"], schema) == partition]
        if not held:
            continue
        last, first = int(held[-1]["ts"]), int(new[0]["ts"])
        if first > last:
            continue
        if first < last or schema.unique_ts or schema.sequence_field is None:
            return False
        taken = {int(row[schema.sequence_field]) for row in held if row["ts"] == last}
        if any(int(row[schema.sequence_field]) in taken for row in new if row["ts"] == last):
            return False
    return True


def merged(stored, rows):
    both = np.concatenate([stored, rows])
    return both[np.argsort(both["ts"], kind="stable")]


class StoreMachine(RuleBasedStateMachine):
    """The store, a second reader of it, and what both should hold."""

    @initialize()
    def open(self):
        self.folder = tempfile.mkdtemp(prefix="fastk-test-", dir=MEMORY)
        self.store = fastk.open(self.folder)
        self.store.init()
        self.reader = fastk.open(self.folder, "r")
        self.model = {}  # what is committed
        self.pinned = {}  # what the reader has pinned
        self.written = 1

    def teardown(self):
        if hasattr(self, "folder"):
            self.store.close()
            self.reader.close()
            shutil.rmtree(self.folder)

    # What changes the store

    @rule(key=KEYS)
    def register(self, key):
        series = self.store.register_series(key, SERIES[key])
        self.model.setdefault(key, np.empty(0, SERIES[key].dtype))
        assert series.schema.names == SERIES[key].names

    @precondition(lambda self: self.model)
    @rule(data=st.data(), times=st.lists(PLACES, min_size=1, max_size=6))
    def put(self, data, times):
        key = data.draw(st.sampled_from(sorted(self.model)))
        rows = rows_at(SERIES[key], sorted(times), self.written)
        self.put_rows(key, rows)

    @precondition(lambda self: any(len(rows) for rows in self.model.values()))
    @rule(data=st.data(), steps=st.lists(st.integers(0, 3), min_size=1, max_size=5), again=st.booleans())
    def append(self, data, steps, again):
        """Go on where a series ends, with the sequence numbers that are stored there or with new ones."""
        key = data.draw(st.sampled_from(sorted(key for key, rows in self.model.items() if len(rows))))
        ts = int(self.model[key]["ts"][-1]) + np.cumsum(steps)
        rows = rows_at(SERIES[key], ts, self.written)
        if again and SERIES[key].sequence_field:
            rows[SERIES[key].sequence_field][0] = self.model[key][SERIES[key].sequence_field][-1]
        self.put_rows(key, rows)

    def put_rows(self, key, rows):
        self.written += len(rows)
        stored = self.model[key]
        if may_be_put(SERIES[key], stored, rows):
            result = self.store.series(key).put(rows)
            assert (result.accepted, result.rejected) == (len(rows), 0)
            self.model[key] = merged(stored, rows)
        else:
            with pytest.raises(InvalidInput):
                self.store.series(key).put(rows)

    @rule(key=KEYS)
    def put_out_of_order(self, key):
        rows = rows_at(SERIES[key], [10 * HOUR, 5 * HOUR], self.written)
        with pytest.raises((InvalidInput, NotFound)):
            self.store.series(key).put(rows)

    @rule(key=KEYS)
    def drop(self, key):
        if key in self.model:
            self.store.drop_series(key)
            del self.model[key]
        else:
            with pytest.raises(NotFound):
                self.store.drop_series(key)

    @rule()
    def reopen(self):
        self.store.close()
        self.store = fastk.open(self.folder)

    # What reads it

    @precondition(lambda self: self.model)
    @rule(data=st.data(), start=BOUNDS, end=BOUNDS, closed=st.sampled_from(["both", "left", "right", "neither"]))
    def range(self, data, start, end, closed):
        key = data.draw(st.sampled_from(sorted(self.model)))
        rows = self.store.series(key).range(start, end, closed=closed)
        low = -np.inf if start is None else start
        high = np.inf if end is None else end
        inside = [
            (ts > low or (ts == low and closed in ("both", "left")) or start is None)
            and (ts < high or (ts == high and closed in ("both", "right")) or end is None)
            for ts in self.model[key]["ts"].tolist()
        ]
        self.same(rows, self.model[key][np.array(inside, bool)])

    @precondition(lambda self: self.model)
    @rule(data=st.data(), count=st.integers(0, 12))
    def latest(self, data, count):
        key = data.draw(st.sampled_from(sorted(self.model)))
        stored = self.model[key]
        self.same(self.store.series(key).latest(count), stored[max(len(stored) - count, 0) :])

    @precondition(lambda self: self.model)
    @rule(data=st.data(), keys=st.lists(PLACES, max_size=8))
    def points(self, data, keys):
        key = data.draw(st.sampled_from(sorted(self.model)))
        series, stored = self.store.series(key), self.model[key]
        first = [np.flatnonzero(stored["ts"] == ts)[:1] for ts in keys]
        rows, found = series.at_many(np.array(keys, np.int64))
        assert found.tolist() == [bool(each.size) for each in first]
        self.same(rows, stored[np.concatenate([np.empty(0, np.int64), *first])])
        for ts, each in zip(keys, first, strict=True):
            row = series.at(ts)
            assert (None if row is None else tuple(row)) == (stored[each[0]].item() if each.size else None)

    @precondition(lambda self: self.model)
    @rule(data=st.data(), pairs=st.lists(st.tuples(PLACES, PLACES), max_size=6))
    def ranges(self, data, pairs):
        key = data.draw(st.sampled_from(sorted(self.model)))
        stored = self.model[key]
        starts, ends = (np.array([pair[side] for pair in pairs], np.int64) for side in (0, 1))
        result = self.store.series(key).ranges(starts, ends)
        assert len(result) == len(pairs)
        for rows, (start, end) in zip(result, pairs, strict=True):
            self.same(rows, stored[(stored["ts"] >= start) & (stored["ts"] <= end)])

    @precondition(lambda self: self.model)
    @rule(
        data=st.data(),
        negated=st.booleans(),
        low=st.integers(-1, 101),
        width=st.integers(0, 60),
        window=st.tuples(PLACES, PLACES).map(sorted),
        plan=st.sampled_from(["auto", "scan", "zones", "index"]),
    )
    def where(self, data, negated, low, width, window, plan):
        key = data.draw(st.sampled_from(sorted(self.model)))
        names = [field.name for field in SERIES[key].fields[1:] if field.indexed]
        name, stored = data.draw(st.sampled_from(names)), self.model[key]
        numbers = range(low, low + width)
        matches = np.isin(stored[name].astype(np.int64), numbers) != negated
        inside = (stored["ts"] >= window[0]) & (stored["ts"] <= window[1])
        condition = fastk.NotInSet(numbers) if negated else fastk.InSet(numbers)
        found = self.store.series(key).where(name, condition, *window, plan=plan)
        self.same(found.rows, stored[matches & inside])

    @rule(key=KEYS)
    def read_pinned(self, key):
        """The first use pins; later commits are not seen, nor is a drop."""
        if key not in self.pinned and key not in self.model:
            with pytest.raises(NotFound):
                self.reader.series(key).range()
            return
        self.pinned.setdefault(key, self.model.get(key))
        self.same(self.reader.series(key).range(), self.pinned[key])

    @rule()
    def refresh(self):
        self.reader.refresh()
        self.pinned = {key: self.model[key] for key in self.pinned if key in self.model}

    @invariant()
    def listings_agree(self):
        if not hasattr(self, "model"):
            return
        entries = self.reader.list_series()
        assert {(each.symbol, each.category, each.name): each.record_count for each in entries} == {
            key: len(rows) for key, rows in self.model.items()
        }
        assert all(each.problem is None for each in entries)

    def same(self, rows, expected):
        assert len(rows) == len(expected)
        for name in rows.schema.names:
            np.testing.assert_array_equal(rows[name], expected[name])


StoreMachine.TestCase.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
TestStore = StoreMachine.TestCase


@pytest.mark.slow
class TestStoreForLonger(StoreMachine.TestCase):
    settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
