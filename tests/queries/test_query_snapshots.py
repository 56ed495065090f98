"""What a query found stays what it was: beyond eviction, own writes, refresh, drop and close; in many chunks or few."""

import numpy as np
import pytest
from builders import HOUR, joined
from query_calls import KEY, PLANS, columns_of, reopened, satisfies, values_schema

import fastk
from fastk import Eq, Gt, InSet, Ne, StoreClosed

HOURS, ROWS = 30, 40
CONDITIONS = (Eq(33), Gt(90), Ne(50), InSet(range(0, 100, 7)))


def hour(number):
    """Rows of one hour: every value is a function of its place."""
    first = number * ROWS
    values = (first + np.arange(ROWS)) * 37 % 101
    return {**columns_of(number * HOUR + np.arange(ROWS) // 2, values), "number": first + np.arange(ROWS)}


WHOLE = np.concatenate([hour(number)["value"] for number in range(HOURS)])


def matching(condition, values=WHOLE):
    return np.flatnonzero([satisfies(value, condition) for value in values.tolist()])


def check(rows, condition, values=WHOLE):
    """Every column, as a whole, by record, cut and into a buffer."""
    expected = matching(condition, values)
    assert len(rows) == len(expected)
    assert rows.number.tolist() == expected.tolist()
    assert rows.value.tolist() == rows.plain.tolist() == values[expected].tolist()
    assert rows.ts.tolist() == (expected // ROWS * HOUR + expected % ROWS // 2).tolist()
    assert rows.column("value", out=np.empty(len(rows), np.int64)).tolist() == values[expected].tolist()
    if len(rows):
        assert rows[-1].number == expected[-1]
        assert rows[1:3].number.tolist() == expected[1:3].tolist()


@pytest.fixture
def series(store):
    """A chunk an hour."""
    series = store.register_series(KEY, values_schema())
    series.append(joined(*map(hour, range(HOURS))), zone_rows=8)
    return series


@pytest.mark.parametrize("max_maps", [1, 3, 200])
class TestBudgetOfMaps:
    """Chunks and value indexes share it; 30 chunks are far beyond the smaller ones."""

    @pytest.mark.slow
    def test_every_plan_and_column(self, store, series, kernels, max_maps):
        with reopened(store, max_maps=max_maps) as reader:
            for condition in CONDITIONS:
                for plan in PLANS:
                    check(reader.where("value", condition, plan=plan).rows, condition)

    def test_a_few_chunks_of_many(self, store, series, max_maps):
        with reopened(store, max_maps=max_maps) as reader:
            for first in range(0, HOURS, 7):
                start, end = first * HOUR, (first + 2) * HOUR - 1
                found = reader.where("value", Ne(50), start, end, plan="index").rows
                expected = [row for row in matching(Ne(50)).tolist() if first * ROWS <= row < (first + 2) * ROWS]
                assert found.number.tolist() == expected

    def test_columns_are_taken_after_others_have_been_evicted(self, store, series, max_maps):
        with reopened(store, max_maps=max_maps) as reader:
            answers = [(condition, reader.where("value", condition).rows) for condition in CONDITIONS]
            reader.range().value.sum()
            for condition, rows in answers:
                check(rows, condition)
            assert len(reader._reader.snapshot.chunks.maps) <= max_maps


class TestLaterWrites:
    def test_own_ones_do_not_change_what_was_found(self, series):
        before = series.where("value", Gt(90)).rows
        series.append(hour(HOURS))
        check(series.where("value", Gt(90)).rows, Gt(90), np.append(WHOLE, hour(HOURS)["value"]))
        check(before, Gt(90))

    @pytest.mark.parametrize("max_maps", [1, None])
    def test_those_of_others_are_seen_after_a_refresh(self, store, series, max_maps):
        with fastk.open(store.root, "r", max_maps=max_maps) as reader:
            theirs = reader.series(KEY)
            before = theirs.where("value", Gt(90)).rows
            series.append(hour(HOURS))
            check(theirs.where("value", Gt(90)).rows, Gt(90))
            assert reader.refresh()
            check(theirs.where("value", Gt(90)).rows, Gt(90), np.append(WHOLE, hour(HOURS)["value"]))
            check(before, Gt(90))

    @pytest.mark.parametrize("max_maps", [1, None])
    def test_dropping_the_series_leaves_what_was_found(self, store, series, max_maps):
        with reopened(store, max_maps=max_maps) as reader:
            rows = reader.where("value", Gt(90)).rows
            store.drop_series(KEY)
            check(rows, Gt(90))
            check(reader.where("value", Eq(33)).rows, Eq(33))


class TestClosing:
    def test_rows_of_a_few_chunks_stay(self, store, series):
        """They hold their chunks; also columns that nobody took before."""
        with reopened(store) as reader:
            rows = reader.where("value", Gt(90)).rows
        check(rows, Gt(90))

    def test_columns_that_were_taken_stay_though_the_chunks_were_many(self, store, series):
        with reopened(store, max_maps=4) as reader:
            rows = reader.where("value", Gt(90)).rows
            number = rows.number
        assert rows.number is number
        assert number.tolist() == matching(Gt(90)).tolist()
        with pytest.raises(StoreClosed):
            rows.value  # noqa: B018
        assert repr(rows).startswith(f"<{len(number)} rows of X/own/values")

    def test_no_query_comes_after(self, store, series):
        with reopened(store) as reader:
            reader.where("value", Gt(90))
        with pytest.raises(StoreClosed):
            reader.where("value", Gt(90))


class TestRowsOfQueries:
    def test_are_read_only_and_taken_once(self, series):
        rows = series.where("value", Gt(90)).rows
        assert rows.value is rows.value
        for name in rows.schema.names:
            with pytest.raises(ValueError, match="read-only"):
                rows[name][0] = 0

    def test_of_none_have_every_column(self, series):
        rows = series.where("value", Gt(1_000)).rows
        assert (len(rows), list(rows), list(rows.segments)) == (0, [], [])
        for field in series.schema.fields:
            assert (rows[field.name].dtype, rows[field.name].size) == (field.dtype, 0)

    def test_become_records_and_tables_as_others_do(self, series):
        found = series.where("value", Eq(33))
        assert len(found) == len(found.rows)
        whole = series.range().to_numpy()[matching(Eq(33))]
        np.testing.assert_array_equal(found.rows.to_numpy(), whole)
        assert [tuple(record) for record in found.rows] == whole.tolist()
        assert [tuple(record) for piece in found.rows.segments for record in piece] == whole.tolist()
