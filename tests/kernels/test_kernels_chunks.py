"""Matches of many chunks by comparing: compiled == numpy == every value compared with every range."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_kernels_indexed import SEEDS, random_chunks
from test_kernels_selection import assert_guards, belongs, both, guarded, ranges_of

from fastk.kernels.codes import ALL, NONE, SOME
from fastk.kernels.samples import NUMBERS, read_only


@pytest.mark.slow
@both
@pytest.mark.parametrize("dtype", NUMBERS, ids=str)
@settings(deadline=None, max_examples=60)
@given(seed=SEEDS, count=st.integers(1, 5), ranges=st.integers(1, 8) | st.integers(60, 120), negated=st.booleans())
def test_rows_in_ranges_chunk_by_chunk(kernels, dtype, seed, count, ranges, negated):
    random = np.random.default_rng(seed)
    columns, begins, ends = random_chunks(random, dtype, count)
    lows, highs = ranges_of(random, dtype, ranges)
    verdicts = read_only(random.choice([NONE, SOME, SOME, ALL], count).astype(np.uint8))
    expected = [
        begin
        + np.flatnonzero((verdict == ALL) | (belongs(column, lows, highs, negated)[begin:end] & (verdict != NONE)))
        for column, begin, end, verdict in zip(columns, begins, ends, verdicts, strict=True)
    ]
    room = int((ends - begins)[(verdicts != NONE) & (ends > begins)].sum())
    out, whole = guarded(room, np.uint32)
    counts, whole_counts = guarded(count, np.int64)
    chain = kernels.chain(columns)
    found = kernels.scan_chunks(chain, verdicts, begins, ends, lows, highs, negated, counts, out)
    assert counts.tolist() == list(map(len, expected))
    assert out[:found].tolist() == np.concatenate(expected).tolist()
    assert_guards(whole)
    assert_guards(whole_counts)


@both
def test_no_row_to_look_at(kernels):
    column, nothing = read_only(np.arange(3)), read_only(np.array([2]))
    counts, out = np.full(1, 7), np.empty(0, np.uint32)
    some, none = (read_only(np.array([verdict], np.uint8)) for verdict in (SOME, NONE))
    for verdicts, end in ((some, nothing), (none, read_only(np.array([3])))):
        arguments = verdicts, nothing, end, nothing, nothing, True, counts, out
        assert kernels.scan_chunks(kernels.chain([column]), *arguments) == 0
        assert counts.tolist() == [0]
