"""Natural units go in and out exactly, or not at all.

A stored integer ``k`` of scale ``s`` means ``k / s``: what is accepted decodes to the very value that was given.
"""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from builders import JANUARY, temporary_store
from hypothesis import given
from hypothesis import strategies as st

from fastk import InvalidInput, decode, encode, find_scale

SCALES = st.sampled_from([1, 2, 3, 7, 8, 10, 100, 10_000, 10**8, 10**15, 10**18]) | st.integers(1, 10**18)
INT64 = st.integers(-(2**63) + 1, 2**63 - 1)


@given(st.floats() | st.integers(-(10**6), 10**6).map(float), SCALES)
def test_a_float_decodes_to_itself_or_is_refused(value, scale):
    try:
        stored = encode([value], scale)
    except InvalidInput:
        return
    assert stored.dtype == np.int64
    assert decode(stored, scale)[0] == value


@given(st.integers(-(2**51), 2**51), SCALES)
def test_what_was_decoded_encodes_to_the_same_integer(stored, scale):
    assert encode(decode([stored], scale), scale).tolist() == [stored]


@given(st.integers(-(10**7), 10**7), st.integers(0, 8))
def test_every_price_with_few_decimals_is_stored(units, places):
    """46,319.5 must go in at a scale of 10 although the float is not that decimal."""
    value = float(Decimal(units).scaleb(-places))
    assert encode([value], 10**places).tolist() == [units]


@given(INT64, SCALES)
def test_decimals_are_exact_over_all_of_int64(stored, scale):
    exact = Fraction(stored, scale)
    value = Decimal(exact.numerator) / Decimal(exact.denominator)
    if Fraction(value) == exact:
        assert encode([value], scale).tolist() == [stored]


@pytest.mark.slow
@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12), SCALES)
def test_a_decimal_is_stored_exactly_or_refused(value, scale):
    try:
        stored = int(encode([value], scale)[0])
    except InvalidInput:
        assert (Fraction(value) * scale).denominator != 1 or abs(Fraction(value) * scale) >= 2**63
        return
    assert Fraction(stored, scale) == Fraction(value)


@given(st.integers(-(2**70), 2**70), SCALES)
def test_integers_are_natural_units_too(value, scale):
    for values in ([value], np.array([value], object)):
        try:
            stored = int(encode(values, scale)[0])
        except InvalidInput:
            assert abs(value * scale) >= 2**63
        else:
            assert stored == value * scale


@pytest.mark.parametrize("dtype", ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "longdouble"])
def test_numbers_of_every_dtype(dtype):
    assert encode(np.array([0, 1, 100], dtype), 10).tolist() == [0, 10, 1000]


@pytest.mark.parametrize("kind", [np.int64, np.int8, np.uint64, np.float64, np.float32, int, float, Decimal])
def test_numbers_of_every_kind_among_objects(kind):
    assert encode(np.array([kind(5), Decimal("0.5")], object), 10).tolist() == [50, 5]


@pytest.mark.parametrize("values", [np.array([], float), [], np.empty((0, 2), object)])
def test_nothing_to_encode(values):
    assert encode(values, 10).size == 0
    assert encode(values, 10).dtype == np.int64


def test_shapes_are_kept():
    values = np.arange(6.0).reshape(2, 3) / 4
    assert encode(values, 4).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert encode(values.astype(object), 4).shape == (2, 3)
    assert decode(encode(values, 4), 4).tolist() == values.tolist()
    assert decode(np.int64(5), 2) == 2.5


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "O"])
def test_what_is_not_finite_is_refused_by_row(value, dtype):
    with pytest.raises(InvalidInput, match=r"nan|inf") as refused:
        encode(np.array([1.0, 2.0, value], dtype), 10, "the close")
    assert "the close" in str(refused.value)
    assert "row 2" in str(refused.value)


@pytest.mark.parametrize("value", [Decimal("NaN"), Decimal("sNaN"), Decimal("Infinity"), Decimal("-Infinity")])
def test_decimals_that_are_not_finite_are_refused(value):
    with pytest.raises(InvalidInput, match="row 1"):
        encode([Decimal(1), value], 10)


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        ([0.0, 9.3e18], 1),
        ([0.0, -9.3e18], 1),
        ([0.0, 1e300], 10**18),
        ([0, 2**62], 10),
        ([0, -(2**62)], 10),
        (np.array([0, 2**64 - 1], np.uint64), 1),
        ([Decimal(0), Decimal(2**63)], 1),
        ([0, 2**63], 1),
    ],
)
def test_overflow_is_refused_by_row(values, scale):
    with pytest.raises(InvalidInput, match="row 1"):
        encode(values, scale)


