"""Sets of values in a chunk: what lies beyond the values that the chunk has is left out, and nothing else changes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastk
from fastk import Between, Eq, Gt, Gte, InSet, Lt, Ne, NotInSet
from fastk.query import values as conditions
from fastk.query.values import ValueSet, value_set

NUMBERS = st.integers(-20, 20)


@st.composite
def sets(draw):
    """Ranges that ascend, with room between them."""
    edges = sorted(draw(st.sets(NUMBERS, min_size=2, max_size=24)))
    lows, highs = edges[: len(edges) // 2 * 2 : 2], edges[1::2]
    return ValueSet.of_arrays(np.array(lows), np.array(highs), draw(st.booleans()))


SPANS = st.tuples(NUMBERS, NUMBERS).map(sorted)


@pytest.mark.slow
@given(sets(), SPANS)
def test_every_value_of_the_chunk_is_judged_as_before(values, span):
    least, greatest = span
    inside = values.within(least, greatest)
    for value in range(least, greatest + 1):
        assert inside.judge(value, value, False) == values.judge(value, value, False)
    assert inside.judge(least, greatest, True) == values.judge(least, greatest, True)


@pytest.mark.slow
@given(sets(), SPANS)
def test_every_range_left_reaches_a_value_that_the_chunk_may_have(values, span):
    inside = values.within(*span)
    lows, highs = inside.arrays
    assert ((lows <= span[1]) & (highs >= span[0])).all()
    assert inside.ranges == len(lows) == len(highs)


def test_the_part_of_the_span_is_that_from_the_first_range_to_the_last():
    values = ValueSet.of_arrays(np.array([10, 50]), np.array([20, 60]), False)
    assert values.part(0, 100) == 0.5
    assert values.part(35, 60) == 1
    assert values.part(15, 115) == 0.45
    assert values.part(7, 7) == 1
    infinite = ValueSet.of_arrays(np.array([-np.inf]), np.array([np.inf]), False)
    assert infinite.part(-np.inf, 1.0) == infinite.part(0.0, 3.0) == 1


@pytest.mark.parametrize("dtype", ["?", "u1", "i4", "u8", "f4", "f8"])
@pytest.mark.parametrize(
    "condition", [Eq(1), Ne(0), Gt(0), Gte(1), Lt(1), Between(0, 1), Between(0, 1, False), InSet([0, 1]), InSet([])]
)
def test_numbers_arrays_and_zones_are_the_same_ranges(store, dtype, condition):
    schema = fastk.Schema("values", [("ts", "i8"), ("value", dtype)])
    values = value_set(condition, store.register_series(("X", "own", "values"), schema).settings, 1)
    lows, highs = values.arrays
    stored = np.dtype("u1" if dtype == "?" else dtype)
    assert (lows.dtype, highs.dtype) == (stored, stored)
    assert (lows.tolist(), highs.tolist()) == values.numbers
    assert [each.tolist() for each in values.wide] == [*values.numbers]
    assert values.ranges == len(lows) == len(highs)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("bound", [0, -0.0, 0.1, 1 / 3, 1e-320, -7, 65_504, np.float32(0.1), np.longdouble(1) / 3])
def test_an_open_end_of_floats_leaves_out_its_number_alone(store, dtype, bound):
    settings = store.register_series(
        ("X", "own", "values"), fastk.Schema("v", [("ts", "i8"), ("value", dtype)])
    ).settings
    number, infinity = np.dtype(dtype).type(bound), np.dtype(dtype).type(np.inf)
    for condition, least, greatest in (
        (Gt(bound), np.nextafter(number, infinity), infinity),
        (Gte(bound), number, infinity),
        (Lt(bound), -infinity, np.nextafter(number, -infinity)),
        (Eq(bound), number, number),
    ):
        lows, highs = value_set(condition, settings, 1).arrays
        assert (lows.tolist(), highs.tolist()) == ([least], [greatest]), condition


MEMBERS = st.one_of(
    st.integers(-3, 3), st.integers(250, 258), st.sampled_from([2**63 - 1, 2**63, 2**64 - 1, -(2**63), -(2**63) - 1])
)
OTHERS = st.sampled_from([True, 1.0, np.int8(2), None, "1", [1]])
SETS = st.tuples(st.lists(MEMBERS, max_size=6), st.lists(OTHERS, max_size=1)).map(lambda lists: lists[0] + lists[1])
CONDITIONS = st.one_of(
    st.builds(InSet, SETS),
    st.builds(NotInSet, SETS),
    st.builds(Eq, MEMBERS | OTHERS),
    st.builds(Ne, MEMBERS | OTHERS),
    st.tuples(MEMBERS, MEMBERS, st.booleans()).map(lambda drawn: Between(*sorted(drawn[:2]), drawn[2])),
)


@pytest.mark.slow
@settings(deadline=None)
@given(condition=CONDITIONS, dtype=st.sampled_from(["?", "u1", "i4", "i8", "u8", "f8"]))
def test_integers_are_the_same_ranges_as_any_other_values(tmp_path_factory, condition, dtype):
    """Or the same refusal."""
    with fastk.open(tmp_path_factory.mktemp("store")) as store:
        schema = fastk.Schema("values", [("ts", "i8"), ("value", dtype)])
        series_settings = store.register_series(("X", "own", "values"), schema).settings
        found = outcome(condition, series_settings)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(conditions, "_are_of", lambda *_: False)
            assert found == outcome(condition, series_settings)


def outcome(condition, series_settings):
    """The ranges of a condition, as numbers and as arrays; or why there are none."""
    try:
        found = value_set(condition, series_settings, 1)
    except fastk.InvalidInput as error:
        return str(error)
    lows, highs = found.arrays
    return [*map(list, found.numbers)], lows.tolist(), highs.tolist(), lows.dtype, found.ranges, found.negated
