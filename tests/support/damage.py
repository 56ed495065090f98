"""A small store with a file of every kind, damage done to it, and a process that looks at it under limits."""

from __future__ import annotations

import os
import resource
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np

import fastk
from fastk.format import chunk_tables, retired
from fastk.format.chunk import TRAILER_BYTES, column_offsets, parse_chunk
from fastk.io.disk import Disk
from fastk.recovery.repair import rebuild_manifests, repair
from fastk.recovery.validate import scrub, validate

KEY, NEIGHBOUR = ("BTCUSDT", "proof", "small"), ("ETHUSDT", "proof", "small")
SCHEMA = fastk.Schema(
    "small",
    [("ts", "i8"), ("value", "i4"), ("flag", "?"), ("label", "S3")],
    partition="hour",
    zone_maps=["value"],
    value_indexes=["value"],
)
HOUR, START, HOURS, ROWS = 3_600_000, 473_352 * 3_600_000, 3, 7
MOST_MEMORY = 768 << 20  # more than the process has: room for any right answer, and none for what a file makes up
MOST_SECONDS = 20

FILES = {
    "chunk": "chunks/2024-01-01T01.merged.*.chunk",
    "zone map": "chunks/2024-01-01T01.merged.*.zmap",
    "value index": "chunks/2024-01-01T01.merged.*.vix",
    "manifest": "series.meta",
    "chunk table": "chunks.*.table",
    "retired table": "retired.*.table",
    "store file": "../../../../fastk.store",
}
SIDECARS = ("zone map", "value index")
Columns = dict[str, np.ndarray]


