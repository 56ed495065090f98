"""A store against a plain dictionary of arrays: whatever is done, in whatever order, both say the same.

A writer registers, puts, deletes, merges, drops and is reopened; a reader keeps the state that it pinned until it
refreshes.
"""

import shutil
import tempfile
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from builders import MEMORY
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from support.disks import read_image
from support.rebuild import rebuilt
from support.torture import TORTURE

import fastk
from fastk import CompactionPolicy, InvalidInput, NotFound, Schema

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
COMPACTION = [None, CompactionPolicy(tier_fanout=0), CompactionPolicy(auto_merge=True, tier_fanout=2)]
POLICIES = ["error", "skip_identical", "replace"]
# Times in a few hours of three months, close enough to meet often.
PLACES = st.builds(
    lambda month, hour, step: (month * 31 * 24 + hour) * HOUR + step,
    st.integers(-1, 1),
    st.integers(0, 2),
    st.integers(0, 12),
)
BOUNDS = st.none() | PLACES | st.sampled_from([-(10**30), 10**30])


# What every series holds at first; where ts may be equal, twice.
START = [0, 1, 5, HOUR, HOUR + 4, 31 * 24 * HOUR]


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


def may_be_appended(schema, stored, rows):
    """Whether an append is allowed, by the words of the design and none of its code."""
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


def ascends(schema, rows):
    return not schema.unique_ts or len(set(rows["ts"].tolist())) == len(rows)


def key_of(schema, row):
    with_sequence = not schema.unique_ts and schema.sequence_field is not None
    return (int(row["ts"]), int(row[schema.sequence_field]) if with_sequence else 0)


def groups_of(schema, rows):
    groups = {}
    for row in rows:
        groups.setdefault(key_of(schema, row), []).append(row.tobytes())
    return groups


def put_by_the_book(schema, stored, rows, on_conflict):
    """The counts (accepted, identical, replaced) and the rows after a put; None where it must be refused."""
    held, new = groups_of(schema, stored), groups_of(schema, rows)
    shared = held.keys() & new.keys()
    identical = {key for key in shared if held[key] == new[key]}
    conflicts = shared - identical
    if (on_conflict == "error" and shared) or (on_conflict == "skip_identical" and conflicts):
        return None
    kept, placed = [], set()
    for row in stored:
        key = key_of(schema, row)
        if key not in conflicts:
            kept.append(row)
        elif key not in placed:
            placed.add(key)
            kept += [each for each in rows if key_of(schema, each) == key]
    fresh = [row for row in rows if key_of(schema, row) not in shared]
    both = np.array([row.item() for row in [*kept, *fresh]], schema.dtype)
    counts = tuple(sum(len(new[key]) for key in keys) for keys in (new.keys() - shared, identical, conflicts))
    return counts, both[np.argsort(both["ts"], kind="stable")]


