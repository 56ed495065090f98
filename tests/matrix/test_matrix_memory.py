"""Memory: how much of it is free, and pages that leave the process without a change to any byte that is read later."""

import sys

import numpy as np
import pytest
from builders import temporary_folder
from matrix_calls import put_feature

import fastk
from fastk.io import mapping
from fastk.matrix import memory, plan


def resident_file_bytes():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("RssFile"))


def write_group(folder, limit, used, names, prefix=""):
    """What the system says of a control group: a limit, what is used of it, and that 150 bytes of that are cache."""
    folder.mkdir(parents=True)
    contents = limit, used, f"anon 5\n{prefix}inactive_file 100\n{prefix}active_file 50"
    for name, content in zip((*names, "memory.stat"), contents, strict=True):
        (folder / name).write_text(f"{content}\n")


VERSION_1 = "memory.limit_in_bytes", "memory.usage_in_bytes"
VERSION_2 = "memory.max", "memory.current"


@pytest.mark.parametrize(
    ("own", "free"),
    [
        ("0::/outer/inner\n", 550),
        ("0::/outer\n", 1_050),
        ("0::/\n", None),
        ("3:cpu:/x\n4:memory:/box\n0::/\n", 250),
        ("0::/gone/../elsewhere\n", None),
        ("0::/full\n", 0),
        (None, None),
    ],
    ids=["inner", "outer", "no limit", "version 1", "nowhere", "full", "no groups"],
)
def test_a_container_has_what_its_groups_leave(tmp_path, monkeypatch, own, free):
    groups = tmp_path / "groups"
    write_group(groups / "outer", 1_000, 100, VERSION_2)
    write_group(groups / "outer" / "inner", 500, 100, VERSION_2)
    write_group(groups / "full", 500, 900, VERSION_2)
    write_group(groups / "memory" / "box", 200, 100, VERSION_1, "total_")
    (groups / "memory.max").write_text("max\n")
    if own is not None:
        (tmp_path / "own").write_text(own)
    monkeypatch.setattr(memory, "_GROUPS", groups)
    monkeypatch.setattr(memory, "_OWN_GROUPS", tmp_path / "own")
    monkeypatch.setattr(memory, "_free_of_system", lambda: 10**12)
    assert memory.free_memory() == (10**12 if free is None else free)


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
