"""What a matrix is: labels, scales, gaps, carried values, as-of values, windows, and whatever is asked besides."""

import threading
from datetime import timedelta

import numpy as np
import pytest
from builders import DAY, JANUARY, MINUTE, bars, use_kernels
from matrix_calls import minutes, put_feature

import fastk
from fastk import Schema, ffill, kernels
from fastk.matrix import build
from fastk.matrix import plan as plans

NAN = float("nan")


@pytest.fixture
def gapped(store):
    """Three features: every minute, with a gap, and one that begins late."""
    return [
        put_feature(store, "A", range(6), [10, 20, 30, 40, 50, 60], scale=10),
        put_feature(store, "B", (0, 1, 4, 5), [1, 2, 3, 4]),
        put_feature(store, "C", (3, 5), [7, 8]),
    ]


def test_columns_stand_at_the_times_of_all_and_are_decoded(store, gapped, kernels):
    matrix = store.feature_matrix(gapped, mask=True)
    expected = [[1, 1, NAN], [2, 2, NAN], [3, NAN, NAN], [4, NAN, 7], [5, 3, NAN], [6, 4, 8]]
    np.testing.assert_array_equal(matrix.values, expected)
    np.testing.assert_array_equal(matrix.mask, ~np.isnan(expected))
    assert matrix.ts.tolist() == minutes(*range(6))
    assert [str(label) for label in matrix.labels] == [f"{symbol}/feature/1m@@f:value" for symbol in "ABC"]
    assert matrix.labels[1].symbol == "B"
    assert matrix.divisors == [10, 1, 1]
    assert [(each.rows, each.matched) for each in matrix.coverage] == [(6, 6), (4, 4), (2, 2)]
    assert (matrix.coverage[2].first_ts, matrix.coverage[2].last_ts) == tuple(minutes(3, 5))


def test_decoded_values_are_those_of_a_division(store, kernels):
    stored = np.arange(1, 4_000) * 7_919
    key = put_feature(store, "A", range(stored.size), stored, scale=10_000)
    matrix = store.feature_matrix([key])
    assert matrix.values[:, 0].tolist() == [value / 10_000 for value in stored.tolist()]
    assert (matrix.values[:, 0] != stored * 1e-4).any()  # multiplying by the inverse would differ
    np.testing.assert_array_equal(matrix.values[:, 0], store.series(key).range().decoded("value"))


def test_a_limit_ends_what_is_carried(store, gapped, kernels):
    carried = store.feature_matrix(gapped, fill=ffill(1)).values[:, 1]
    np.testing.assert_array_equal(carried, [1, 2, 2, NAN, 3, 4])
    np.testing.assert_array_equal(store.feature_matrix(gapped, fill=ffill()).values[:, 1], [1, 2, 2, 2, 3, 4])
    otherwise = store.feature_matrix(gapped, fill=ffill(1, otherwise=-1)).values[:, 2]
    np.testing.assert_array_equal(otherwise, [-1, -1, -1, 7, 7, 8])


def test_nothing_from_before_the_start_is_carried_but_as_of_looks_back(store, gapped, kernels):
    start = minutes(2)[0]
    assert np.isnan(store.feature_matrix(gapped, start=start, fill=ffill()).values[0, 1])
    assert store.feature_matrix(gapped, start=start, align="asof").values[0, 1] == 2
    within = store.feature_matrix(gapped, start=start, align="asof", tolerance=timedelta(minutes=1))
    np.testing.assert_array_equal(within.values[:, 1], [2, NAN, 3, 4])
    assert within.coverage[1].rows == 2