class StoreMachine(RuleBasedStateMachine):
    """The store, a second reader of it, and what both should hold. ``counts`` is what all runs have tried."""

    counts: ClassVar = Counter()

    @initialize(keys=st.lists(KEYS, min_size=2, max_size=3, unique=True))
    def open(self, keys):
        self.counts["rounds"] += 1
        self.folder = tempfile.mkdtemp(prefix="fastk-test-", dir=MEMORY)
        self.store = fastk.open(self.folder)
        self.store.init()
        self.reader = fastk.open(self.folder, "r")
        self.model = {}  # what is committed
        self.pinned = {}  # what the reader has pinned
        self.written = 1
        for key in keys:
            self.register(key)
            self.put_rows(key, rows_at(SERIES[key], START if SERIES[key].unique_ts else sorted(2 * START), 1), "error")

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
    @rule(data=st.data(), times=st.lists(PLACES, min_size=1, max_size=6), on_conflict=st.sampled_from(POLICIES))
    def put(self, data, times, on_conflict):
        key = data.draw(st.sampled_from(sorted(self.model)))
        self.put_rows(key, rows_at(SERIES[key], sorted(times), self.written), on_conflict)

    @precondition(lambda self: any(len(rows) for rows in self.model.values()))
    @rule(data=st.data(), count=st.integers(1, 8), change=st.booleans(), on_conflict=st.sampled_from(POLICIES))
    def put_again(self, data, count, change, on_conflict):
        """Rows that are stored, some of them with other values, and one that is not."""
        key = data.draw(st.sampled_from(sorted(key for key, rows in self.model.items() if len(rows))))
        schema, stored = SERIES[key], self.model[key]
        first = data.draw(st.integers(0, len(stored) - 1))
        rows = np.concatenate([stored[first : first + count], rows_at(schema, [stored["ts"][-1] + 1], self.written)])
        if change:
            rows[schema.names[1]][data.draw(st.integers(0, len(rows) - 1))] += 1
        rows = rows[np.argsort(rows["ts"], kind="stable")]
        self.put_rows(key, rows, on_conflict)

    def put_rows(self, key, rows, on_conflict):
        self.written += len(rows)
        schema, series = SERIES[key], self.store.series(key)
        after = put_by_the_book(schema, self.model[key], rows, on_conflict) if ascends(schema, rows) else None
        sequence = series.sequence
        if after is None:
            with pytest.raises(InvalidInput):
                series.put(rows, on_conflict=on_conflict)
            assert series.sequence == sequence
            return
        counts, self.model[key] = after
        result = series.put(rows, on_conflict=on_conflict)
        assert (result.accepted, result.identical, result.replaced, result.rejected) == (*counts, 0)
        assert (series.sequence == sequence) == (counts[0] + counts[2] == 0)

    @precondition(lambda self: any(len(rows) for rows in self.model.values()))
    @rule(data=st.data(), steps=st.lists(st.integers(0, 3), min_size=1, max_size=5), again=st.booleans())
    def append(self, data, steps, again):
        """Go on where a series ends, with the sequence numbers that are stored there or with new ones."""
        key = data.draw(st.sampled_from(sorted(key for key, rows in self.model.items() if len(rows))))
        schema, stored = SERIES[key], self.model[key]
        rows = rows_at(schema, int(stored["ts"][-1]) + np.cumsum(steps), self.written)
        self.written += len(rows)
        if again and schema.sequence_field:
            rows[schema.sequence_field][0] = stored[schema.sequence_field][-1]
        if ascends(schema, rows) and may_be_appended(schema, stored, rows):
            assert self.store.series(key).append(rows).accepted == len(rows)
            self.model[key] = np.concatenate([stored, rows])
        else:
            with pytest.raises(InvalidInput):
                self.store.series(key).append(rows)

    @precondition(lambda self: self.model)
    @rule(data=st.data(), pair=st.tuples(PLACES, PLACES))
    def delete_range(self, data, pair):
        key = data.draw(st.sampled_from(sorted(self.model)))
        stored, (start, end) = self.model[key], sorted(pair)
        inside = (stored["ts"] >= start) & (stored["ts"] <= end)
        assert self.store.series(key).delete_range(start, end).deleted == inside.sum()
        self.model[key] = stored[~inside]

    @precondition(lambda self: self.model)
    @rule(data=st.data(), times=st.lists(PLACES, min_size=2, max_size=5, unique=True))
    def replace_range(self, data, times):
        key = data.draw(st.sampled_from(sorted(self.model)))
        stored, times = self.model[key], sorted(times)
        rows = rows_at(SERIES[key], times[1:-1], self.written)
        self.written += len(rows)
        inside = (stored["ts"] >= times[0]) & (stored["ts"] <= times[-1])
        result = self.store.series(key).replace_range(times[0], times[-1], rows)
        assert (result.accepted, result.deleted) == (len(rows), inside.sum())
        both = np.concatenate([stored[~inside], rows])
        self.model[key] = both[np.argsort(both["ts"], kind="stable")]

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def merge(self, data):
        series = self.store.series(data.draw(st.sampled_from(sorted(self.model))))
        series.merge()
        metas = series.chunk_inventory()
        assert len({meta.partition_key for meta in metas}) == len(metas)

    @rule(everything=st.booleans())
    def collect(self, everything):
        """Old files go, those of a reader's snapshot too once it has moved on; the chunk files alone tell all rows."""
        if everything:
            self.refresh()
        grace = 0 if everything else None
        assert self.store.gc(grace_seconds=grace).problems == []
        assert self.store.gc(grace_seconds=grace, dry_run=True).removed_files == 0
        self.rows_without_manifests_agree()

    def rows_without_manifests_agree(self):
        found = rebuilt({f"root/{path}": data for path, data in read_image(Path(self.folder)).items()})
        assert found.keys() == {key for key, rows in self.model.items() if len(rows)}
        for key, columns in found.items():
            rows = sorted(zip(*columns.values(), strict=True), key=str)
            assert rows == sorted((row.item() for row in self.model[key]), key=str)

    @precondition(lambda self: self.model)
    @rule(
        data=st.data(), changes=st.lists(st.tuples(PLACES, st.booleans()), min_size=1, max_size=6), fails=st.booleans()
    )
    def batch(self, data, changes, fails):
        """Puts and deletions of several series: all of them are seen at the end, or none if the block fails."""
        after = dict(self.model)
        with suppress(ZeroDivisionError), self.store.batch():
            for ts, put in changes:
                key = data.draw(st.sampled_from(sorted(self.model)))
                series, rows = self.store.series(key), rows_at(SERIES[key], [ts], self.written)
                self.written += 1
                if put:
                    _, after[key] = put_by_the_book(SERIES[key], after[key], rows, "replace")
                    series.put(rows, on_conflict="replace")
                else:
                    series.delete_range(ts, ts + 2)
                    after[key] = after[key][(after[key]["ts"] < ts) | (after[key]["ts"] > ts + 2)]
                self.same(series.range(), self.model[key])
            if fails:
                _ = 1 / 0
        if not fails:
            self.model = after
        for key, rows in self.model.items():
            self.same(self.store.series(key).range(), rows)

    @rule(key=KEYS)
    def put_out_of_order(self, key):
        rows = rows_at(SERIES[key], [10 * HOUR, 5 * HOUR], self.written)
        with pytest.raises((InvalidInput, NotFound)):
            self.store.series(key).put(rows)

    @rule(key=KEYS, really=st.integers(0, 3))
    def drop(self, key, really):
        if key in self.model and really:
            return
        if key in self.model:
            self.store.drop_series(key)
            del self.model[key]
        else:
            with pytest.raises(NotFound):
                self.store.drop_series(key)

    @rule(
        policy=st.sampled_from(
            [None, CompactionPolicy(tier_fanout=0), CompactionPolicy(auto_merge=True, tier_fanout=2)]
        )
    )
    def reopen(self, policy):
        self.store.close()
        self.store = fastk.open(self.folder, policy=policy)

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
        self.counts["steps"] += 1
        if not hasattr(self, "model"):
            return
        entries = self.reader.list_series()
        assert {(each.symbol, each.category, each.name): each.record_count for each in entries} == {
            key: len(rows) for key, rows in self.model.items()
        }
        assert all(each.problem is None for each in entries)

    def same(self, rows, expected):
        self.counts["reads compared"] += 1
        assert len(rows) == len(expected)
        for name in rows.schema.names:
            np.testing.assert_array_equal(rows[name], expected[name])


@pytest.fixture(autouse=True)
def counted(figures):
    StoreMachine.counts.clear()
    yield
    figures("others", "everything mixed, beside a model", dict(StoreMachine.counts))


StoreMachine.TestCase.settings = settings(max_examples=10, stateful_step_count=40, deadline=None)
TestStore = StoreMachine.TestCase


@pytest.mark.slow
class TestStoreForLonger(StoreMachine.TestCase):
    settings = settings(max_examples=1_500 if TORTURE else 300, stateful_step_count=60, deadline=None)
