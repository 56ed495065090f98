"""What cannot become a matrix is refused with what, where and the way out; and nothing is half made."""

import numpy as np
import pytest
from builders import JANUARY, MINUTE, contents
from matrix_calls import minutes, put_feature

import fastk
from fastk import InvalidData, InvalidInput, NotFound, Schema, ffill
from fastk.matrix import build, memory


@pytest.fixture
def keys(store):
    return [put_feature(store, "A", range(6), scale=10), put_feature(store, "B", range(3, 9))]


def test_an_unknown_series_is_named(store, keys):
    with pytest.raises(NotFound, match="Z/feature/1m@@f is not in the store"):
        store.feature_matrix([*keys, fastk.feature_series_key("Z", "1m", "f")])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"grid": "outer"}, "grid='outer' is unknown: give 'union', 'intersection', 'first'"),
        ({"grid": minutes(0, 2, 1)}, r"the grid does not ascend: row 2 \(2024-01-01T00:01.*comes not after row 1"),
        ({"grid": minutes(0, 0)}, "the grid does not ascend: row 1"),
        ({"grid": 0}, "a step of the grid must be 1 or more"),
        ({"grid": 2**63}, "a step of the grid must be 1 or more, and within int64"),
        ({"fill": 1e300, "dtype": "float32"}, "a matrix of float32 has no place for fill=1e\\+300"),
        ({"fill": 10**400}, "a matrix of float64 has no place for fill=1000"),
        ({"fill": ffill(otherwise=-(2**200)), "dtype": "float32"}, "a matrix of float32 has no place for fill=-1606"),
        ({"grid": np.timedelta64(1, "ns")}, "a whole number of ms"),
        ({"grid": [0.5]}, "ts .*are no times|0.5"),
        ({"grid": 60_000.0}, "grid=60000.0 is unknown: give 'union', 'intersection', 'first', an array of times or a"),
        ({"grid": None}, "grid=None is unknown"),
        ({"grid": {1, 2}}, "grid={1, 2} is unknown"),
        ({"grid": np.zeros((2, 2), int)}, r"one-dimensional, not of shape \(2, 2\)"),
        ({"fill": "ffill"}, r"fill='ffill' is unknown: give a number, NaN, or fastk.ffill\(limit\)"),
        ({"dtype": "int64"}, "scale='raw'"),
        ({"dtype": "int64", "scale": "raw"}, "a matrix of int64 has no place for fill=nan"),
        ({"dtype": "int64", "scale": "raw", "fill": ffill()}, "a matrix of int64 has no place for fill=nan"),
        ({"dtype": "int64", "scale": 10, "fill": 0}, "undivided: leave scale out"),
        ({"dtype": "int32"}, "dtype='int32' is none of a matrix: give 'float64', 'float32', 'int64'"),
        ({"dtype": ">f8"}, "is none of a matrix"),
        ({"layout": "TFS"}, "layout='TFS' is unknown"),
        ({"align": "nearest"}, "align='nearest' is unknown: give 'exact' or 'asof'"),
        ({"tolerance": 5}, "tolerance= belongs to align='asof'"),
        ({"align": "asof", "tolerance": -1}, "tolerance must be 0 or more"),
        ({"align": "asof", "tolerance": "soon"}, "tolerance must be an int in ms or a timedelta"),
        ({"align": "asof", "tolerance": "5"}, "tolerance must be an int in ms or a timedelta"),
        ({"align": "asof", "tolerance": True}, "tolerance must be an int in ms or a timedelta"),
        ({"threads": 0}, "threads must be an int of 1 or more"),
        ({"start": 5, "end": 4}, "start 5 lies after its end 4"),
        ({"columns": ["close"]}, "'close' is no column of scalar; it has ts, value"),
        ({"columns": ["value", "value"]}, "name one twice"),
        ({"columns": {("Q", "x", "y"): ["value"]}}, "columns= is given for Q/x/y, which is no series of the matrix"),
        ({"columns": []}, "has no columns of numbers"),
        ({"scale": 100}, "registered with scale 10, and scale=100 is given for all"),
        ({"scale": 0}, "scale must be an int from 1"),
        ({"scale": [10]}, "scale has 1 entries for 2 series"),
        ({"scale": {("Q", "x", "y"): 3}}, "scale= is given for Q/x/y, which is no series of the matrix"),
        ({"scale": "none"}, "scale='none' is unknown"),
    ],
)
def test_what_does_not_fit_together(store, keys, options, message):
    before = contents(store.root)
    with pytest.raises(InvalidInput, match=message):
        store.feature_matrix(keys, **options)
    assert contents(store.root) == before


