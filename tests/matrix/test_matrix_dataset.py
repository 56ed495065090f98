"""Windows for training: a dataset that travels small to other processes and maps the files there anew."""

import multiprocessing
import pickle
import shutil

import numpy as np
import pytest
from builders import temporary_folder
from matrix_calls import minutes, put_feature

import fastk
from fastk import FeatureMatrix, InvalidInput, SnapshotExpired, ffill
from fastk.matrix.request import MatrixLabel


@pytest.fixture
def keys(store):
    return [put_feature(store, symbol, range(0, 60, step), scale=10) for symbol, step in (("A", 1), ("B", 2))]


@pytest.fixture
def matrix(store, keys):
    return store.feature_matrix(keys, fill=ffill(1))


@pytest.fixture
def folder():
    with temporary_folder() as path:
        yield path


def negated(item):
    return -item


def items_of(dataset, indexes):
    """What a worker of a loader does."""
    return [dataset[index] for index in indexes]


def test_windows_one_after_the_other(matrix):
    dataset = matrix.dataset(4, 3)
    assert len(dataset) == len(matrix.windows(4, 3)) == 19
    for item, window in zip(dataset, matrix.windows(4, 3), strict=True):
        np.testing.assert_array_equal(item, window)
    np.testing.assert_array_equal(dataset[-1], dataset[18])
    dataset[0][:] = 0  # an item is the caller's own
    assert matrix.values[1, 0] == 0.1
    with pytest.raises(IndexError, match="window 19 of 19"):
        dataset[19]
    assert len(matrix.dataset(61)) == 0


def test_targets_lie_behind_the_window(matrix):
    dataset = matrix.dataset(5, inputs=["B/feature/1m@@f:value"], targets=[0], horizon=2, transform=None)
    assert len(dataset) == 60 - 5 - 2 + 1
    inputs, target = dataset[7]
    np.testing.assert_array_equal(inputs, matrix.values[7:12, 1:])
    np.testing.assert_array_equal(target, [matrix.values[13, 0]])
    assert len(matrix.dataset(5, targets=[0], horizon=0)) == 56


def test_labels_are_spelled_once_however_many_are_asked_for(store, monkeypatch):
    keys = [put_feature(store, f"S{place}", range(5)) for place in range(20)]
    matrix, spelled, spell = store.feature_matrix(keys), [], MatrixLabel.__str__
    monkeypatch.setattr(MatrixLabel, "__str__", lambda label: (spelled.append(label), spell(label))[1])
    for labels in (matrix.labels[::-1], [f"S{place}/feature/1m@@f:value" for place in range(19, -1, -1)]):
        dataset = matrix.dataset(2, inputs=labels, targets=labels)
        assert dataset[0][0].tolist() == matrix.values[:2, ::-1].tolist()
    assert len(spelled) <= len(keys)


def test_three_dimensions_stay(store, keys):
    cube = store.feature_matrix(keys, layout="TSF")
    assert cube.dataset(4)[0].shape == (4, 2, 1)
    assert cube.dataset(4, transform=negated)[1][0, 0, 0] == -0.1


@pytest.mark.parametrize("source", ["saved", "store"])
@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_workers_map_it_anew(matrix, folder, source, method):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system does not {method}")
    used = matrix.save(folder / "saved") if source == "saved" else matrix
    dataset = used.dataset(4, 3)
    with multiprocessing.get_context(method).Pool(2) as pool:
        parts = pool.starmap(items_of, [(dataset, range(10)), (dataset, range(10, 19))])
    np.testing.assert_array_equal(np.concatenate(parts), matrix.windows(4, 3))


@pytest.mark.parametrize("source", ["saved", "store"])
def test_it_travels_small(matrix, folder, source):
    used = matrix.save(folder / "saved") if source == "saved" else matrix
    sent = pickle.dumps(used.dataset(4, 3, targets=[1], transform=None))
    assert len(sent) < 2_000
    arrived = pickle.loads(sent)
    assert len(arrived) == len(used.dataset(4, 3, targets=[1]))
    for index in (0, 7, -1):
        for found, expected in zip(arrived[index], used.dataset(4, 3, targets=[1])[index], strict=True):
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("align", ["exact", "asof"])
@pytest.mark.parametrize("limit", [1, 5, None])
def test_windows_gathered_one_by_one_are_those_of_the_whole(store, small_steps, align, limit):
    """What is carried into a window comes from before it."""
    keys = [put_feature(store, symbol, times) for symbol, times in (("A", range(0, 90, 7)), ("B", (3, 50, 51)))]
    matrix = store.feature_matrix(
        keys, start=minutes(4)[0], end=minutes(80)[0], grid=60_000, fill=ffill(limit), align=align,
        tolerance=120_000 if align == "asof" else None,
    )  # fmt: skip
    arrived = pickle.loads(pickle.dumps(matrix.dataset(3)))
    np.testing.assert_array_equal(np.stack(list(arrived)), matrix.windows(3))


