"""Sets of values in a chunk: what lies beyond the values that the chunk has is left out, and nothing else changes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastk.query.values import ValueSet

NUMBERS = st.integers(-20, 20)


@st.composite
def sets(draw):
    """Ranges that ascend, with room between them."""
    edges = sorted(draw(st.sets(NUMBERS, min_size=2, max_size=24)))
    lows, highs = edges[: len(edges) // 2 * 2 : 2], edges[1::2]
    return ValueSet(np.array(lows), np.array(highs), draw(st.booleans()))


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
    assert ((inside.lows <= span[1]) & (inside.highs >= span[0])).all()
    assert inside.ranges == len(inside.lows) == len(inside.highs)


def test_the_part_of_the_span_is_that_from_the_first_range_to_the_last():
    values = ValueSet(np.array([10, 50]), np.array([20, 60]), False)
    assert values.part(0, 100) == 0.5
    assert values.part(35, 60) == 1
    assert values.part(15, 115) == 0.45
    assert values.part(7, 7) == 1
    infinite = ValueSet(np.array([-np.inf]), np.array([np.inf]), False)
    assert infinite.part(-np.inf, 1.0) == infinite.part(0.0, 3.0) == 1
