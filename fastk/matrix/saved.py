"""Matrices and sequences as folders in mmap-ninja's formats, written piece by piece, whole or not at all.

A numpy map is a folder: ``data.ninja`` (the bytes), ``dtype.ninja`` (numpy's name), ``shape.ninja`` (uint64 each),
``order.ninja`` ("C") and ``type.ninja``. A saved matrix has besides ``fastk.json`` and two maps of the same kind:
``ts`` and, if there is one, ``mask``. A ragged map holds the sequences one after the other as a numpy map, and where
each of them begins and ends, its length and its shape in four maps of their own.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from fastk.arrays import read_only
from fastk.errors import InvalidData, InvalidInput, NotFound
from fastk.io.disk import Disk
from fastk.kernels import crc32c
from fastk.keys import SeriesKey
from fastk.matrix.matrix import FeatureMatrix, MatrixCoverage
from fastk.matrix.request import MatrixLabel
from fastk.times import TimeUnit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

METADATA = "fastk.json"
VERSION = 1
DATA = "data.ninja"
PIECE_BYTES = 16 << 20


def save(matrix: FeatureMatrix, path: str | os.PathLike[str]) -> FeatureMatrix:
    """Write a matrix, and give it mapped."""
    mask = matrix.mask
    return save_pieces(
        lambda: matrix, path, lambda: _pieces(matrix.values), lambda: () if mask is None else _pieces(mask)
    )


def save_pieces(
    describe: Callable[[], FeatureMatrix],
    path: str | os.PathLike[str],
    values: Callable[[], Iterable[NDArray[Any]]],
    mask: Callable[[], Iterable[NDArray[Any]]],
) -> FeatureMatrix:
    """Write a matrix whose values and mask come piece by piece; those of its description say dtype and shape only."""
    matrix = describe()
    if not matrix.values.size:
        raise InvalidInput("a matrix without values cannot be saved: nothing can be mapped")
    with _new_folder(path) as (disk, folder):
        crcs = {"values": write_map(disk, folder, matrix.values.dtype, matrix.values.shape, values())}
        for name, array, pieces in (("ts", matrix.ts, lambda: _pieces(matrix.ts)), ("mask", matrix.mask, mask)):
            if array is not None:
                subfolder = os.path.join(folder, name)
                disk.make_folder(subfolder)
                crcs[name] = write_map(disk, subfolder, array.dtype, array.shape, pieces())
                disk.sync_folder(subfolder)
        disk.create(os.path.join(folder, METADATA), [_metadata(describe(), crcs)])  # again: now all is counted
    return load(path)


def _pieces(array: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """A C-contiguous array as runs of bytes, without a copy."""
    data = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return (data[start : start + PIECE_BYTES] for start in range(0, data.size, PIECE_BYTES))


def write_map(
    disk: Disk, folder: str, dtype: np.dtype[Any], shape: Sequence[int], pieces: Iterable[NDArray[Any]],
    kind: str = "numpy",
) -> int:  # fmt: skip
    """Write a numpy map into a folder, and give the checksum of its data."""
    crc = 0

    def checked() -> Iterator[NDArray[Any]]:
        nonlocal crc
        for piece in pieces:
            crc = crc32c(piece, crc)
            yield piece

    disk.create_streamed(os.path.join(folder, DATA), checked())
    facts = {
        "dtype": dtype.name.encode(),
        "shape": np.array(shape, "<u8").tobytes(),
        "order": b"C",
        "type": kind.encode(),
    }
    for name, content in facts.items():
        disk.create(os.path.join(folder, f"{name}.ninja"), [content])
    return crc


@contextmanager
def _new_folder(path: str | os.PathLike[str]) -> Iterator[tuple[Disk, str]]:
    """A folder of a temporary name beside ``path``, which gets its name when all is written; removed on an error."""
    disk, final = Disk(), os.path.abspath(os.fspath(path))
    parent = os.path.dirname(final)
    if disk.exists(final):
        raise InvalidInput(f"{final} exists already; give a new name, or remove it first")
    if not disk.is_folder(parent):
        raise NotFound(f"{parent} is no folder; create it first")
    temporary = os.path.join(parent, f".{os.path.basename(final)}.{secrets.token_hex(4)}.tmp")
    disk.make_folder(temporary)
    try:
        yield disk, temporary
        disk.sync_folder(temporary)
        disk.rename(temporary, final)
    except BaseException:
        with suppress(OSError):
            _remove(disk, temporary)
        raise
    disk.sync_folder(parent)


def _remove(disk: Disk, path: str) -> None:
    for name in disk.list(path) if disk.is_folder(path) else ():
        _remove(disk, os.path.join(path, name))
    disk.remove_file_or_folder(path)


def _metadata(matrix: FeatureMatrix, crcs: dict[str, int]) -> bytes:
    stored = {
        "format": "fastk-matrix",
        "version": VERSION,
        "layout": matrix.layout,
        "time_unit": matrix.time_unit.value,
        "labels": matrix.labels,
        "divisors": matrix.divisors,
        "coverage": matrix.coverage,
        "crc32c": crcs,
    }
    return json.dumps(stored, indent=1).encode() + b"\n"


# Reading


def load(path: str | os.PathLike[str], *, verify: bool = False) -> FeatureMatrix:
    """Map a saved matrix."""
    disk, folder = Disk(), os.path.abspath(os.fspath(path))
    stored, digest = _read_metadata(disk, os.path.join(folder, METADATA))
    try:
        matrix = _mapped(disk, folder, stored, verify, digest)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, InvalidData):
            raise
        raise InvalidData(f"{os.path.join(folder, METADATA)} is damaged: {error!r}; save the matrix anew") from None
    _check_whole(matrix)
    return matrix


def _mapped(disk: Disk, folder: str, stored: dict[str, Any], verify: bool, digest: str) -> FeatureMatrix:
    crcs = stored["crc32c"]
    maps = {
        name: map_array(
            disk, folder if name == "values" else os.path.join(folder, name), crcs[name] if verify else None
        )
        for name in crcs
    }
    return FeatureMatrix(
        values=maps["values"],
        ts=maps["ts"],
        mask=maps.get("mask"),
        labels=[MatrixLabel(*label) for label in stored["labels"]],
        layout=stored["layout"],
        time_unit=TimeUnit(stored["time_unit"]),
        divisors=stored["divisors"],
        coverage=[MatrixCoverage(SeriesKey(*key), *counts) for key, *counts in stored["coverage"]],
        path=folder,
        digest=digest,
    )


def _check_whole(matrix: FeatureMatrix) -> None:
    """Refuse values that are not as wide or as long as what is said of them."""
    rows, columns, shape = len(matrix), len(matrix.labels), matrix.values.shape
    expected = {"TF": (rows, columns), "FT": (columns, rows), "TSF": (rows, *shape[1:])}.get(matrix.layout)
    series = dict.fromkeys(label[:3] for label in matrix.labels)
    is_told = len(matrix.divisors) == columns and list(series) == [tuple(entry.key) for entry in matrix.coverage]
    if shape != expected or matrix.values.size != rows * columns or not is_told:
        raise InvalidData(
            f"{matrix.path} is damaged: its values have the shape {shape}, and {METADATA} and ts tell of {rows:,} "
            f"rows of {columns:,} columns in layout {matrix.layout}; save the matrix anew"
        )


def _read_metadata(disk: Disk, path: str) -> tuple[dict[str, Any], str]:
    """What is stored, and the digest of it: of the values, too, because their checksums are among it."""
    try:
        data = disk.read(path)
        stored = json.loads(data)
        known = stored["format"] == "fastk-matrix" and stored["version"] == VERSION
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(f"there is no saved matrix at {os.path.dirname(path)}: it has no {METADATA}") from None
    except (ValueError, KeyError, TypeError):
        known = False
    if not known:
        raise InvalidData(f"{path} is damaged, or of a newer version of FastK; save the matrix anew")
    return stored, hashlib.sha256(data).hexdigest()


def map_array(disk: Disk, folder: str, crc: int | None = None) -> NDArray[Any]:
    """A numpy map, read-only. InvalidData if its files do not fit together, or its checksum is not ``crc``."""
    path = os.path.join(folder, DATA)
    try:
        dtype = np.dtype(disk.read(os.path.join(folder, "dtype.ninja")).decode())
        shape = tuple(np.frombuffer(disk.read(os.path.join(folder, "shape.ninja")), "<u8").tolist())
        data = disk.map(path, int(np.prod(shape)) * dtype.itemsize)
    except (FileNotFoundError, TypeError, ValueError) as error:
        if isinstance(error, InvalidData):
            raise
        raise InvalidData(f"{folder} is no whole numpy map: {error}; save the matrix anew") from error
    if crc is not None and crc32c(data) != crc:
        raise InvalidData(f"{path} is damaged: its checksum differs; save the matrix anew")
    return read_only(data.view(dtype).reshape(shape))


# Sequences


def save_sequences(
    path: str | os.PathLike[str],
    dtype: np.dtype[Any],
    lengths: Sequence[int],
    columns: int | None,
    pieces: Iterable[NDArray[Any]],
    metadata: dict[str, Any],
) -> None:
    """Write a ragged map: sequences of some lengths, of one column (``None``) or of rows of several columns."""
    if not sum(lengths):
        raise InvalidInput("sequences without rows cannot be saved: nothing can be mapped")
    width = 1 if columns is None else columns
    ends = np.cumsum(lengths) * width
    flat = np.asarray(lengths) * width
    shapes = [(length,) if columns is None else (length, columns) for length in lengths]
    with _new_folder(path) as (disk, folder):
        write_map(disk, folder, dtype, (int(ends[-1]),), pieces, "ragged")
        _write_index(disk, folder, flat, shapes)
        disk.create(os.path.join(folder, METADATA), [json.dumps(metadata, indent=1).encode() + b"\n"])


def _write_index(disk: Disk, folder: str, lengths: NDArray[np.int64], shapes: Sequence[tuple[int, ...]]) -> None:
    """Where each sequence lies, and its shape: an array where all have one dimension, else sequences in turn."""
    are_flat = len(shapes[0]) == 1
    ends = np.cumsum(lengths)
    maps: dict[str, NDArray[np.int64]] = {"starts": ends - lengths, "ends": ends, "flattened_shapes": lengths}
    table = np.array(shapes, np.int64)
    maps["shapes"] = table if are_flat else table.reshape(-1)
    for name, array in maps.items():
        subfolder = os.path.join(folder, name)
        disk.make_folder(subfolder)
        nested = name == "shapes" and not are_flat
        write_map(disk, subfolder, array.dtype, array.shape, _pieces(array), "ragged" if nested else "numpy")
        if nested:
            _write_index(disk, subfolder, np.full(len(shapes), len(shapes[0])), [(len(shapes[0]),)] * len(shapes))
        disk.sync_folder(subfolder)
    disk.create(os.path.join(folder, "shapes_are_flat.ninja"), [int(are_flat).to_bytes(4, "little")])
