"""Scales are found in the digits of the files, exactly; what no int64 holds is refused by name."""

import decimal
import tempfile
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from builders import temporary_store
from file_calls import FIRST, refused, take, write
from hypothesis import given, settings
from hypothesis import strategies as st

KEY = ("X", "signal", "s")


def values(folder, *numbers, name="values.csv"):
    return write(folder, "ts,value\n" + "".join(f"{FIRST + row},{each}\n" for row, each in enumerate(numbers)), name)


def stored(store, path, **options):
    report = take(store, path, KEY, schema="scalar", **options)
    return report.scales["value_scale"], store.series(KEY).range().value.tolist()


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        (["1", "2"], (1, [1, 2])),
        (["1.50", "2.0"], (10, [15, 20])),
        (["0.1", "0.2", "0.30000000000000000"], (10, [1, 2, 3])),
        (["1e3", "25E-2", "+.5", "-3."], (100, [100_000, 25, 50, -300])),
        (["9007199254740993"], (1, [9007199254740993])),
        (["92233720368547758.07", "-0"], (100, [9223372036854775807, 0])),
        (["0.000000000000000001"], (10**18, [1])),
    ],
)
def test_the_smallest_power_of_ten(store, tmp_path, numbers, expected):
    assert stored(store, values(tmp_path, *numbers)) == expected


def test_a_scale_that_is_given(store, tmp_path):
    assert stored(store, values(tmp_path, "1.5"), scales={"value": 8}) == (8, [12])
    path = values(tmp_path, "1.3", name="b.csv")
    assert "line 2: column 'value': '1.3': it has more decimals than scale 8 holds" in refused(store, path, KEY)
    assert "more decimals than scale 10" in refused(
        store, values(tmp_path, "1.25"), ("X", "signal", "b"), schema="scalar", scales=10
    )


def test_a_scale_that_grows_on_the_way(store, tmp_path):
    first = values(tmp_path, *range(1, 40_000))
    second = write(tmp_path, f"ts,value\n{FIRST + 50_000},0.125\n{FIRST + 50_001},7\n", "later.csv")
    scale, found = stored(store, [first, second])
    assert scale == 1000
    assert found[:2] + found[-2:] == [1000, 2000, 125, 7000]
    assert len(found) == 40_001


def test_fields_share_a_scale(store, tmp_path):
    text = f"ts,open,high,low,close,volume\n{FIRST},1,2.5,1,1.125,3\n"
    report = take(store, write(tmp_path, text), ("X", "kline", "1m"))
    assert report.scales == {"price_scale": 1000, "volume_scale": 1}
    assert list(store.series(("X", "kline", "1m")).at(FIRST)) == [FIRST, 1000, 2500, 1000, 1125, 3]


def test_large_values_and_many_decimals_do_not_go_together(store, tmp_path):
    path = values(tmp_path, "134918704.7632", "218102.59507500002")
    message = refused(store, path, KEY, schema="scalar")
    assert message.startswith(f"{path}, line 3: column 'value': '218102.59507500002': it has more decimals than scale ")
    assert "--round" in message
    assert stored(store, path, rounding={"value": 4}) == (10_000, [1349187047632, 2181025951])


def test_growth_that_values_before_do_not_survive(store, tmp_path):
    first = values(tmp_path, "9000000000000000000")
    second = write(tmp_path, f"ts,value\n{FIRST + 1},1\n{FIRST + 2},0.5\n", "later.csv")
    message = refused(store, [first, second], KEY, schema="scalar")
    assert message.startswith(f"{second}, line 3: column 'value': '0.5': it needs scale 10, at which value of row 1 ")


def test_typed_numbers(store, tmp_path):
    def typed(column, kind=None):
        path = tmp_path / "values.parquet"
        ts = pa.array([FIRST + row for row in range(len(column))], pa.timestamp("ms", "UTC"))
        pq.write_table(pa.table({"ts": ts, "value": pa.array(column, kind)}), path)
        return path

    for column, kind, expected in (
        ([1, 2], None, (1, [1, 2])),
        ([0.1, 2.25], None, (100, [10, 225])),
        (["0.1", "2.250"], None, (100, [10, 225])),
        ([Decimal("0.100"), Decimal("9999999999.125")], None, (1000, [100, 9999999999125])),
        (["1", "2"], pa.dictionary(pa.int8(), pa.string()), (1, [1, 2])),
    ):
        assert stored(store, typed(column, kind)) == expected
        store.drop_series(KEY)
    assert stored(store, typed([0.1 + 0.2, 1.0]), rounding={"value": 3}) == (10, [3, 10])


@pytest.mark.slow
@settings(max_examples=25)
@given(
    st.lists(
        st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**9), max_value=10**9, places=6)
        | st.integers(-(10**12), 10**12).map(Decimal),
        min_size=1,
        max_size=20,
    )
)
def test_every_decimal_comes_back(numbers):
    with tempfile.TemporaryDirectory() as folder, temporary_store() as store, decimal.localcontext(prec=60):
        scale, found = stored(store, values(folder, *numbers))
        assert [Decimal(value) / scale for value in found] == numbers
        assert scale == 1 or any((number * scale / 10) % 1 for number in numbers)