def test_rows_that_were_changed_meanwhile(store, matrix, keys):
    sent = pickle.dumps(matrix.dataset(4))
    store.series(keys[0]).put({"ts": minutes(70), "value": [1]})
    with pytest.raises(SnapshotExpired, match="rows of the matrix's series were changed since it was made"):
        pickle.loads(sent)[0]


def test_memory_alone_does_not_travel():
    matrix = FeatureMatrix(
        values=np.zeros((4, 1)), ts=np.arange(4), labels=[fastk.MatrixLabel("A", "b", "c", "d")], layout="TF",
        time_unit=fastk.TimeUnit.MILLISECONDS, divisors=[1], coverage=[],
    )  # fmt: skip
    dataset = matrix.dataset(2)
    assert len(dataset) == 3
    with pytest.raises(TypeError, match="save the matrix"):
        pickle.dumps(dataset)


def test_bad_arguments(matrix):
    with pytest.raises(InvalidInput, match="horizon must be an int of 0 or more"):
        matrix.dataset(4, targets=[0], horizon=-1)
    with pytest.raises(InvalidInput, match="is no column of the matrix"):
        matrix.dataset(4, targets=[2])


@pytest.mark.slow
def test_a_loader_of_torch_with_two_workers(matrix, folder):
    torch = pytest.importorskip("torch")
    dataset = matrix.save(folder / "saved").dataset(4, 3)
    for context in ("fork", "spawn"):
        loader = torch.utils.data.DataLoader(dataset, 5, num_workers=2, multiprocessing_context=context)
        np.testing.assert_array_equal(torch.cat(list(loader)).numpy(), matrix.windows(4, 3))


# What a worker would make anew is what the dataset shows here, or an error


def test_values_cannot_be_changed_in_their_place(matrix, folder):
    for found in (matrix, matrix.save(folder / "saved")):
        with pytest.raises(ValueError, match="read-only"):
            found.values[:] = 0
        with pytest.raises(AttributeError):
            found.values = found.values * 2
        assert not found.column(0).flags.writeable


def test_a_matrix_in_memory_of_the_caller_does_not_travel(store, keys, matrix, folder):
    buffer = np.empty(matrix.values.shape)
    dataset = store.feature_matrix(keys, out=buffer).dataset(4)
    np.testing.assert_array_equal(dataset[0], buffer[:4])
    with pytest.raises(TypeError, match=r"as a matrix in out= does.*save"):
        pickle.dumps(dataset)
    sent = pickle.dumps(store.feature_matrix(keys, out=buffer).save(folder / "saved").dataset(4))
    np.testing.assert_array_equal(pickle.loads(sent)[0], buffer[:4])


def test_what_was_asked_does_not_change_with_the_callers_lists(store, keys):
    grid, columns, scale = np.array(minutes(0, 1, 2, 3)), {keys[0]: ["value"]}, {keys[0]: 10}
    matrix = store.feature_matrix(keys, grid=grid, columns=columns, scale=scale)
    sent = pickle.dumps(matrix.dataset(2))
    expected = matrix.values[:2].copy()
    grid += 60_000
    columns[keys[0]][0], scale[keys[0]] = "ts", 7
    assert matrix.ts.tolist() == minutes(0, 1, 2, 3)
    for dataset in (pickle.loads(sent), pickle.loads(pickle.dumps(matrix.dataset(2)))):
        np.testing.assert_array_equal(dataset[0], expected)


def test_a_grid_that_was_given_travels_along(store, keys):
    grid = np.array(minutes(*range(0, 60, 2)))
    sent = pickle.dumps(store.feature_matrix(keys, grid=grid).dataset(4))
    assert grid.nbytes < len(sent) < grid.nbytes + 2_000


@pytest.mark.parametrize("other", [{"fill": 7}, {"end": minutes(30)[0]}, {"scale": "raw"}, {"dtype": "float32"}])
def test_another_matrix_at_the_path(store, keys, matrix, folder, other):
    sent = pickle.dumps(matrix.save(folder / "saved").dataset(4))
    shutil.rmtree(folder / "saved")
    matrix.save(folder / "saved")
    np.testing.assert_array_equal(pickle.loads(sent)[0], matrix.values[:4])
    shutil.rmtree(folder / "saved")
    store.feature_matrix(keys, **other).save(folder / "saved")
    with pytest.raises(SnapshotExpired, match="another matrix lies there than the dataset was made of"):
        pickle.loads(sent)[0]