def test_as_of_never_looks_ahead(store, kernels):
    """Each value changes at its own time: one that stood there earlier would come from the future."""
    daily = store.register_series(("X", "own", "daily"), Schema("daily", [("ts", "i8"), ("seen", "i8")]))
    ts = JANUARY + np.array([0, 1, 3, 7]) * DAY + 5 * MINUTE
    daily.put({"ts": ts, "seen": ts})
    bar = store.register_kline_series("X", "1m", MINUTE)
    bar.put(bars(JANUARY - DAY, 10 * 24 * 60))
    matrix = store.feature_matrix(
        [("X", "kline", "1m"), ("X", "own", "daily")], columns={("X", "kline", "1m"): "close"}, grid="first",
        align="asof", dtype="int64", scale="raw", fill=-1,
    )  # fmt: skip
    seen = matrix.column("X/own/daily:seen")
    assert (seen <= matrix.ts).all()
    latest = np.searchsorted(ts, matrix.ts, "right") - 1
    np.testing.assert_array_equal(seen, np.where(latest >= 0, ts[latest], -1))
    # What is stored later changes no row before it.
    daily.put({"ts": ts[-1:] + 1, "seen": ts[-1:] + 1})
    again = store.feature_matrix(
        [("X", "own", "daily")], grid=matrix.ts, align="asof", dtype="int64", fill=-1
    ).values[:, 0]  # fmt: skip
    np.testing.assert_array_equal(again[matrix.ts <= ts[-1]], seen[matrix.ts <= ts[-1]])


@pytest.mark.parametrize(
    ("grid", "expected"),
    [
        ("intersection", (5,)),
        ("first", range(6)),
        (np.array(minutes(1, 5, 9)), (1, 5, 9)),
        (np.array(minutes(1, 5), "M8[ms]"), (1, 5)),
        (2 * MINUTE, (0, 2, 4)),
        (timedelta(minutes=2), (0, 2, 4)),
        (np.timedelta64(3, "m"), (0, 3)),
    ],
)
def test_grids(store, gapped, grid, expected):
    assert store.feature_matrix(gapped, grid=grid).ts.tolist() == minutes(*expected)


def test_a_step_counts_from_the_start(store, gapped):
    start, end = (np.datetime64(ts, "ms") for ts in (minutes(1)[0] + 1_000, minutes(4)[0]))
    matrix = store.feature_matrix(gapped, start=start, end=end, grid=MINUTE, align="asof")
    assert matrix.ts.tolist() == [ts + 1_000 for ts in minutes(1, 2, 3)]
    np.testing.assert_array_equal(matrix.values[:, 0], [2, 3, 4])


def test_symbols_times_features_in_three_dimensions(store, kernels):
    for place, symbol in enumerate(("A", "B", "C")):
        for name in ("x", "y"):
            put_feature(store, symbol, range(4), 10 * place + np.arange(4) + 100 * (name == "y"), name=name)
    asked = {"symbols": ["A", "B", "C"], "features": ["x", ("feature", "1m@@y")], "timeframe": "1m"}
    cube = store.feature_matrix(**asked, layout="TSF")
    assert cube.values.shape == (4, 3, 2)
    assert cube.values[3, 1].tolist() == [13, 113]
    np.testing.assert_array_equal(cube.table, store.feature_matrix(**asked).values)
    np.testing.assert_array_equal(cube.table, store.feature_matrix(**asked, layout="FT").values.T)
    assert cube.windows(2).shape == (3, 2, 3, 2)


def test_many_columns_of_one_wide_series(store, kernels):
    names = [f"f{number}" for number in range(70)]
    codes = ["f4", "f8", "i4", "i8", "u1"]
    fields = [(name, codes[number % 5]) for number, name in enumerate(names)]
    wide = store.register_series(("X", "own", "wide"), Schema("wide", [("ts", "i8"), *fields, ("note", "S4")]))
    random = np.random.default_rng(0)
    columns = {name: random.integers(0, 200, 500).astype(code) for name, code in fields}
    wide.put({"ts": JANUARY + np.arange(500) * MINUTE, **columns, "note": np.full(500, b"text")})
    matrix = store.feature_matrix([wide])
    assert [label.column for label in matrix.labels] == names
    for place, name in enumerate(names):
        np.testing.assert_array_equal(matrix.values[:, place], columns[name].astype(np.float64))
    chosen = store.feature_matrix([wide], columns=["f9", "f2"])
    np.testing.assert_array_equal(chosen.values, np.column_stack([columns["f9"], columns["f2"]]))


