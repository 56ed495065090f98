"""Format 3 to the byte: what is written today equals what is kept in tests/golden, and that is read as it was put.

A difference means that stores of users would change. ``support/golden.py`` says how the files are made anew before the
first release, which is a deliberate act; after it they are frozen.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import golden

import fastk

each_store = pytest.mark.parametrize("name", golden.KEYS)


def bring(name: str, root: Path) -> Path:
    """The golden store as files."""
    for path, data in golden.golden_files(name).items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    return root


def lines_of(data: bytes) -> list[str]:
    """Bytes so that pytest shows where they differ."""
    return [f"{start:5} {data[start : start + 32].hex()}" for start in range(0, len(data), 32)]


def joined(name: str) -> dict[str, Any]:
    puts = golden.batches(name)
    return {column: np.concatenate([put[column] for put in puts]) for column in puts[0]}


@each_store
def test_what_is_written_today_equals_the_golden_bytes(name: str, tmp_path: Path) -> None:
    golden.make(name, tmp_path / "root")
    written, kept = golden.files_of(tmp_path / "root"), golden.golden_files(name)
    assert list(written) == list(kept)
    for path, data in kept.items():
        assert lines_of(written[path]) == lines_of(data), path


@each_store
def test_golden_stores_are_read_as_they_were_put(name: str, tmp_path: Path) -> None:
    with fastk.FastKStore.open(bring(name, tmp_path), "r") as store:
        series = store.series(golden.KEYS[name])
        rows = series.range()
        for column, expected in joined(name).items():
            np.testing.assert_array_equal(rows.column(column), expected)
            assert rows.column(column).dtype == expected.dtype
            assert rows.column(column).tobytes() == expected.tobytes()  # -0.0 and NaN to the bit
        assert series.settings.created_at == golden.NOW
        assert series.settings.series_id == golden.SERIES_ID
        assert series.settings.timeframe_ms == golden.DAY
        assert dict(series.settings.scales) == dict(zip(series.schema.scale_names, (100, 1000), strict=False))
        assert series.verify().chunks == len(series.chunk_inventory())
        (entry,) = store.list_series()
        assert (entry.symbol, entry.category, entry.name) == golden.KEYS[name]


@each_store
def test_golden_stores_can_be_written_on(name: str, tmp_path: Path) -> None:
    with fastk.FastKStore.open(bring(name, tmp_path)) as store:
        series = store.series(golden.KEYS[name])
        later = golden.batches(name)[-1]
        later = later | {"ts": later["ts"] + 1000 * golden.DAY}
        series.put(later)
        np.testing.assert_array_equal(series.range().ts, np.append(joined(name)["ts"], later["ts"]))
        series.verify()


def test_the_tables_store_holds_every_kind_of_file(tmp_path: Path) -> None:
    files = golden.golden_files("tables")
    kinds = {Path(path).name.split(".")[0] for path in files if path.endswith(".table")}
    assert kinds == {"chunks", "retired"}


def test_golden_files_are_small() -> None:
    assert sum(path.stat().st_size for path in golden.FOLDER.iterdir()) < 32_000


def test_golden_files_are_never_written_silently(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in golden.FOLDER.iterdir()}
    golden.main([])
    assert {path: path.read_bytes() for path in golden.FOLDER.iterdir()} == before
    assert capsys.readouterr().out.startswith("differ: ")


def test_text_and_files_are_the_same(tmp_path: Path) -> None:
    files = {"a/b": bytes(200), "c": b"", "d e": bytes(range(256)) + bytes(64)}
    assert golden.parse(golden.render(files)) == files