def test_scales_may_be_mixed_by_who_says_so(store, keys):
    raw = store.feature_matrix(keys, dtype="int64", scale="raw", fill=-1).values
    assert raw[5].tolist() == [5, 2]
    assert store.feature_matrix(keys, scale=[100, 1]).values[5].tolist() == [0.05, 2]
    assert store.feature_matrix(keys, scale={keys[0]: 100}).values[5].tolist() == [0.05, 2]
    assert store.feature_matrix(keys).values[5].tolist() == [0.5, 2]
    assert store.feature_matrix(keys[1:], scale=100).values[0, 0] == 0


class Counted(dict):
    """A mapping that counts how often it is read."""

    reads = 0

    def items(self):
        Counted.reads += 1
        return super().items()


def test_what_is_given_by_series_is_read_once(store):
    """Not once a series, which was the square of their number."""
    keys = [put_feature(store, f"S{place}", (0, 1), name="x") for place in range(9)]
    for option, value in (("columns", ["value"]), ("scale", 10)):
        Counted.reads = 0
        store.feature_matrix(keys, **{option: Counted.fromkeys(keys, value)})
        assert Counted.reads <= 2


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({}, "give series"),
        ({"series": []}, "one series or more"),
        ({"series": "A"}, "series must be a list"),
        ({"series": 7}, "series must be a list"),
        ({"series": ("A", "feature", "1m@@f")}, "is one key: write"),
        ({"series": [("A", "feature")]}, "is no series key"),
        ({"series": [("A", "feature", "1m@@f")], "symbols": ["A"]}, "give series"),
        ({"symbols": ["A"]}, "belong together"),
        ({"symbols": ["A"], "features": ["f"]}, "timeframe='1m'"),
        ({"symbols": "AB", "features": ["f"], "timeframe": "1m"}, "symbols must be a list"),
    ],
)
def test_which_series_must_be_clear(store, keys, asked, message):
    with pytest.raises(InvalidInput, match=message):
        store.feature_matrix(**asked)


def test_labels_are_unique(store, keys):
    with pytest.raises(InvalidInput, match="A/feature/1m@@f is asked for twice"):
        store.feature_matrix([keys[0], keys[1], store.series(keys[0])])


def test_times_that_nothing_shares(store):
    apart = [put_feature(store, "A", (0, 1)), put_feature(store, "B", (5, 6))]
    with pytest.raises(
        InvalidInput, match=r"share no time \(A/.*: 2024-01-01T00:00:00.000Z to .*; B/.*take grid='union'"
    ):
        store.feature_matrix(apart, grid="intersection")


def test_units_of_time_are_not_mixed(store, keys):
    nanoseconds = store.register_series(("N", "own", "x"), Schema("n", [("ts", "i8"), ("x", "i8")]), time_unit="ns")
    with pytest.raises(InvalidInput, match="A/feature/1m@@f counts time in ms, N/own/x in ns"):
        store.feature_matrix([keys[0], nanoseconds])


def test_text_and_floats_where_they_cannot_be(store):
    series = store.register_series(
        ("X", "own", "x"), Schema("mixed", [("ts", "i8"), ("x", "f8"), ("note", "S3"), ("big", "u8")])
    )
    series.put({"ts": [1], "x": [0.5], "note": [b"abc"], "big": [2**64 - 1]})
    with pytest.raises(InvalidInput, match="'note' holds text"):
        store.feature_matrix([series], columns="note")
    with pytest.raises(InvalidInput, match="X/own/x:x holds floats"):
        store.feature_matrix([series], columns="x", dtype="int64", fill=0)
    with pytest.raises(InvalidInput, match="'big' has values beyond int64"):
        store.feature_matrix([series], columns="big", dtype="int64", fill=0)
    assert store.feature_matrix([series], columns="big").values[0, 0] == 2.0**64


def test_a_value_that_int64_cannot_hold_hinders_no_range_without_it(store):
    series = store.register_series(("X", "own", "x"), Schema("big", [("ts", "i8"), ("big", "u8")]))
    series.put({"ts": [1, 2, 3], "big": np.array([5, 2**64 - 1, 2**63 - 1], "u8")})
    for start, end, expected in ((1, 1, 5), (3, 3, 2**63 - 1)):
        matrix = store.feature_matrix([series], start=start, end=end, dtype="int64", fill=0)
        assert matrix.values.tolist() == [[expected]]
    with pytest.raises(InvalidInput, match="'big' has values beyond int64"):
        store.feature_matrix([series], start=2, dtype="int64", fill=0)