def test_of_equal_times_the_last_row_counts(store, ticks, kernels):
    ticks.put({"ts": [1, 1, 2], "recv_ts": [1, 1, 2], "trade_id": [1, 2, 3], "price": [7, 8, 9],
               "qty": [1, 1, 1], "side": [1, 1, 1], "flags": [0, 0, 0]})  # fmt: skip
    assert store.feature_matrix([ticks], columns="price").values[:, 0].tolist() == [8, 9]


def test_stored_nan_is_a_value(store, kernels):
    series = store.register_series(("X", "own", "x"), Schema("floats", [("ts", "i8"), ("x", "f8")]))
    series.put({"ts": minutes(0, 1, 3), "x": [1.0, NAN, 2.0]})
    matrix = store.feature_matrix([series], grid=np.array(minutes(0, 1, 2, 3)), fill=ffill(), mask=True)
    np.testing.assert_array_equal(matrix.values[:, 0], [1, NAN, NAN, 2])
    assert matrix.mask.all()


def test_out_is_filled_and_is_what_comes_back(store, gapped, kernels):
    out = np.full((6, 3), -5.0)
    matrix = store.feature_matrix(gapped, out=out)
    assert matrix.values is out
    np.testing.assert_array_equal(out, store.feature_matrix(gapped).values)


def test_windows_are_views_that_cannot_be_written(store, gapped):
    for layout, shape in (("TF", (3, 2, 3)), ("FT", (3, 3, 2))):
        matrix = store.feature_matrix(gapped, layout=layout)
        windows = matrix.windows(2, 2)
        assert windows.shape == shape
        assert np.shares_memory(windows, matrix.values)
        assert not windows.flags.writeable
        for number, window in enumerate(windows):
            rows = matrix.table[2 * number : 2 * number + 2]
            np.testing.assert_array_equal(window, rows if layout == "TF" else rows.T)
    assert matrix.windows(7).shape == (0, 3, 7)


def test_a_range_without_rows_is_an_empty_matrix(store, gapped):
    matrix = store.feature_matrix(gapped, end=0)
    assert matrix.values.shape == (0, 3)
    assert [each.first_ts for each in matrix.coverage] == [None] * 3


def test_progress_counts_rows_up_to_all_of_them(store, gapped, small_steps):
    said = []
    store.feature_matrix(gapped, threads=2, progress=lambda done, total: said.append((done, total)))
    assert said == sorted(said)
    assert said[-1] == (6, 6)
    assert len(said) > 2


def test_a_thread_that_is_held_up_keeps_one_part_and_the_other_does_the_rest(store, monkeypatch):
    use_kernels(monkeypatch, "compiled")
    rows = 4 * build._LEAST_ROWS
    key = put_feature(store, "A", range(rows), np.arange(rows))
    expected = store.feature_matrix([key]).values
    fill, filled, rest_is_done = plans.Plan.fill_group, [], threading.Event()

    def held_up(*arguments):
        if threading.current_thread() is not threading.main_thread():
            assert rest_is_done.wait(timeout=60)
        found = fill(*arguments)
        filled.append(threading.current_thread())
        if len(filled) == 3:
            rest_is_done.set()
        return found

    monkeypatch.setattr(plans.Plan, "fill_group", held_up)
    np.testing.assert_array_equal(store.feature_matrix([key], threads=2).values, expected)
    assert filled[:3] == [threading.main_thread()] * 3
    assert len(filled) == 4


def test_an_error_of_the_callers_ends_all_threads(store, gapped, small_steps):
    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.feature_matrix(gapped, threads=3, progress=interrupt)


def test_equal_times_are_not_searched_and_give_the_same(store, kernels, monkeypatch):
    keys = [put_feature(store, symbol, range(0, 900, 3), np.arange(300) * 3) for symbol in "ABCD"]
    fast = store.feature_matrix(keys)
    searched = []
    monkeypatch.setattr(plans.Plan, "_gather", lambda *arguments: searched.append(arguments))
    np.testing.assert_array_equal(store.feature_matrix(keys).values, fast.values)
    assert not searched
    monkeypatch.undo()
    monkeypatch.setattr(plans.Beside, "_is_grid", lambda beside: False)
    general = store.feature_matrix(keys)
    np.testing.assert_array_equal(general.values, fast.values)
    assert general.coverage == fast.coverage


