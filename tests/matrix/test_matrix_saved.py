"""Matrices on disk: mmap-ninja reads them, they come back whole, and a failure leaves nothing behind."""

import json
import os
import tracemalloc

import numpy as np
import pytest
from builders import MINUTE, contents, temporary_folder
from matrix_calls import minutes, put_feature
from mmap_ninja import generic
from mmap_ninja import numpy as ninja
from mmap_ninja.ragged import RaggedMmap

import fastk
from fastk import FeatureMatrix, InvalidData, InvalidInput, NotFound, Schema, ffill
from fastk.matrix import saved


@pytest.fixture
def keys(store):
    return [put_feature(store, "A", range(40), scale=10), put_feature(store, "B", range(0, 40, 3))]


@pytest.fixture
def folder():
    with temporary_folder() as path:
        yield path


@pytest.mark.parametrize("layout", ["TF", "FT", "TSF"])
@pytest.mark.parametrize("dtype", ["float64", "float32", "int64"])
def test_mmap_ninja_reads_what_is_saved(store, keys, folder, layout, dtype):
    options = {"scale": "raw", "fill": -1} if dtype == "int64" else {}
    matrix = store.feature_matrix(keys, layout=layout, dtype=dtype, mask=True, **options)
    mapped = matrix.save(folder / "saved")
    for found in (ninja.open_existing(folder / "saved"), generic.open_existing(folder / "saved"), mapped.values):
        assert found.dtype == matrix.values.dtype
        np.testing.assert_array_equal(found, matrix.values)
    np.testing.assert_array_equal(ninja.open_existing(folder / "saved" / "ts"), matrix.ts)
    np.testing.assert_array_equal(ninja.open_existing(folder / "saved" / "mask"), matrix.mask)


def test_the_folder_is_what_mmap_ninja_itself_writes(store, keys, folder):
    matrix = store.feature_matrix(keys)
    matrix.save(folder / "ours")
    ninja.from_ndarray(folder / "theirs", matrix.values)
    ours, theirs = contents(folder / "ours"), contents(folder / "theirs")
    assert {name: ours[name] for name in theirs} == theirs
    assert set(ours) - set(theirs) == {"fastk.json", "ts", *(name for name in ours if name.startswith("ts/"))}


@pytest.mark.parametrize("verify", [False, True])
def test_a_loaded_matrix_is_the_saved_one(store, keys, folder, verify):
    matrix = store.feature_matrix(keys, fill=ffill(1), mask=True)
    matrix.save(folder / "saved")
    loaded = FeatureMatrix.load(folder / "saved", verify=verify)
    for name in ("values", "ts", "mask"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(matrix, name))
        assert not getattr(loaded, name).flags.writeable
    for name in ("labels", "layout", "time_unit", "divisors", "coverage"):
        assert getattr(loaded, name) == getattr(matrix, name)
    assert loaded.windows(5).shape == matrix.windows(5).shape


