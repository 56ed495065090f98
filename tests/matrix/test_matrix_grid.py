"""Grids from the times of the series: what sets of times say, with little more in memory than the grid."""

import tracemalloc

import numpy as np
import pytest
from builders import temporary_folder
from hypothesis import given, settings
from hypothesis import strategies as st

import fastk
from fastk import InvalidInput
from fastk.matrix import memory, named_grid

TIMES = st.lists(st.integers(0, 60), min_size=1, max_size=40).map(sorted)
SCHEMA = fastk.Schema("x", [("ts", "int64"), ("id", "uint64")], unique_ts=False, sequence_field="id")


def put_times(store, place, ts, pieces=1):
    """A series of its own with these times, in so many chunks."""
    series = store.register_series(("X", "own", str(place)), SCHEMA)
    for part in np.array_split(np.array(ts, np.int64), pieces):
        if part.size:
            series.append({"ts": part, "id": np.arange(len(series), len(series) + part.size, dtype=np.uint64)})
    return series


@pytest.mark.slow
@pytest.mark.parametrize("window", [1, 8, 1_000])
@settings(deadline=None, max_examples=15)
@given(times=st.lists(TIMES, min_size=1, max_size=4), start=st.integers(0, 30))
def test_a_named_grid_is_that_of_sets(window, times, start):
    """Equal times in a series, over the border of chunks, and rows before the start are among them."""
    with pytest.MonkeyPatch.context() as patch, temporary_folder() as folder, fastk.open(folder / "s") as store:
        patch.setattr(named_grid, "WINDOW_ROWS", window)
        patch.setattr(named_grid, "SAMPLE_ROWS", 2)
        series = [put_times(store, place, ts, 3) for place, ts in enumerate(times)]
        sets = [{each for each in ts if each >= start} for ts in times]
        expected = {"union": set.union(*sets), "intersection": set.intersection(*sets), "first": sets[0]}
        for align in ("exact", "asof"):
            for grid, found in expected.items():
                if grid == "intersection" and not found:
                    with pytest.raises(InvalidInput, match="share no time"):
                        store.feature_matrix(series, grid=grid, start=start, align=align)
                else:
                    matrix = store.feature_matrix(series, grid=grid, start=start, align=align)
                    assert matrix.ts.tolist() == sorted(found)


@pytest.mark.slow
@pytest.mark.parametrize(("grid", "room"), [("union", 1.1), ("intersection", 2.1)])
def test_the_times_of_all_series_are_never_held_together(store, monkeypatch, grid, room):
    """Sixteen series of 100,000 rows each, of which 1,000 are shared: 12.8 MB of times."""
    monkeypatch.setattr(named_grid, "WINDOW_ROWS", 1 << 14)
    own, shared = np.arange(100_000) * 17, np.arange(1_000) * 1_700 + 16
    series = [put_times(store, place, np.union1d(own + place, shared), 4) for place in range(16)]
    store.feature_matrix(series, grid=grid, end=0 if grid == "union" else 16)  # what is taken once is taken
    with monkeypatch.context() as patch:
        peaks = []
        whole = named_grid.named_grid

        def traced(*arguments):
            tracemalloc.start()
            try:
                return whole(*arguments)
            finally:
                peaks.append(tracemalloc.get_traced_memory()[1])
                tracemalloc.stop()

        patch.setattr("fastk.matrix.plan.named_grid", traced)
        matrix = store.feature_matrix(series, grid=grid)
    held = matrix.ts.nbytes if grid == "union" else 101_000 * 8
    assert peaks[0] < room * held + 1_500_000


@pytest.mark.parametrize("grid", ["union", "intersection", "first"])
def test_a_grid_beyond_memory_is_refused(store, monkeypatch, grid):
    series = [put_times(store, place, np.arange(100) * 2 + place // 2) for place in range(3)]
    monkeypatch.setattr(memory, "_WORTH_ASKING", 0)
    monkeypatch.setattr(memory, "free_memory", lambda: 799)
    with pytest.raises(InvalidInput, match=r"a grid of .* times takes .*: the times of the rows are held in memory"):
        store.feature_matrix(series, grid=grid)


@pytest.mark.parametrize("grid", ["union", "intersection", "first"])
@pytest.mark.parametrize("window", [1, 1_000])
def test_a_time_on_both_sides_of_a_border_counts_once(store, monkeypatch, grid, window):
    monkeypatch.setattr(named_grid, "WINDOW_ROWS", window)
    series = [put_times(store, place, ts, 2) for place, ts in enumerate(([1, 2, 2, 3], [0, 1, 2, 2, 3, 4]))]
    matrix = store.feature_matrix(series, grid=grid)
    assert matrix.ts.tolist() == ([0, 1, 2, 3, 4] if grid == "union" else [1, 2, 3])
