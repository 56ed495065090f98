"""Pages leave the memory of the process without a change to any byte that is read later."""

import sys

import numpy as np
import pytest
from builders import temporary_folder
from matrix_calls import put_feature

import fastk
from fastk.io import mapping
from fastk.matrix import plan


def resident_file_bytes():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("RssFile"))


@pytest.mark.skipif(sys.platform != "linux", reason="pages are let go on Linux")
def test_pages_go_and_come_back(tmp_path):
    values = np.arange(1 << 21)
    path = tmp_path / "values"
    values.tofile(path)
    with open(path, "rb") as file:
        view = mapping.map_descriptor(file.fileno(), values.nbytes)[800:-800].view(np.int64)
    assert view.sum() == values[100:-100].sum()
    before = resident_file_bytes()
    mapping.drop_pages(view[5:9])
    assert resident_file_bytes() < before - values.nbytes // 2
    assert view.sum() == values[100:-100].sum()


def test_memory_that_is_no_map_stays():
    for values in (np.arange(1 << 16), np.frombuffer(bytes(range(256)) * 4_096, np.uint8)):
        before = values.copy()
        mapping.drop_pages(values[1:])
        np.testing.assert_array_equal(values, before)


def test_rows_that_were_made_anew_in_memory_are_not_lost(monkeypatch):
    """After a merge and gc the chunks of an old snapshot lie in memory alone."""
    monkeypatch.setattr(plan, "RESIDENT_BYTES", 0)
    with temporary_folder() as folder, fastk.open(folder / "store", grace_seconds=0) as writer:
        keys = [put_feature(writer, symbol, range(100)) for symbol in "AB"]
        for key in keys:
            writer.series(key).put({"ts": writer.series(key).range().ts[-1:] + 60_000, "value": [100]})
        with fastk.open(folder / "store", "r") as reader:
            assert len(reader.series(keys[0])) == len(reader.series(keys[1])) == 101
            for key in keys:
                writer.series(key).merge()
            writer.gc()
            for _ in range(2):
                matrix = reader.feature_matrix(keys)
                np.testing.assert_array_equal(matrix.values, np.repeat(np.arange(101.0)[:, np.newaxis], 2, axis=1))
