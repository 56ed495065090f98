"""A column of merged events: compiled == numpy == the next value of each series, one after the other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_kernels_selection import assert_guards, both, guarded, pool_of

from fastk.kernels.samples import DTYPES, LABELS, read_only


@both
@pytest.mark.parametrize("dtype", [*DTYPES, np.dtype("S3")], ids=str)
@pytest.mark.parametrize("label", LABELS, ids=str)
@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), series=st.integers(1, 6), events=st.integers(0, 200))
def test_each_event_takes_the_next_value_of_its_series(kernels, dtype, label, seed, series, events):
    random = np.random.default_rng(seed)
    labels = read_only(random.integers(0, series, events).astype(label))
    counts = np.bincount(labels, minlength=series)
    pool = {"S": np.array([b"", b"a", b"abc"]), "b": np.array([False, True])}.get(dtype.kind)
    pool = pool_of(dtype) if pool is None else pool
    columns = [read_only(random.choice(pool, count)) for count in counts]
    out, whole = guarded(events, dtype)
    kernels.interleave(kernels.chain(columns), labels, out)
    values = [iter(column) for column in columns]
    assert out.tobytes() == np.array([next(values[label]) for label in labels], dtype).tobytes()
    assert_guards(whole)
