"""What is not in memory is read from the disk as far as it is asked for, whatever the system would read ahead."""

import errno
import os

import numpy as np
import pytest

import fastk
from bench.peers.cold import drop, resident_share
from fastk.io.disk import Disk
from fastk.io.mapping import map_descriptor, will_need

ROWS = 200_000
WIDE = fastk.Schema("wide", [("ts", "i8"), *((f"c{place}", "i8") for place in range(30))])


@pytest.fixture
def cold(tmp_path):
    """A series of 31 columns in one file of 50 MB, none of it in memory."""
    with fastk.open(tmp_path / "store") as store:
        ts = 1_704_067_200_000 + 1_000 * np.arange(ROWS)
        columns = {name: ts + place for place, name in enumerate(WIDE.names)}
        store.register_series(("X", "wide", "one"), WIDE).put(columns)
    os.sync()
    drop(str(tmp_path))
    share = resident_share(str(tmp_path))
    if share is None or share > 0.01:
        pytest.skip("this file system keeps its files in memory")
    return tmp_path


def test_one_column_of_many_is_read_alone(cold):
    series = fastk.open(cold / "store", "r").series(("X", "wide", "one"))
    assert series.range().c7[-1] == series.span[1] + 8
    assert resident_share(str(cold)) < 2 / 31


def test_a_point_reads_a_block_of_each_column(cold):
    series = fastk.open(cold / "store", "r").series(("X", "wide", "one"))
    ts = 1_704_067_200_000 + 1_000 * (ROWS // 2)
    assert series.at(ts).c29 == ts + 30
    assert resident_share(str(cold)) < 2 / 31


@pytest.mark.parametrize("part", [slice(0, 0), slice(0, 1), slice(4_000, 9_000), slice(99_999, 100_000)])
def test_asking_ahead_changes_no_byte(tmp_path, part):
    content = np.random.default_rng(0).integers(0, 256, 100_000).astype(np.uint8)
    (tmp_path / "file").write_bytes(content.tobytes())
    with open(tmp_path / "file", "rb") as file:
        mapped = map_descriptor(file.fileno(), content.size)
    will_need(mapped[part])
    assert np.array_equal(mapped, content)


def test_asking_ahead_for_memory_that_is_no_map_does_nothing():
    values = np.arange(10)
    will_need(values)
    assert values.tolist() == list(range(10))


def test_a_system_that_takes_no_advice_is_read_as_well(tmp_path, monkeypatch):
    def refuse(*arguments):
        raise OSError(errno.ENOSYS, "not implemented")

    monkeypatch.setattr(os, "posix_fadvise", refuse)
    (tmp_path / "file").write_bytes(bytes(range(200)) * 1_000)
    assert Disk().map(str(tmp_path / "file"))[-1] == 199