@pytest.mark.parametrize(
    "out",
    [
        np.zeros((9, 3)),
        np.zeros((9, 2), np.float32),
        np.zeros((2, 9)).T,
        np.zeros((18, 2))[::2],
        np.zeros((9, 2)).tolist(),
        np.broadcast_to(np.zeros(2), (9, 2)),
        np.ma.masked_all((9, 2)),
    ],
    ids=["shape", "dtype", "order", "stride", "list", "read-only", "masked"],
)
def test_out_must_fit_whole(store, keys, out):
    before = np.array(out)
    with pytest.raises(InvalidInput, match=r"out must be a writable, C-contiguous float64 array of shape \(9, 2\)"):
        store.feature_matrix(keys, out=out)
    np.testing.assert_array_equal(out, before)


def test_three_dimensions_need_a_product(store, keys):
    more = put_feature(store, "A", (1, 2), name="g")
    with pytest.raises(InvalidInput, match="layout='TSF' needs the same columns of every symbol"):
        store.feature_matrix([*keys, more], layout="TSF")


def test_a_matrix_larger_than_memory_is_refused_before_any_is_taken(store, keys, monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda: 2 * 10**8)
    monkeypatch.setattr(build, "fill_all", lambda *arguments: pytest.fail("nothing may be filled"))
    with pytest.raises(InvalidInput, match=r"20,000,000 x 2 float64 takes 0.3 GB, and 0.2 .*save_feature_matrix\(path"):
        store.feature_matrix(keys, start=JANUARY, end=JANUARY + 2 * 10**7 - 1, grid=1)
    with pytest.raises(InvalidInput, match="the grid with a step of 1 from 0 to 4611686018427387904 takes"):
        store.feature_matrix(keys, start=0, end=2**62, grid=1)


@pytest.mark.parametrize("column", ["value", "ts"])
def test_damage_is_found_before_anything_is_written(store, keys, column, kernels):
    from pathlib import Path

    with fastk.open(store.root, "r") as reader:
        chunk = next(Path(store.root).rglob("series/B/**/*.chunk"))
        data = bytearray(chunk.read_bytes())
        value = np.int64({"value": 4, "ts": minutes(6)[0]}[column]).tobytes()
        data[data.rindex(value)] ^= 1
        chunk.write_bytes(data)
        out = np.full((9, 2), 5.0)
        with pytest.raises(InvalidData, match=f"column '{column}' is damaged"):
            reader.feature_matrix(keys, out=out)
        assert (out == 5).all()


def test_handles_and_generators_where_lists_belong(store, keys):
    with pytest.raises(InvalidInput, match="is no series key"):
        store.feature_matrix(keys, columns={store.series(keys[0]): ["value"]})
    with pytest.raises(InvalidInput):
        store.feature_matrix(keys, grid=(ts for ts in minutes(1, 2)))


def test_handles_of_another_store_object(store, keys):
    with fastk.open(store.root, "r") as other, pytest.raises(InvalidInput, match="handle of another store object"):
        store.feature_matrix([other.series(keys[0])])


def test_windows_of_no_length(store, keys):
    matrix = store.feature_matrix(keys)
    for arguments in ((0,), (2, 0), (1.5,)):
        with pytest.raises(InvalidInput, match="of windows must be an int of 1 or more"):
            matrix.windows(*arguments)
    with pytest.raises(InvalidInput, match="'Q' is no column of the matrix; its labels are A/feature"):
        matrix.column("Q")


def test_a_limit_of_nothing():
    for limit in (0, -1, 1.5, True):
        with pytest.raises(InvalidInput, match="ffill takes a limit of 1 row or more"):
            ffill(limit)


def test_rows_of_a_minute_are_no_rows_of_an_hour(store, keys):
    """The timeframe is no part of what is compared: a slower series on the grid of a faster one has gaps."""
    slow = store.register_scalar_series(fastk.feature_series_key("A", "1h", "f"), 60 * MINUTE)
    slow.put({"ts": minutes(0), "value": [7]})
    matrix = store.feature_matrix([keys[0], slow], grid="first")
    np.testing.assert_array_equal(np.isnan(matrix.values[:, 1]), [False] + [True] * 5)


def test_a_step_before_all_time(store):
    series = store.register_series(("N", "own", "x"), Schema("n", [("ts", "i8"), ("x", "i8")]), time_unit="ns")
    series.put({"ts": [-(2**63) + 1], "x": [1]})
    with pytest.raises(
        InvalidInput, match=r"the multiple of the step 1000000000000000000 .* is beyond int64: give a start"
    ):
        store.feature_matrix([series], grid=10**18)
    assert store.feature_matrix([series], grid=10**18, start=-(2**63) + 1).values.tolist() == [[1]]


def test_a_grid_beyond_memory_names_no_way_that_does_not_help(store, keys, tmp_path):
    with pytest.raises(InvalidInput, match="also of a matrix that goes to disk: take a shorter range") as caught:
        store.save_feature_matrix(tmp_path / "saved", keys, start=0, end=2**62, grid=1)
    assert "save_feature_matrix" not in str(caught.value)