def rows(factor: int) -> Columns:
    """What a series holds: every value another one, and other ones than its neighbour's."""
    ts = START + np.arange(HOURS * ROWS) * (HOUR // ROWS)
    value = (np.arange(HOURS * ROWS) * 7919 % 101 * factor).astype(np.int32)
    labels = np.array([b"%d" % (number % 1000) for number in value], "S3")
    return {"ts": ts, "value": value, "flag": value % 2 == 1, "label": labels}


EXPECTED = {KEY: rows(3), NEIGHBOUR: rows(5)}


def make_store(root: Path) -> None:
    """Two series of three merged chunks, with tables of chunks and of what is retired."""
    small = (mock.patch.object(module, "INLINE_MAX", 1) for module in (chunk_tables, retired))
    with next(small), next(small), fastk.open(root) as store:
        for key, columns in EXPECTED.items():
            series = store.register_series(key, SCHEMA)
            for half in (slice(0, None, 2), slice(1, None, 2)):
                part = {name: column[half] for name, column in columns.items()}
                series.put(part, zone_rows=2)
            series.merge()


def file_of(root: Path, kind: str, key: tuple[str, str, str] = KEY) -> Path:
    """The newest file of a kind."""
    return sorted(root.joinpath("series", *key).glob(FILES[kind]))[-1]


# Damage


WAYS = ("bytes flipped", "cut", "filled", "longer", "swapped")
OUTCOMES = ("refused", "read right", "the same")
"""Some read was refused; all were right, and there is a verdict; or what was changed means nothing to anybody."""


class Damage(NamedTuple):
    """The content that a file gets, and whether that may go unnoticed because it means the same."""

    way: str
    described: str
    content: bytes
    may_be_harmless: bool = False


def meaningless(kind: str, content: bytes) -> set[int]:
    """The places of a file that no reader ever looks at: what fills a chunk's columns up to alignment."""
    if kind != "chunk":
        return set()
    header = parse_chunk(np.frombuffer(content, np.uint8), "")
    offsets, end = column_offsets(SCHEMA, header.rows, header.length)
    used = set(range(header.length)) | set(range(end, end + TRAILER_BYTES))
    for offset, field in zip(offsets, SCHEMA.fields, strict=True):
        used |= set(range(offset, offset + header.rows * field.dtype.itemsize))
    return set(range(len(content))) - used


def flips(kind: str, content: bytes, places: Iterable[int], masks: Iterable[int]) -> Iterator[Damage]:
    unseen = meaningless(kind, content)
    for place in places:
        for mask in masks:
            changed = content[:place] + bytes([content[place] ^ mask]) + content[place + 1 :]
            harmless = place in unseen or kind == "store file"
            yield Damage("bytes flipped", f"byte {place} ^ {mask}", changed, harmless)


def cuts(kind: str, content: bytes, lengths: Iterable[int]) -> Iterator[Damage]:
    for length in lengths:
        yield Damage("cut", f"cut to {length}", content[:length], kind == "store file" and length == len(content) - 1)


def fills(kind: str, content: bytes, starts: Iterable[int]) -> Iterator[Damage]:
    """Zeros or ones from a place on, as a sector that was never written, and more bytes behind the end."""
    unseen = meaningless(kind, content)
    for start in starts:
        for filler in (b"\0", b"\xff"):
            changed = content[:start] + filler * (len(content) - start)
            differs = {place for place, byte in enumerate(changed) if byte != content[place]}
            yield Damage("filled", f"{filler!r} from {start}", changed, differs <= unseen)
    yield Damage("longer", "one byte more", content + b"\0")
    yield Damage("longer", "twice", content + content)


def swaps(root: Path, kind: str, pattern: str) -> Iterator[Damage]:
    """The contents of other files of the store."""
    own = file_of(root, kind)
    for path in sorted(root.rglob(pattern)):
        if path.is_file() and path != own and path.read_bytes() != own.read_bytes():
            yield Damage("swapped", f"the content of {path.relative_to(root)}", path.read_bytes())


def damages_of(root: Path, kind: str, step: int) -> list[Damage]:
    """Every so manieth byte of a file flipped, and the other damage; the less the closer the steps."""
    content = file_of(root, kind).read_bytes()
    length, masks = len(content), (1, 0x80, 0xFF) if step == 1 else (0x55,)
    return [
        *flips(kind, content, range(step // 3, length, step), masks),
        *cuts(kind, content, sorted({0, 1, 8, length - 1, *range(step, length, 2 * step)})),
        *fills(kind, content, range(0, length, 4 * step)),
        *swaps(root, kind, f"*{file_of(root, kind).suffix}" if step > 11 else "*"),
    ]


# The process that looks


def look(pipe: Connection, root: str, kind: str, damages: list[Damage], everything: bool) -> None:
    """Do damage after damage to a file, tell which one is next, and look at the store in every way; then tell how
    many were of each way, and of each outcome.

    ``everything``: by compiled kernels, which do not compare indexes with lengths, and with plans of repairs.
    """
    os.environ["FASTK_KERNELS"] = "lazy" if everything else "never"
    fastk.warmup()
    limit_memory()
    file = file_of(Path(root), kind)
    original = file.read_bytes()
    found: Counter[str] = Counter()
    for damage in damages:
        pipe.send(damage.described)
        file.write_bytes(damage.content)
        noticed = refusals(root)
        verdicts = verdicts_of(root)
        severities = {str(each.severity) for each in verdicts}
        if not damage.may_be_harmless:
            assert verdicts, f"no verdict: {damage.described}"
            assert kind in SIDECARS or "damage" in severities, f"no damage: {damage.described}: {verdicts}"
        assert not noticed or "damage" in severities, f"{damage.described}: reads refused, scrub found {verdicts}"
        if everything:
            plan_repairs(root)
        found.update([damage.way, "refused" if noticed else "read right" if verdicts else "the same"])
    file.write_bytes(original)
    pipe.send(dict(found))


def limit_memory() -> None:
    status = Path("/proc/self/status")
    if status.exists():  # only Linux tells what the process has, and heeds the limit
        (size,) = (int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmSize"))
        resource.setrlimit(resource.RLIMIT_AS, ((size << 10) + MOST_MEMORY,) * 2)


def refusals(root: str, expected: dict[tuple[str, str, str], Columns] | None = None) -> int:
    """Read everything in every way; how many reads were refused. Wrong rows and other errors are failures."""
    refused = 0
    for key, columns in (expected or EXPECTED).items():
        for reads in (list(reads_of(columns)), list(reads_of(columns))[::-1]):
            refused += _refused(root, key, reads)
    return refused


def _refused(root: str, key: tuple[str, str, str], reads: list[Callable[[Any], None]]) -> int:
    refused = 0
    try:
        store = fastk.open(root, "r")
    except (fastk.FastKError, OSError):
        return 1
    with store:
        for read in reads:
            try:
                read(store.series(key))
            except (fastk.FastKError, OSError):
                refused += 1
    return refused


def reads_of(expected: Columns) -> Iterator[Callable[[Any], None]]:
    ts, value = expected["ts"], expected["value"]
    for name, column in expected.items():
        yield lambda series, name=name, column=column: equal(series.range().column(name), column)
        yield lambda series, name=name, column=column: equal(series.latest(9).column(name), column[-9:])
    yield lambda series: equal([series.at(int(each)).ts for each in ts], ts)
    yield lambda series: equal(series.at_many(ts[::2]).rows.value, value[::2])
    middle = int(np.median(value))
    for plan in ("scan", "zones", "index"):
        yield lambda series, plan=plan: equal(
            series.where("value", fastk.Gt(middle), plan=plan).rows.ts, ts[value > middle]
        )
    yield lambda series: list(series.zone_map("value"))  # these two only must not do harm: they show hints as hints
    yield lambda series: list(series.value_index("value"))
    yield lambda series: equal(len(series), len(ts))


def equal(found: Any, expected: Any) -> None:
    np.testing.assert_array_equal(found, expected)


def verdicts_of(root: str) -> list[Any]:
    try:
        return [each for report in scrub(Disk(), root, verbose=False) for each in report.validation.verdicts]
    except fastk.UnsupportedVersion as error:
        return [error]


def plan_repairs(root: str) -> None:
    """What is planned does not matter here, only that it can be."""
    for plan in (validate, partial(repair, dry_run=True), partial(rebuild_manifests, dry_run=True)):
        with suppress(fastk.FastKError, OSError):
            plan(Disk(), root)
