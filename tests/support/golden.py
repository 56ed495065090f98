"""The golden stores of format 3: what they hold, and how their bytes were made.

The bytes are frozen with the first release: until then ``python -m tests.support.golden --write`` writes them anew
after a deliberate change of the format, and says what changed. Nothing else ever writes them. A store is kept as one
text file: a line with the path and length of each file, and its bytes, deflated, in base64.
"""

from __future__ import annotations

import argparse
import base64
import sys
import tempfile
import zlib
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

import fastk
from fastk.format import chunk_tables, retired

FOLDER = Path(__file__).resolve().parent.parent / "golden"
SERIES_ID = 0x0123_4567_89AB_CDEF
NOW = 1_735_689_600_000
FIRST = 1_706_745_600_000  # 2024-02-01
HOUR, DAY = 3_600_000, 86_400_000

QUIRKY = fastk.Schema(
    "quirky",
    [
        ("ts", "i8"),
        ("small", "i1"),
        ("wide", "u8", "price_scale"),
        ("half", "f4"),
        ("whole", "f8"),
        ("flag", "?"),
        ("label", "S3"),
        ("order", "u2"),
    ],
    unique_ts=False,
    sequence_field="order",
    partition="day",
    zone_maps=["small", "half", "flag"],
    value_indexes=["wide", "whole", "flag"],
)


def ramp(schema: fastk.Schema, ts: list[int]) -> dict[str, np.ndarray]:
    """Every integer field another multiple of the row."""
    rows = np.arange(len(ts))
    columns = {field.name: (rows + place).astype(field.dtype) for place, field in enumerate(schema.fields)}
    return columns | {"ts": np.array(ts, np.int64)}


def quirky_rows() -> dict[str, np.ndarray]:
    return {
        "ts": np.array([FIRST - 1, FIRST, FIRST, FIRST + 1], np.int64),
        "small": np.array([-128, -1, 0, 127], np.int8),
        "wide": np.array([0, 1, 2**63, 2**64 - 1], np.uint64),
        "half": np.array([np.nan, -0.0, np.inf, 1.5], np.float32),
        "whole": np.array([-np.inf, 5e-324, np.nan, 0.1]),
        "flag": np.array([False, True, True, False]),
        "label": np.array([b"abc", b"", b"d", b"\xff\x01"], "S3"),
        "order": np.array([0, 1, 2, 65_535], np.uint16),
    }


TIMES = {
    "kline": [[FIRST - DAY, FIRST, FIRST + DAY], [FIRST + 2 * DAY]],
    "scalar": [[-DAY, 0, DAY], [FIRST]],
    "trade": [[FIRST, FIRST, FIRST + HOUR], [FIRST + HOUR]],
    "bbo": [[FIRST - 1, FIRST], [FIRST + 1]],
    "book_delta": [[FIRST, FIRST], [FIRST + 1, FIRST + HOUR]],
}
SCHEMAS = {schema.name: schema for schema in (fastk.KLINE, fastk.SCALAR, fastk.TRADE, fastk.BBO, fastk.BOOK_DELTA)}
KEYS = {
    "kline": ("BTCUSDT", "kline", "1M"),
    "scalar": ("BTCUSDT", "feature", "1d@@rsi_14"),
    "trade": ("BTCUSDT", "trade", "raw"),
    "bbo": ("BTCUSDT", "bbo", "top"),
    "book_delta": ("BTCUSDT", "book_delta", "raw"),
    "quirky": ("Ünïcode & more", "custom", "quirky"),
    "tables": ("BTCUSDT", "kline", "1d"),
}


def batches(name: str) -> list[dict[str, np.ndarray]]:
    """What was put into a golden series, one mapping a put."""
    if name == "quirky":
        return [quirky_rows()]
    if name == "tables":
        return [ramp(fastk.SCALAR, [FIRST + 31 * DAY * month]) for month in range(5)]
    puts = [ramp(SCHEMAS[name], ts) for ts in TIMES[name]]
    if name in ("trade", "book_delta", "bbo"):  # rows of equal ts are told apart by their sequence
        field, count = SCHEMAS[name].sequence_field, 0
        for put in puts:
            put[str(field)] = np.arange(count, count + len(put["ts"]))
            count += len(put["ts"])
    return puts


def make(name: str, root: Path) -> None:
    """Write a golden store with fixed ids and a fixed clock."""
    limits = {"INLINE_MAX": 1, "TABLE_MAX": 4} if name == "tables" else {}
    with (
        mock.patch("os.urandom", lambda size: SERIES_ID.to_bytes(size, "little")),
        mock.patch("fastk.engine.writer.now_ms", return_value=NOW),
        mock.patch.multiple(chunk_tables, **(limits or {"INLINE_MAX": 256})),
        mock.patch.multiple(retired, INLINE_MAX=0 if limits else 256),
        fastk.FastKStore.open(root, policy=fastk.CompactionPolicy(tier_fanout=0)) as store,
    ):
        schema = {"quirky": QUIRKY, "tables": fastk.SCALAR}.get(name) or SCHEMAS[name]
        scales = dict(zip(schema.scale_names, (100, 1000), strict=False))
        series = store.register_series(KEYS[name], schema, timeframe_ms=DAY, scales=scales)
        for batch in batches(name):
            series.put(batch)


def files_of(root: Path) -> dict[str, bytes]:
    """Every file of a store that is part of the format."""
    paths = sorted(path for path in root.rglob("*") if path.is_file() and path.name != ".fastk.write.lock")
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in paths}


def render(files: dict[str, bytes]) -> str:
    """Files as text."""
    lines = []
    for path, data in files.items():
        text = base64.b64encode(zlib.compress(data, 9)).decode()
        lines += [f"{len(data)} {path}", *(f"  {text[start : start + 100]}" for start in range(0, len(text), 100))]
    return "\n".join(lines) + "\n"


def parse(text: str) -> dict[str, bytes]:
    """The files that a text stands for."""
    texts: dict[str, str] = {}
    path = ""
    for line in text.splitlines():
        if line.startswith("  "):
            texts[path] += line.strip()
        else:
            path = line.partition(" ")[2]
            texts[path] = ""
    return {path: zlib.decompress(base64.b64decode(text)) for path, text in texts.items()}


def golden_files(name: str) -> dict[str, bytes]:
    """The committed files of a golden store."""
    return parse((FOLDER / f"{name}.txt").read_text(encoding="utf-8"))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.support.golden", description=__doc__)
    parser.add_argument("--write", action="store_true", help="replace the golden files; without it they are compared")
    options: Any = parser.parse_args(arguments)
    changed = []
    for name in KEYS:
        with tempfile.TemporaryDirectory() as folder:
            make(name, Path(folder) / "root")
            files = files_of(Path(folder) / "root")
        path = FOLDER / f"{name}.txt"
        if not path.exists() or golden_files(name) != files:
            changed.append(name)
            if options.write:
                path.write_text(render(files), encoding="utf-8")
    print(f"{'written' if options.write else 'differ'}: {', '.join(changed) or 'none'}")
    return int(bool(changed) and not options.write)


if __name__ == "__main__":
    sys.exit(main())