def test_overflow_says_to_use_a_smaller_scale():
    for values in ([1e18], np.array([10**18])):
        with pytest.raises(InvalidInput, match="overflows int64; use a smaller scale"):
            encode(values, 100)


def test_too_many_decimals_name_the_row_the_value_and_the_way_out():
    with pytest.raises(
        InvalidInput, match=r"X/kline/1m column 'close': .*1\.25.* at row 1 .*scale 10 .*find_scale"
    ) as refused:
        encode([1.5, 1.25], 10, "X/kline/1m column 'close'")
    assert "larger scale" in str(refused.value)


def test_float32_is_taken_for_the_value_that_it_is():
    assert encode(np.array([0.5, 0.25], np.float32), 100).tolist() == [50, 25]
    with pytest.raises(InvalidInput, match="row 0"):
        encode(np.array([0.1], np.float32), 10)


@pytest.mark.parametrize(
    "values", [["1.5"], [b"1.5"], [True], [None], [ValueError], [1j], np.array(["2024"], "M8[Y]")], ids=repr
)
def test_what_is_no_number_is_refused(values):
    with pytest.raises(InvalidInput):
        encode(values, 10)
    with pytest.raises(InvalidInput):
        encode(np.array(values, object), 10)


def test_a_truth_value_among_numbers_is_refused():
    with pytest.raises(InvalidInput):
        encode([True, 2], 10)


# Decoding


@given(st.lists(INT64, max_size=20), SCALES)
def test_decoding_divides(stored, scale):
    """A product with 1 / scale would differ in the last bit for about a third of all integers."""
    assert decode(np.array(stored, np.int64), scale).tolist() == [float(np.float64(each) / scale) for each in stored]


def test_decoding_leaves_its_input_alone():
    stored = np.array([5, 10])
    stored.flags.writeable = False
    assert decode(stored, 10).tolist() == [0.5, 1.0]
    assert stored.tolist() == [5, 10]


def test_rows_decode_by_the_scales_of_their_series():
    with temporary_store() as store:
        series = store.register_kline_series("BTC", "1m", 60_000, price_scale=100, volume_scale=8)
        bar = {"open": [1.25], "high": [2.5], "low": [1], "close": [Decimal("1.99")], "volume": [0.125]}
        series.put({"ts": [JANUARY], **bar}, decoded=True)
        rows = series.range()
        assert list(series.at(JANUARY)) == [JANUARY, 125, 250, 100, 199, 1]
        assert {name: rows.decoded(name).tolist() for name in bar} == {**bar, "low": [1.0], "close": [1.99]}
        assert rows.decoded("ts").tolist() == [float(JANUARY)]
        assert rows.decoded("close").dtype == np.float64
        assert rows.decoded("close").flags.writeable


# Finding a scale


@pytest.mark.slow
@given(st.lists(st.tuples(st.integers(-(10**9), 10**9), st.integers(0, 6)), min_size=1, max_size=20))
def test_the_scale_found_is_the_smallest_that_fits(numbers):
    values = [float(Decimal(units).scaleb(-places)) for units, places in numbers]
    scale = find_scale(values)
    assert decode(encode(values, scale), scale).tolist() == values
    if scale > 1:
        with pytest.raises(InvalidInput):
            encode(values, scale // 10)


def test_one_scale_for_several_columns():
    assert find_scale([1.0, 2.0], [0.5], [0.25, 3]) == 100
    assert find_scale(np.array([[1.5], [2.125]])) == 1000
    assert find_scale([1, 2, 3]) == find_scale([]) == find_scale() == 1
    assert find_scale([Decimal("0.00000001")]) == 10**8


@pytest.mark.parametrize("values", [[1 / 3], [np.pi / 10], [np.nan], [1.0, np.inf], ["1.5"], [1e-16], [1e19]])
def test_no_scale_is_found_where_none_suffices(values):
    with pytest.raises(InvalidInput):
        find_scale(values)


def test_columns_that_share_no_scale():
    with pytest.raises(InvalidInput):
        find_scale([1e-12], [1e12])
