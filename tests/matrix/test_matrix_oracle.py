"""A matrix holds what looking up each value for itself gives: any series, grid, fill, dtype, layout and alignment."""

import numpy as np
import pytest
from builders import HOUR, JANUARY, MINUTE, temporary_store
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from matrix_calls import NAN, Modelled, model_grid, model_matrix

from fastk import InvalidInput, Schema, SeriesKey, ffill
from fastk.times import INT64_MAX, INT64_MIN

SPAN = 4 * 60  # minutes, in partitions of hours
DTYPES = ("i8", "i4", "u1", "?", "u8", "f4", "f8")
TIMES = st.integers(0, SPAN)
COLUMN_VALUES = {"f": (-2.5, 0.1, NAN), "b": (0, 1), "u": (0, 1, 200), "i": (-7, 0, 3, 90)}
laws = settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@st.composite
def series(draw, integers):
    """(dtypes of the fields, scale, ts, columns, which rows come in a put of their own)."""
    codes = [code for code in DTYPES if not (integers and code.startswith("f"))]
    dtypes = draw(st.lists(st.sampled_from(codes), min_size=1, max_size=3))
    ts = draw(st.sampled_from(("few", "many", "shared", "none")))
    if ts == "shared":
        minutes = list(range(0, SPAN, 5))
    else:
        count = {"few": 4, "many": 60, "none": 0}[ts]
        minutes = sorted(draw(st.lists(TIMES, max_size=count, unique=draw(st.booleans()))))
    random = np.random.default_rng(draw(st.integers(0, 9)))
    columns = [random.choice(COLUMN_VALUES[np.dtype(code).kind], len(minutes)) for code in dtypes]
    return dtypes, draw(st.sampled_from((1, 10, 3))), minutes, columns, draw(st.integers(0, len(minutes)))


def write(store, place, made):
    """The series in a store, and its columns as the model knows them."""
    dtypes, scale, minutes, columns, cut = made
    fields = [(f"c{number}", code, "s" if np.dtype(code).kind in "iu" else None) for number, code in enumerate(dtypes)]
    scaled = any(each[2] for each in fields)
    schema = Schema("made", [("ts", "i8"), *fields], unique_ts=False, partition="hour")
    key = SeriesKey("X", "own", str(place))
    handle = store.register_series(key, schema, scales={"s": scale} if scaled else {})
    ts = JANUARY + np.array(minutes, np.int64) * MINUTE
    arrays = [np.array(column, code) for column, code in zip(columns, dtypes, strict=True)]
    # Rows of one ts go together: without a sequence field they are one group.
    cut = int(np.searchsorted(ts, ts[cut])) if cut < ts.size else ts.size
    for part in (slice(0, cut), slice(cut, None)):
        if ts[part].size:
            handle.put({"ts": ts[part], **{f"c{number}": array[part] for number, array in enumerate(arrays)}})
    modelled = [
        Modelled(list(zip(ts.tolist(), array.tolist(), strict=True)), scale if array.dtype.kind in "iu" else 1)
        for array in arrays
    ]
    return key, modelled


GRIDS = (
    st.sampled_from(("union", "intersection", "first")) | st.lists(TIMES, unique=True, max_size=40) | st.just("step")
)
FILLS = st.sampled_from((NAN, -1, 0)) | st.builds(ffill, st.none() | st.integers(1, 4), st.sampled_from((NAN, 7)))
ENDS = st.none() | TIMES


@pytest.mark.slow
@laws
@given(data=st.data())
def test_any_matrix(kernels, small_steps, data):
    dtype = data.draw(st.sampled_from(("float64", "float32", "int64")))
    made = data.draw(st.lists(series(dtype == "int64"), min_size=1, max_size=data.draw(st.integers(1, 4))))
    align, tolerance = data.draw(st.sampled_from((("exact", None), ("asof", None), ("asof", 0), ("asof", 90 * MINUTE))))
    fill, grid = data.draw(FILLS), data.draw(GRIDS)
    if (
        dtype == "int64"
        and grid != "intersection"
        and (fill != fill or getattr(fill, "otherwise", 0) != getattr(fill, "otherwise", 0))
    ):
        fill = -3
    start, end = sorted((data.draw(ENDS), data.draw(ENDS)), key=lambda minute: (minute is None, minute or 0))
    start, end = (None if each is None else JANUARY + each * MINUTE for each in (start, end))
    layout, threads = data.draw(st.sampled_from(("TF", "FT"))), data.draw(st.integers(1, 3))
    with temporary_store() as store:
        written = [write(store, place, each) for place, each in enumerate(made)]
        columns = [column for _, modelled in written for column in modelled]
        low, high = INT64_MIN if start is None else start, INT64_MAX if end is None else end
        expected_grid, argument = expect_grid(grid, [modelled[0] for _, modelled in written], low, high)
        low, high = (
            (expected_grid[0], expected_grid[-1]) if isinstance(argument, np.ndarray) and expected_grid else (low, high)
        )
        asked = {
            "start": start, "end": end, "grid": argument, "fill": fill, "align": align, "tolerance": tolerance,
            "dtype": dtype, "layout": layout, "threads": threads, "mask": True,
            "scale": "raw" if dtype == "int64" else None,
        }  # fmt: skip
        keys = [key for key, _ in written]
        if grid == "intersection" and not expected_grid:
            with pytest.raises(InvalidInput, match="share no time"):
                store.feature_matrix(keys, **asked)
            return
        matrix = store.feature_matrix(keys, **asked)
        assert matrix.ts.tolist() == expected_grid
        reach = 0 if align == "exact" else INT64_MAX if tolerance is None else tolerance
        values, valid = model_matrix(columns, expected_grid, low, high, reach=reach, fill=fill, dtype=dtype)
        np.testing.assert_array_equal(matrix.table, values)
        np.testing.assert_array_equal(matrix.mask.T if layout == "FT" else matrix.mask, valid)
        assert matrix.values.flags.c_contiguous
        check_coverage(matrix, written, low, high, expected_grid, reach)


def expect_grid(grid, firsts, low, high):
    """The times that the grid must have, and the argument that asks for it."""
    if grid == "step":
        spans = [[ts for ts, _ in column.rows if low <= ts <= high] for column in firsts]
        every = [ts for span in spans for ts in span]
        if low == INT64_MIN and not every:
            return [], HOUR
        begin = min(every) // HOUR * HOUR if low == INT64_MIN else low
        last = high if high != INT64_MAX else max(every, default=begin - 1)
        return list(range(begin, last + 1, HOUR)), HOUR
    if isinstance(grid, list):
        times = [JANUARY + minute * MINUTE for minute in sorted(grid)]
        return [ts for ts in times if low <= ts <= high], np.array(times, np.int64)
    return model_grid(grid, firsts, low, high), grid


def check_coverage(matrix, written, low, high, grid, reach):
    for (key, modelled), coverage in zip(written, matrix.coverage, strict=True):
        ts = [at for at, _ in modelled[0].rows if low <= at <= high]
        _, valid = model_matrix(modelled[:1], grid, low, high, reach=reach)
        assert coverage == (key, len(ts), int(valid.sum()), ts[0] if ts else None, ts[-1] if ts else None)
