"""Rows as text: few by a template, many by array arithmetic, and both as the json module writes them."""

import json

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fastk.bridge import rows_text
from fastk.bridge.rows_text import _BLOCK, _FEW

INT64 = st.integers(-(2**63), 2**63 - 1)
SHORT = st.integers(-10_001, 10_001)  # around the ends of groups of digits
COLUMNS = st.lists(st.one_of(st.none(), st.lists(st.one_of(INT64, SHORT), min_size=1, max_size=6)), max_size=3)
COUNTS = [1, _FEW - 1, _FEW, _FEW + 1, _BLOCK - 1, _BLOCK, _BLOCK + 1]
EDGES = [0, -1, 9, 10, -10, 9_999, 10_000, -10_000, 10**8, 10**16, 2**63 - 1, -(2**63)]


def by_json(columns):
    rows = len(columns["ts"])
    listed = {name: [None] * rows if column is None else column.tolist() for name, column in columns.items()}
    records = [dict(zip(listed, values, strict=True)) for values in zip(*listed.values(), strict=True)]
    return json.dumps(records, separators=(",", ":")).encode()[1:-1]


def columns_of(first, others, count):
    values = {"ts": first, **{f"column_{place}": each for place, each in enumerate(others)}}
    return {name: None if each is None else np.resize(np.array(each, np.int64), count) for name, each in values.items()}


@pytest.mark.parametrize("count", COUNTS)
@settings(deadline=None, max_examples=15)
@given(first=st.lists(INT64, min_size=1, max_size=6), others=COLUMNS)
@example(first=EDGES, others=[None, [0], EDGES[::-1]])
@example(first=[0], others=[[-1]])
def test_rows_are_what_json_writes(count, first, others):
    columns = columns_of(first, others, count)
    assert b"".join(rows_text.rows_text(columns)) == by_json(columns)


def test_no_rows_are_no_text():
    assert b"".join(rows_text.rows_text({"ts": np.empty(0, np.int64), "value": np.empty(0, np.int64)})) == b""


def test_columns_may_be_views_with_gaps():
    table = np.arange(3 * 2 * _FEW, dtype=np.int64).reshape(-1, 3)
    columns = {"ts": table[:, 0], "value": table[::-1, 1]}
    assert b"".join(rows_text.rows_text(columns)) == by_json(columns)
