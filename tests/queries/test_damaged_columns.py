"""Damage of a column is an error for queries that compare or hand out the damaged rows, and for no other."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from query_calls import KEY, PLANS, columns_of, reopened, values_schema

from fastk import Between, Eq, Gt, InvalidData, Lt
from fastk.engine import mapped

BLOCK = 4_096  # rows that share a checksum
DAMAGED = r"column '{}' is damaged in rows 4,096 to 8,191 of 12,288"


@pytest.fixture(params=["small columns", "large columns"], autouse=True)
def column_size(request, monkeypatch):
    """Small columns are verified whole, if they are sound; of large ones only the blocks that are needed."""
    if request.param == "large columns":
        monkeypatch.setattr(mapped, "WHOLE_SEARCH_BYTES", 0)


@pytest.fixture
def series(store):
    """One chunk of three blocks whose values ascend; ts stands twice, so that `value` alone holds these bytes."""
    series = store.register_series(KEY, values_schema())
    rows = np.arange(3 * BLOCK)
    series.put({**columns_of(rows // 2, rows), "value": rows * 3 + 1, "plain": rows * 5 + 1}, zone_rows=3_000)
    return series


def damage(store, name, row):
    """Flip a bit of a stored value, and give the series as a new reader sees it."""
    (path,) = Path(store.root).rglob("*.chunk")
    factor = {"value": 3, "plain": 5}[name]
    content = bytearray(path.read_bytes())
    place = content.index((np.arange(row, row + 4) * factor + 1).tobytes())
    content[place] ^= 1
    path.write_bytes(content)
    return reopened(store)


@pytest.mark.parametrize("plan", PLANS)
def test_rows_beside_the_damage_are_found_and_taken(store, series, plan):
    with damage(store, "value", 5_000) as damaged:
        for low, high in ((0, BLOCK), (2 * BLOCK, 3 * BLOCK)):
            found = damaged.where("value", Gt(low * 3 + 300), low // 2, high // 2 - 1, plan=plan).rows
            assert found.value.tolist() == list(range(low * 3 + 301, high * 3, 3))


@pytest.mark.parametrize("plan", ["scan", "zones"])
def test_damaged_rows_are_not_compared(store, series, plan):
    with damage(store, "value", 5_000) as damaged:
        for _ in range(2):
            with pytest.raises(InvalidData, match=DAMAGED.format("value")):
                damaged.where("value", Eq(5_100 * 3 + 1), plan=plan)
        (path,) = Path(store.root).rglob("*.chunk")
        with pytest.raises(InvalidData, match=str(path)):
            damaged.where("value", Eq(5_100 * 3 + 1), 2_500, 2_600, plan=plan)


def test_zones_spare_the_damaged_block(store, series):
    """They are guarded by checksums of their own. (So few rows are compared at once, unless a plan is forced.)"""
    with damage(store, "plain", 5_000) as damaged:
        assert damaged.where("plain", Lt(501), plan="zones").rows.number.tolist() == list(range(100))
        assert len(damaged.where("plain", Between(1, 3 * BLOCK * 5), plan="zones")) == 3 * BLOCK
    with reopened(store) as damaged, pytest.raises(InvalidData, match=DAMAGED.format("plain")):
        damaged.where("plain", Between(1, 5_001 * 5), plan="zones")


def test_the_planner_spares_the_damaged_block_of_a_chunk_that_is_worth_pruning(store):
    """Zones that decide about 29 of 30 blocks are cheaper than comparing."""
    series = store.register_series(KEY, values_schema(partition="month", value_indexes=[]))
    rows = np.arange(30 * BLOCK)
    series.put({**columns_of(rows // 2, rows), "value": rows * 3 + 1, "plain": rows * 5 + 1})
    with damage(store, "plain", 5_000) as damaged:
        assert damaged.where("plain", Lt(501)).rows.number.tolist() == list(range(100))
        with pytest.raises(InvalidData, match=r"column 'plain' is damaged in rows 4,096 to 8,191"):
            damaged.where("plain", Between(4_999 * 5, 5_001 * 5))


def test_no_more_is_verified_than_the_window_holds(store, series):
    """Rows 3,000 to 5,999 share a zone; those before row 4,200 lie outside of the window, the damage among them."""
    with damage(store, "value", 3_500) as damaged:
        found = damaged.where("value", Between(4_300 * 3, 4_400 * 3), 2_100, plan="zones")
        assert found.rows.value.tolist() == list(range(4_300 * 3 + 1, 4_400 * 3, 3))


def test_the_value_index_names_rows_without_comparing(store, series):
    with damage(store, "value", 5_000) as damaged:
        found = damaged.where("value", Eq(5_100 * 3 + 1), plan="index")
        assert found.rows.number.tolist() == [5_100]
        for _ in range(2):
            with pytest.raises(InvalidData, match=DAMAGED.format("value")):
                found.rows.value  # noqa: B018
        assert found.rows.plain.tolist() == [5_100 * 5 + 1]


def test_other_columns_of_the_rows_found_stay_readable(store, series):
    with damage(store, "plain", 5_000) as damaged:
        found = damaged.where("value", Between(4_900 * 3, 5_000 * 3)).rows
        assert found.value.tolist() == list(range(4_900 * 3 + 1, 5_000 * 3, 3))
        assert found.text.tolist() == [b"%03d" % (number % 1000) for number in range(4_900, 5_000)]
        with pytest.raises(InvalidData, match=DAMAGED.format("plain")):
            found.plain  # noqa: B018
        with pytest.raises(InvalidData, match=DAMAGED.format("plain")):
            found[0]
        assert damaged.where("value", Lt(31)).rows.plain.tolist() == list(range(1, 51, 5))


def test_a_chunk_whose_rows_all_match_is_verified_when_they_are_taken(store, series):
    with damage(store, "value", 5_000) as damaged:
        found = damaged.where("value", Gt(0))
        assert len(found) == found.stats.rows_matched == 3 * BLOCK
        with pytest.raises(InvalidData, match=DAMAGED.format("value")):
            found.rows.value  # noqa: B018


def test_all_of_a_chunk_is_verified_at_once_where_that_is_wanted(store, series):
    with damage(store, "plain", 5_000):
        pass
    with reopened(store, verify="open") as eager, pytest.raises(InvalidData, match=DAMAGED.format("plain")):
        eager.where("value", Eq(1), 0, 0)
    with reopened(store, verify="never") as careless:
        assert len(careless.where("plain", Between(1, 5_001 * 5), plan="scan")) == 5_001


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    borders=st.lists(st.integers(0, 3 * BLOCK) | st.sampled_from([BLOCK, 2 * BLOCK, 3 * BLOCK]), unique=True),
    dtype=st.sampled_from([np.int64, np.uint32]),
)
def test_runs_of_rows_verify_the_blocks_they_lie_in_and_no_others(store, series, borders, dtype):
    starts, stops = np.array(sorted(borders)[: len(borders) // 2 * 2], dtype).reshape(-1, 2).T
    with reopened(store) as fresh:
        (chunk,) = fresh._reader.snapshot.all_chunks()
        chunk.ensure_runs_verified(1, np.ascontiguousarray(starts), np.ascontiguousarray(stops))
        touched = {row // BLOCK for start, stop in zip(starts, stops, strict=True) for row in range(start, stop)}
        all_of_it = chunk.columns[1].nbytes <= mapped.WHOLE_SEARCH_BYTES
        assert [*np.flatnonzero(chunk.verified[1])] == ([0, 1, 2] if all_of_it else sorted(touched))


@pytest.mark.parametrize("plan", PLANS)
def test_what_was_sound_once_is_refused_when_verifying_again_finds_damage(kernels, store, series, plan):
    """Also by queries that asked all indexes at once before."""
    condition = Between(5_000 * 3, 5_010 * 3)
    with reopened(store) as reader:
        assert reader.where("value", condition, plan=plan).rows.number.tolist() == list(range(5_000, 5_010))
        reader.verify()
        assert reader.where("value", condition, plan=plan).rows.value.tolist() == list(range(15_001, 15_031, 3))
        (path,) = Path(store.root).rglob("*.chunk")
        place = path.read_bytes().index((np.arange(5_004, 5_008) * 3 + 1).tobytes())
        with path.open("r+b") as file:
            file.seek(place)
            file.write(b"\xff")
        with pytest.raises(InvalidData, match=DAMAGED.format("value")):
            reader.verify()
        with pytest.raises(InvalidData, match=DAMAGED.format("value")):
            reader.where("value", condition, plan=plan).rows.value  # noqa: B018