@pytest.mark.parametrize("align", ["exact", "asof"])
@pytest.mark.parametrize("start", [0, 1, 59, 60, 61, 120])
def test_a_range_may_begin_at_any_row_of_a_chunk(store, kernels, align, start):
    schema = Schema("hourly", [("ts", "i8"), ("x", "i8")], partition="hour")
    keys = [("X", "own", name) for name in ("a", "b")]
    for key in keys:
        store.register_series(key, schema).put({"ts": JANUARY + np.arange(150) * MINUTE, "x": np.arange(150)})
    matrix = store.feature_matrix(keys, start=minutes(start)[0], end=minutes(140)[0], align=align)
    assert matrix.values[:, 1].tolist() == list(range(start, 141))
    assert [each.rows for each in matrix.coverage] == [141 - start] * 2
    half = JANUARY + start * MINUTE + 500
    late = store.feature_matrix(keys, start=half, end=minutes(140)[0], align=align, grid=MINUTE)
    found = [NAN if align == "exact" else row for row in range(start, 140)]
    np.testing.assert_array_equal(late.values[:, 0], found)


def test_equal_times_are_compared_once(store, monkeypatch):
    """Times that differ in one row alone, and that of no block's border, are told apart."""
    apart = list(range(300))
    apart[150:151] = []
    other = list(range(300))
    other[151:152] = []
    keys = [put_feature(store, symbol, times) for symbol, times in (("A", apart), ("B", other), ("C", apart))]
    compared = []
    kernels.load()
    equal = kernels.active.equal
    monkeypatch.setattr(kernels.active, "equal", lambda *pair: compared.append(pair) or equal(*pair))
    first = store.feature_matrix(keys)
    assert np.isnan(first.values).sum(axis=0).tolist() == [1, 1, 1]
    assert np.array_equal(np.isnan(first.values[:, 0]), np.isnan(first.values[:, 2]))
    assert len(compared) == 1
    second = store.feature_matrix(keys)
    np.testing.assert_array_equal(second.values, first.values)
    assert len(compared) == 1


def test_times_that_only_look_alike_are_told_apart(store, monkeypatch):
    """Equal fingerprints prove nothing: the timestamps themselves are compared."""
    from fastk.matrix import same_times

    monkeypatch.setattr(same_times, "_read_fingerprint", lambda place: (0, 0, 0, b"", b""))
    keys = [
        put_feature(store, symbol, times) for symbol, times in (("A", (0, 1, 3)), ("B", (0, 2, 3)), ("C", (0, 2, 3)))
    ]
    matrix = store.feature_matrix(keys)
    np.testing.assert_array_equal(np.isnan(matrix.values).argmax(axis=0), [2, 1, 1])
    np.testing.assert_array_equal(store.feature_matrix(keys[::-1]).values[:, ::-1], matrix.values)


def test_the_pinned_snapshot_is_what_is_seen(store, gapped):
    with fastk.open(store.root) as writer:
        before = store.feature_matrix(gapped)
        writer.series(gapped[1]).put({"ts": minutes(2), "value": [9]})
        np.testing.assert_array_equal(store.feature_matrix(gapped).values, before.values)
        store.refresh()
        assert store.feature_matrix(gapped).values[2, 1] == 9


def test_handles_serve_as_keys(store, gapped):
    handles = [store.series(key) for key in gapped]
    np.testing.assert_array_equal(store.feature_matrix(handles).values, store.feature_matrix(gapped).values)


@pytest.mark.slow
def test_more_chunks_than_may_stay_mapped(kernels, small_steps):
    from builders import temporary_store

    with temporary_store(max_maps=4) as store:
        schema = Schema("hourly", [("ts", "i8"), ("x", "i8")], partition="hour")
        keys = [("X", "own", name) for name in ("a", "b", "c")]
        for key in keys:
            store.register_series(key, schema).put({"ts": JANUARY + np.arange(600) * MINUTE, "x": np.arange(600)})
        mapped = []
        matrix = store.feature_matrix(keys, threads=2, progress=lambda *_: mapped.append(count_maps(store.root)))
        assert max(mapped) <= 4 + 4  # those that the store keeps, and those that two threads read
        np.testing.assert_array_equal(matrix.values, np.repeat(np.arange(600.0)[:, np.newaxis], 3, axis=1))


