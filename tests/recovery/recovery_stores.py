"""A small store for stories of damage, and the hands that do the damage.

``KEY`` holds two months of minute bars, January in three blocks of each column, ``SIGNAL`` values with both sidecars,
``TRADES`` rows that share times. Every row is another one.
"""

from pathlib import Path

import numpy as np
from builders import FEBRUARY, JANUARY, MINUTE, bars, trades

import fastk
from fastk.format import names
from fastk.format.binary import sealed
from fastk.format.chunk import ChunkIdentity, column_offsets, encode_chunk, parse_chunk
from fastk.format.manifest import parse_manifest
from fastk.io.disk import Disk
from fastk.recovery.repair import rebuild_manifests, repair
from fastk.recovery.validate import scrub, validate
from fastk.schema.settings import SeriesSettings

KEY = ("BTCUSDT", "kline", "1m")
SIGNAL = ("BTCUSDT", "signal", "1m@@trend")
TRADES = ("ETHUSDT", "trade", "raw")
ROWS = 10_000
BLOCK = 4_096


def make_store(root: Path, **options) -> fastk.FastKStore:
    """Three series of different kinds."""
    store = fastk.open(root, **options)
    series = store.register_kline_series(
        "BTCUSDT", "1m", MINUTE, price_scale=100, volume_scale=1_000, zone_maps=["close"]
    )
    series.put(bars(JANUARY, ROWS))
    series.put(bars(FEBRUARY, 50))
    rows = np.arange(600)
    signal = store.register_scalar_series(fastk.signal_series_key("BTCUSDT", "1m", "trend"), MINUTE, value_scale=10)
    signal.put({"ts": JANUARY + MINUTE * rows, "value": rows * 7919 % 101})
    ticks = store.register_trade_series("ETHUSDT", "raw", partition="day", price_scale=100)
    ticks.put(trades(JANUARY + np.arange(400) // 3))
    return store


def folder(root: Path, key=KEY) -> Path:
    return Path(root, "series", *names.series_path(fastk.SeriesKey(*key)))


def manifest(root: Path, key=KEY) -> Path:
    return folder(root, key) / "series.meta"


def chunk_files(root: Path, key=KEY) -> list[Path]:
    return sorted((folder(root, key) / "chunks").glob("*.chunk"))


def january(root: Path) -> Path:
    return chunk_files(root)[0]


def sidecar(root: Path, suffix: str, key=SIGNAL) -> Path:
    (file,) = (folder(root, key) / "chunks").glob(f"*{suffix}")
    return file


def header_of(file: Path):
    return parse_chunk(np.frombuffer(file.read_bytes(), np.uint8), str(file))


def settings_of(root: Path, key=KEY) -> SeriesSettings:
    return parse_manifest(manifest(root, key).read_bytes(), "series.meta").settings


def offset_of(file: Path, column: str, row: int = 0) -> int:
    """Where a value stands in a chunk file."""
    header = header_of(file)
    schema = SeriesSettings.from_json(header.settings).schema
    offsets, _ = column_offsets(schema, header.rows, header.length)
    place = schema.position(column)
    return offsets[place] + row * schema.fields[place].dtype.itemsize


def flip(file: Path, place: int, mask: int = 0x40) -> None:
    content = bytearray(file.read_bytes())
    content[place] ^= mask
    file.write_bytes(content)


def flip_value(file: Path, column: str, row: int) -> int:
    """Damage one value; its offset in the file."""
    place = offset_of(file, column, row)
    flip(file, place)
    return place


def as_newer_format(file: Path) -> None:
    """A file as a later version would write it: its digits at its ends, a checksum of its own."""
    content = file.read_bytes()
    content = content[:5] + b"004" + content[8:]
    if content.endswith(b"FKEND003"):
        length = int.from_bytes(content[12:16], "little")
        content = sealed(content[: length - 4]) + content[length:-3] + b"004"
    else:
        content = sealed(content[:-4])
    file.write_bytes(content)


def cut(file: Path, size: int) -> None:
    with file.open("r+b") as opened:
        opened.truncate(size)


def write_commit(
    root: Path, sequence: int, base: int, parts: dict, *, key=KEY, superseded=(), only=None, of=None
) -> list[Path]:
    """Chunk files as a writer makes them: of each partition's rows one part. ``only`` writes some of the parts."""
    settings = settings_of(root, key) if of is None else of
    files = []
    for part, (partition, columns) in enumerate(parts.items()):
        ordinal = settings.partition.parse_key(partition)
        identity = ChunkIdentity(
            settings.series_id, names.chunk_id(sequence, part), base, part, len(parts), sequence, 2, ordinal
        )
        rows = [
            np.asarray(columns[name], field.dtype)
            for name, field in zip(settings.schema.names, settings.schema.fields, strict=True)
        ]
        encoded = encode_chunk(settings.json, settings.schema, rows, identity, superseded if part == 0 else ())
        file = folder(root, key) / "chunks" / names.chunk_file_name(partition, "merged", identity.chunk_id)
        if only is None or part in only:
            file.write_bytes(b"".join(bytes(memoryview(buffer)) for buffer in encoded.buffers))
        files.append(file)
    return files


def no_rows(key_schema=fastk.KLINE) -> dict:
    return {field.name: np.empty(0, field.dtype) for field in key_schema.fields}


def columns(root: Path, key=KEY) -> dict[str, list]:
    """All rows of a series, read with every check."""
    with fastk.open(root, "r") as store:
        rows = store.series(key).range()
        store.series(key).verify()
        return {name: rows.column(name).tolist() for name in rows.schema.names}


def shape(root: Path, key=KEY) -> tuple:
    """All settings of a series."""
    settings = settings_of(root, key)
    return settings.json, settings.schema, dict(settings.scales)


def verdicts(root: Path, *, thorough: bool = False, verbose: bool = False, disk=None) -> list:
    disk = disk or Disk()
    if thorough:
        return [each for report in scrub(disk, str(root), verbose=verbose) for each in report.validation.verdicts]
    return [each for report in validate(disk, str(root), verbose=verbose) for each in report.verdicts]


def codes(root: Path, **options) -> list[str]:
    return [str(each.code) for each in verdicts(root, **options)]


def only_verdict(root: Path, **options):
    (found,) = verdicts(root, **options)
    return found


def mend(root: Path, **options):
    """Repair, and see that the result is sound and that there is nothing more to do."""
    planned = repair(Disk(), str(root), dry_run=True)
    done = repair(Disk(), str(root), **options)
    planned.dry_run = False
    assert planned == done
    assert_sound(root)
    again = repair(Disk(), str(root))
    assert again.changes_nothing, again
    return done


def rebuild(root: Path, **options):
    report = rebuild_manifests(Disk(), str(root), **options)
    assert_sound(root)
    return report


def assert_sound(root: Path) -> None:
    bad = [each for each in verdicts(root, thorough=True) if each.severity == "damage"]
    assert not bad, "\n".join(map(str, bad))


def quarantined(root: Path) -> list[str]:
    return sorted(path.name for path in Path(root, ".fastk.quarantine").rglob("*") if path.is_file())


def append_and_merge(root, *, collect=False):
    """February in two chunks, and then in one: its file. With ``collect`` the two go, and their manifest comes back."""
    with fastk.open(root) as store:
        series = store.series(KEY)
        series.append(bars(FEBRUARY + 60 * MINUTE, 5))
        old = manifest(root).read_bytes()
        series.merge()
        if collect:
            store.gc(grace_seconds=0)
            manifest(root).write_bytes(old)
    (merged,) = (file for file in chunk_files(root) if ".merged." in file.name)
    return merged


def without(rows: dict, *runs: tuple[int, int]) -> dict[str, list]:
    """Columns without some runs of rows."""
    keep = np.ones(len(rows["ts"]), bool)
    for first, stop in runs:
        keep[first:stop] = False
    return {name: np.asarray(column)[keep].tolist() for name, column in rows.items()}