@pytest.mark.parametrize("mask", [False, True])
@pytest.mark.parametrize("layout", ["TF", "FT", "TSF"])
def test_a_matrix_goes_to_disk_block_by_block(store, keys, folder, layout, mask, kernels, small_steps, monkeypatch):
    monkeypatch.setattr(saved, "PIECE_BYTES", 200)
    asked = {"layout": layout, "grid": MINUTE // 2, "fill": ffill(3), "mask": mask}
    said = []
    found = store.save_feature_matrix(
        folder / "saved", keys, **asked, threads=2, progress=lambda done, total: said.append((done, total))
    )
    expected = store.feature_matrix(keys, **asked)
    np.testing.assert_array_equal(found.values, expected.values)
    np.testing.assert_array_equal(found.mask, expected.mask)
    assert found.coverage == expected.coverage
    assert said[-1] == ((158, 158) if mask else (79, 79))
    FeatureMatrix.load(folder / "saved", verify=True)


@pytest.mark.parametrize("layout", ["TF", "FT"])
def test_a_block_is_all_that_is_in_memory(store, folder, layout, kernels):
    keys = [put_feature(store, symbol, range(3_000)) for symbol in "AB"]
    asked = {"start": minutes(0)[0], "end": minutes(3_000)[0], "grid": 100, "layout": layout}
    store.save_feature_matrix(folder / "first", keys, **asked | {"end": minutes(3)[0]})  # code is not measured
    tracemalloc.start()
    try:
        found = store.save_feature_matrix(folder / "saved", keys, **asked)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.values.nbytes > 28_000_000
    assert peak < found.ts.nbytes + 19_000_000


@pytest.mark.parametrize("piece", [200, 1_000, 5_000])
def test_columns_that_lie_together_are_written_so_many_as_fit(store, folder, monkeypatch, small_steps, piece):
    """A part of a column, one column, or several of different series at a time."""
    keys = [put_feature(store, symbol, range(0, 60, step)) for symbol, step in (("A", 1), ("B", 3), ("C", 1))]
    wide = store.register_series(
        ("W", "own", "x"), Schema("wide", [("ts", "i8"), *((f"c{n}", "f8") for n in range(5))])
    )
    wide.put({"ts": minutes(*range(5, 50)), **{f"c{n}": np.arange(45) * n for n in range(5)}})
    asked = {"series": [*keys, wide.key], "layout": "FT", "mask": True, "fill": ffill(2)}
    monkeypatch.setattr(saved, "PIECE_BYTES", piece)
    found, expected = store.save_feature_matrix(folder / "saved", **asked), store.feature_matrix(**asked)
    np.testing.assert_array_equal(found.values, expected.values)
    np.testing.assert_array_equal(found.mask, expected.mask)
    assert (found.coverage, found.labels) == (expected.coverage, expected.labels)


def test_a_taken_name_stays_what_it_is(store, keys, folder):
    matrix = store.feature_matrix(keys)
    matrix.save(folder / "saved")
    before = contents(folder)
    with pytest.raises(InvalidInput, match="exists already; give a new name"):
        matrix.save(folder / "saved")
    with pytest.raises(NotFound, match="is no folder; create it first"):
        matrix.save(folder / "nowhere" / "saved")
    assert contents(folder) == before


def test_nothing_to_save(store, keys, folder):
    with pytest.raises(InvalidInput, match="a matrix without values cannot be saved"):
        store.feature_matrix(keys, end=0).save(folder / "saved")
    assert not os.listdir(folder)


@pytest.mark.parametrize("step", ["create_streamed", "create", "sync_folder", "rename"])
def test_a_failure_leaves_nothing_behind(store, keys, folder, monkeypatch, step):
    matrix = store.feature_matrix(keys)

    def fail(*arguments):
        raise OSError("no space left")

    monkeypatch.setattr(saved.Disk, step, fail)
    with pytest.raises(OSError, match="no space left"):
        matrix.save(folder / "saved")
    assert not os.listdir(folder)


def test_the_name_comes_when_all_is_durable(store, keys, folder, monkeypatch):
    matrix, done = store.feature_matrix(keys), []
    for name in ("create", "create_streamed", "sync_folder", "make_folder", "rename"):
        effect = getattr(saved.Disk, name)
        monkeypatch.setattr(
            saved.Disk, name, lambda disk, path, *rest, name=name, effect=effect: (
                done.append((name, str(path))), effect(disk, path, *rest)
            )[1],
        )  # fmt: skip
    matrix.save(folder / "saved")
    names, paths = zip(*done, strict=True)
    temporary = paths[0]
    assert names[0] == "make_folder"
    assert done[-3:] == [("sync_folder", temporary), ("rename", temporary), ("sync_folder", str(folder))]
    assert ("sync_folder", f"{temporary}/ts") in done[:-3]


def test_damage_is_told(store, keys, folder):
    path = folder / "saved"
    store.feature_matrix(keys).save(path)
    data = bytearray((path / "data.ninja").read_bytes())
    data[100] ^= 1
    (path / "data.ninja").write_bytes(data)
    FeatureMatrix.load(path)
    with pytest.raises(InvalidData, match=r"data\.ninja is damaged: its checksum differs"):
        FeatureMatrix.load(path, verify=True)
    (path / "data.ninja").write_bytes(data[:-8])
    with pytest.raises(InvalidData, match="has 632 bytes, but 640 were committed"):
        FeatureMatrix.load(path)
    (path / "fastk.json").write_text(json.dumps({"format": "other"}))
    with pytest.raises(InvalidData, match=r"fastk\.json is damaged"):
        FeatureMatrix.load(path)
    (path / "fastk.json").unlink()
    with pytest.raises(NotFound, match="there is no saved matrix"):
        FeatureMatrix.load(path)


@pytest.mark.parametrize("name", ["labels", "layout", "time_unit", "divisors", "coverage", "crc32c"])
@pytest.mark.parametrize("change", ["missing", "short", "of another kind"])
def test_metadata_that_do_not_fit_are_damage(store, keys, folder, name, change):
    store.feature_matrix(keys).save(folder / "saved")
    stored = json.loads((folder / "saved" / "fastk.json").read_text())
    value = stored.pop(name)
    if change != "missing":
        stored[name] = 5 if change == "of another kind" else {} if name == "crc32c" else value[:1]
    (folder / "saved" / "fastk.json").write_text(json.dumps(stored))
    with pytest.raises(InvalidData, match="is damaged"):
        FeatureMatrix.load(folder / "saved")


# Sequences


def test_sequences_are_a_ragged_map(store, keys, folder, kernels, monkeypatch):
    from fastk.matrix import sequences

    monkeypatch.setattr(sequences, "PIECE_BYTES", 64)
    third = put_feature(store, "C", ())
    store.save_sequences(folder / "ragged", [*keys, third])
    ragged = RaggedMmap(folder / "ragged")
    assert len(ragged) == 3
    np.testing.assert_array_equal(ragged[0], np.arange(40) / 10)
    np.testing.assert_array_equal(ragged[1], np.arange(14))
    assert ragged[2].shape == (0,)
    assert isinstance(generic.open_existing(folder / "ragged"), RaggedMmap)
    labels = json.loads((folder / "ragged" / "fastk.json").read_text())["labels"]
    assert labels[1] == [["B", "feature", "1m@@f", "value"]]


def test_sequences_of_several_columns_are_those_of_mmap_ninja(store, folder, kernels):
    schema = Schema("pair", [("ts", "i8"), ("a", "f8"), ("b", "f8")], unique_ts=False)
    handles = []
    for place, count in enumerate((5, 2, 9)):
        handles.append(store.register_series(("X", "own", str(place)), schema))
        ts = minutes(*range(count))
        handles[-1].put({"ts": [ts[0], *ts], "a": np.arange(count + 1.0), "b": np.arange(count + 1) * -2.0})
    store.save_sequences(folder / "ours", handles)
    expected = [np.column_stack([handle.range().a, handle.range().b]) for handle in handles]
    RaggedMmap.from_lists(folder / "theirs", expected)
    ours, theirs = contents(folder / "ours"), contents(folder / "theirs")
    assert {name: ours[name] for name in theirs} == theirs
    for found, rows in zip(RaggedMmap(folder / "ours"), expected, strict=True):
        np.testing.assert_array_equal(found, rows)


def test_sequences_must_be_alike_and_not_empty(store, keys, folder):
    pair = store.register_series(("X", "own", "pair"), Schema("pair", [("ts", "i8"), ("a", "i8"), ("b", "i8")]))
    pair.put({"ts": [1], "a": [1], "b": [2]})
    with pytest.raises(InvalidInput, match=r"the series have \[1, 2\] columns"):
        store.save_sequences(folder / "ragged", [keys[0], pair])
    with pytest.raises(InvalidInput, match="sequences without rows"):
        store.save_sequences(folder / "ragged", keys, end=0)
    with pytest.raises(NotFound):
        store.save_sequences(folder / "ragged", [fastk.feature_series_key("Z", "1m", "f")])
    assert not os.listdir(folder)