@pytest.mark.parametrize(
    ("threads", "layout", "alike", "widths"),
    [(1, "TF", True, [8, 2]), (2, "TF", True, [8, 2]), (4, "TF", True, [4, 4, 2]), (16, "TF", True, [2] * 5),
     (1, "FT", True, [2] * 5), (1, "TF", False, [2] * 5)],
)  # fmt: skip
def test_columns_of_the_same_times_are_filled_together_as_far_as_maps_allow(
    monkeypatch, threads, layout, alike, widths
):
    """Each thread keeps a file of each column of its group mapped; all of them at most a quarter of the budget."""
    from builders import temporary_store

    monkeypatch.setattr(plans, "GROUP_COLUMNS", 2)
    monkeypatch.setattr(plans, "ALIKE_COLUMNS", 8)
    told, fill_all = [], build.fill_all

    def watched(plan, *arguments, **options):
        told.append([sum(len(aligned.columns) for aligned in group) for group in plan.groups])
        return fill_all(plan, *arguments, **options)

    monkeypatch.setattr(build, "fill_all", watched)
    with temporary_store(max_maps=64) as store:
        keys = [("X", "own", f"column_{place}") for place in range(10)]
        for place, key in enumerate(keys):
            ts = JANUARY + np.arange(50) * MINUTE + (0 if alike else place % 2)
            store.register_series(key, Schema("one", [("ts", "i8"), ("x", "i8")])).put({"ts": ts, "x": np.arange(50)})
        store.feature_matrix(keys, threads=threads, layout=layout)
    assert told == [widths]


@pytest.mark.parametrize("layout", ["TF", "FT", "TSF"])
def test_more_columns_than_are_filled_together(kernels, layout):
    from builders import temporary_store

    names = [f"feature_{place}" for place in range(plans.ALIKE_COLUMNS + 44)]
    values = np.arange(70 * len(names)).reshape(70, len(names))
    with temporary_store() as store:
        schema = Schema("wide", [("ts", "i8"), *((name, "i8") for name in names)])
        columns = dict(zip(names, values.T, strict=True))
        store.register_series(("X", "own", "wide"), schema).put({"ts": JANUARY + np.arange(70) * MINUTE, **columns})
        matrix = store.feature_matrix([("X", "own", "wide")], layout=layout, mask=True)
    expected = values.T if layout == "FT" else values.reshape(matrix.values.shape)
    np.testing.assert_array_equal(matrix.values, expected)
    assert matrix.mask.all()


def count_maps(root):
    """How many chunks of a store are mapped in this process, as far as the system tells."""
    try:
        with open("/proc/self/maps") as file:
            return len({line.split()[-1] for line in file if root in line and ".chunk" in line})
    except FileNotFoundError:
        return 0


@pytest.mark.parametrize("tolerance", [None, 2**63, 2**64 - 1, 2**64, 2**70])
def test_any_age_is_the_whole_of_int64(store, kernels, tolerance):
    """The distance of two times may be beyond int64; that of the first and the last one fills a uint64."""
    series = store.register_series(("N", "own", "x"), fastk.Schema("n", [("ts", "i8"), ("x", "i8")]), time_unit="ns")
    last = 2**63 - 1
    series.put({"ts": [-last], "x": [1]})
    matrix = store.feature_matrix([series], grid=[1, 5, last], align="asof", tolerance=tolerance, fill=0)
    within = 1 if tolerance != 2**63 else 0
    assert matrix.values[:, 0].tolist() == [1, within, within]


def test_a_limit_beyond_int64_is_no_limit(store, kernels):
    keys = [put_feature(store, "A", range(4)), put_feature(store, "B", (0,))]
    assert store.feature_matrix(keys, fill=fastk.ffill(2**70)).values[:, 1].tolist() == [0] * 4
