"""Rows go to the UTC year, month, day or hour that a calendar says, by arithmetic on whole columns."""

import datetime as dt

import numpy as np
import pytest
from builders import JANUARY, temporary_store
from hypothesis import given
from hypothesis import strategies as st

from fastk import InvalidInput, PartitionPolicy, PartitionUnit, TimeUnit
from fastk.partition import split

YEAR, MONTH, DAY, HOUR = PartitionUnit
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
FORMATS = {YEAR: "", MONTH: "-{:%m}", DAY: "-{:%m-%d}", HOUR: "-{:%m-%dT%H}"}
UNITS = st.sampled_from(list(TimeUnit))
PARTITIONS = st.sampled_from(list(PartitionUnit))


def calendar_key(ts, unit, partition):
    """What python's calendar says."""
    moment = EPOCH + dt.timedelta(seconds=ts // unit.per_second)
    return f"{moment.year:04d}{FORMATS[partition].format(moment)}"


@st.composite
def sorted_columns(draw):
    """A unit and a sorted column: dense around a point, or sparse over all of time."""
    unit = draw(UNITS)
    first, last = unit.limits
    if draw(st.booleans()):
        middle = draw(st.integers(first, last))
        spread = draw(st.sampled_from([10, 3_600, 86_400 * 3, 86_400 * 400])) * unit.per_second
        first, last = max(first, middle - spread), min(last, middle + spread)
    values = draw(st.lists(st.integers(first, last), max_size=40))
    return unit, np.array(sorted(values), np.int64)


@given(sorted_columns(), PARTITIONS)
def test_every_row_lands_where_the_calendar_says(column, partition):
    unit, ts = column
    pieces = split(ts, partition, unit)
    keys = [partition.key(ordinal) for ordinal, start, stop in pieces for _ in range(start, stop)]
    assert keys == [calendar_key(int(value), unit, partition) for value in ts]
    assert [ordinal for ordinal, _, _ in pieces] == sorted({ordinal for ordinal, _, _ in pieces})
    assert [start for _, start, _ in pieces] == [0, *(stop for _, _, stop in pieces)][:-1] if pieces else not ts.size


@given(UNITS.flatmap(lambda unit: st.tuples(st.just(unit), st.integers(*unit.limits))), PARTITIONS)
def test_a_partition_contains_its_rows_and_ends_where_the_next_begins(unit_ts, partition):
    unit, ts = unit_ts
    ordinal = partition.ordinal(ts, unit)
    first, last = partition.bounds(ordinal, unit)
    assert first <= ts <= last
    assert partition.bounds(ordinal + 1, unit)[0] == last + 1
    assert partition.bounds(ordinal - 1, unit)[1] == first - 1


@given(PARTITIONS.flatmap(lambda each: st.tuples(st.just(each), st.integers(-17_000_000, 70_000_000))))
def test_keys_and_ordinals_are_one_to_one(partition_ordinal):
    partition, ordinal = partition_ordinal
    hours = {YEAR: 8766, MONTH: 730, DAY: 24, HOUR: 1}[partition]
    ordinal //= hours  # stays within the years 1 to 9999
    assert partition.parse_key(partition.key(ordinal)) == ordinal


@pytest.mark.parametrize(
    ("partition", "iso", "key"),
    [
        (YEAR, "2024-02-29T23:59:59.999", "2024"),
        (YEAR, "1969-12-31T23:59:59.999", "1969"),
        (YEAR, "0001-01-01", "0001"),
        (MONTH, "2024-02-29T23:59:59.999", "2024-02"),
        (DAY, "2024-02-29T23:59:59.999", "2024-02-29"),
        (HOUR, "2024-02-29T23:59:59.999", "2024-02-29T23"),
        (MONTH, "2024-03-01", "2024-03"),
        (DAY, "1900-02-28T23:00", "1900-02-28"),
        (DAY, "2000-02-29", "2000-02-29"),
        (MONTH, "1969-12-31T23:59:59.999", "1969-12"),
        (HOUR, "1969-12-31T23:59:59.999", "1969-12-31T23"),
        (MONTH, "0001-01-01", "0001-01"),
        (HOUR, "9999-12-31T23:59:59.999", "9999-12-31T23"),
    ],
)
def test_leap_days_borders_and_times_before_1970(partition, iso, key):
    ts = int(np.datetime64(iso, "ms").astype(np.int64))
    assert partition.key(partition.ordinal(ts, TimeUnit.MILLISECONDS)) == key


@pytest.mark.parametrize(
    ("partition", "key"),
    [
        (YEAR, "24"),
        (YEAR, "2024-02"),
        (YEAR, "NaT"),
        (MONTH, "2024"),
        (MONTH, "2024-13"),
        (MONTH, "2024-2"),
        (MONTH, "2024-02-01"),
        (DAY, "2024-02"),
        (DAY, "2023-02-29"),
        (HOUR, "2024-02-01T24"),
        (HOUR, "2024-02-01 05"),
        (HOUR, "2024-02-01T05:00"),
        (DAY, "NaT"),
        (DAY, ""),
        (DAY, "today"),
        (MONTH, "../../x"),
    ],
)
def test_text_that_is_no_key_is_refused_with_an_example(partition, key):
    with pytest.raises(InvalidInput, match="write it like 2024"):
        partition.parse_key(key)


def test_nothing_to_split():
    assert split(np.empty(0, np.int64), MONTH, TimeUnit.MILLISECONDS) == []


def test_a_read_only_column_is_split():
    ts = np.array([JANUARY, JANUARY + 1])
    ts.flags.writeable = False
    assert len(split(ts, HOUR, TimeUnit.MILLISECONDS)) == 1


@pytest.mark.parametrize(
    "spelling", ["year", "month", "day", "hour", YEAR, MONTH, PartitionPolicy("day"), PartitionPolicy(HOUR)]
)
def test_every_spelling_of_a_partition(spelling):
    assert PartitionUnit.parse(spelling) in list(PartitionUnit)


@pytest.mark.parametrize("spelling", ["rows", "bytes", "Month", "", None, 5, ["day"]])
def test_unknown_partitions_are_refused(spelling):
    with pytest.raises(InvalidInput, match="give 'year', 'month', 'day' or 'hour'"):
        PartitionUnit.parse(spelling)


def test_policies_compare_by_their_unit():
    assert PartitionPolicy("day") == PartitionPolicy(DAY) != PartitionPolicy("hour")
    assert len({PartitionPolicy("day"), PartitionPolicy(DAY)}) == 1
    assert repr(PartitionPolicy("day")) == "PartitionPolicy('day')"


def test_rows_scattered_over_many_partitions_are_one_commit():
    ts = np.arange(300, dtype=np.int64) * 40 * 3_600_000 - 10**12
    with temporary_store() as store:
        series = store.register_kline_series("SPARSE", "40h", 0, partition="hour")
        result = series.put({name: ts if name == "ts" else np.arange(300) for name in series.schema.names})
        assert (result.chunks, result.accepted) == (300, 300)
        assert series.range().ts.tolist() == ts.tolist()
        keys = [meta.partition_key for meta in series.chunk_inventory()]
        assert keys == [calendar_key(value, TimeUnit.MILLISECONDS, HOUR) for value in ts.tolist()]


@pytest.mark.parametrize("partition", list(PartitionUnit))
def test_no_row_is_lost_at_the_ends_of_what_nanoseconds_can_count(partition):
    """int64 nanoseconds begin within a day of 1677, whose start they cannot name."""
    unit = TimeUnit.NANOSECONDS
    first, last = unit.limits
    ts = np.array([first, first + 1, 0, 5, last - 1, last])
    keys = [partition.key(ordinal) for ordinal, start, stop in split(ts, partition, unit) for _ in range(start, stop)]
    assert keys == [calendar_key(int(value), unit, partition) for value in ts]
    with temporary_store() as store:
        series = store.register_scalar_series(("X", "feature", "1m@@f"), 0, time_unit=unit, partition=partition)
        assert series.put({"ts": ts[:4], "value": ts[:4]}).accepted == 4
        assert series.range().ts.tolist() == ts[:4].tolist()


@pytest.mark.slow
@pytest.mark.parametrize("unit", list(TimeUnit))
@pytest.mark.parametrize("partition", list(PartitionUnit))
def test_chunks_stay_within_their_partition_in_every_unit(unit, partition):
    ts = (np.arange(1_000, dtype=np.int64) * 3_607 + 1_704_000_000) * unit.per_second
    with temporary_store() as store:
        series = store.register_scalar_series(("X", "feature", "1h@@f"), 0, time_unit=unit, partition=partition)
        series.put({"ts": ts, "value": ts})
        for meta in series.chunk_inventory():
            first, last = partition.bounds(partition.parse_key(meta.partition_key), unit)
            assert first <= meta.start_ts <= meta.end_ts <= last
        assert sum(meta.count for meta in series.chunk_inventory()) == 1_000
        assert series.range().value.tolist() == ts.tolist()
