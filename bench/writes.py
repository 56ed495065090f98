"""The workloads that write and open. Every figure is of durable writes: what was put survives a power cut."""

from __future__ import annotations

import glob
import itertools
import os
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

import fastk
from bench.data import (
    CLOSE,
    MINUTE,
    NAMES,
    TIMEFRAME,
    Columns,
    Market,
    RawSeries,
    put_all,
    register,
    save_all,
    sync_folder,
)
from bench.measure import LOADED, Workload

APPENDED = 64
HOUR_ROWS = 60
APPEND = "append 64 rows, durable"
FEW, MANY = 10, 10_000
HOURLY = ("SYM0USDT", "kline", TIMEFRAME)

Build = Callable[[Market, int], Workload]


class FreshFolder:
    """Gives an empty folder each time and removes the one before; the disk's queue is empty when it returns."""

    def __init__(self, parent: str, name: str) -> None:
        self._path = os.path.join(parent, name)

    def __call__(self, batch: Any = None) -> str:
        shutil.rmtree(self._path, ignore_errors=True)
        os.makedirs(self._path)
        os.sync()
        return self._path


def bars_from(start: int, count: int) -> Columns:
    """So many consecutive bars from a ts on."""
    ts = start + MINUTE * np.arange(count, dtype=np.int64)
    return {name: ts if name == "ts" else ts % 1_000_003 for name in NAMES}


# All klines at once


def initial_write(market: Market, rounds: int) -> Workload:
    """All bars of all symbols into series that are registered, beside one synced .npy file a column."""
    fresh_store, fresh_raw = FreshFolder(market.folder, "new-store"), FreshFolder(market.folder, "new-raw")

    def registered_store(batch: Any) -> fastk.FastKStore:
        store = fastk.open(fresh_store())
        register(store, market.symbols)
        os.sync()
        return store

    def fastk_write(store: fastk.FastKStore) -> fastk.FastKStore:
        put_all(store, market.columns)
        return store

    def raw_write(root: str) -> str:
        save_all(root, market.columns)
        return root

    return Workload(
        "initial write, durable",
        fastk_write,
        raw_write,
        range(rounds),
        prepare_fastk=registered_store,
        prepare_baseline=fresh_raw,
        same=assert_same_content,
    )


def initial_write_with_registration(market: Market, rounds: int) -> Workload:
    """The same from an empty folder: the store and its series are created too."""
    plain = initial_write(market, rounds)
    fresh = FreshFolder(market.folder, "new-store")

    def fastk_write(root: str) -> fastk.FastKStore:
        store = fastk.open(root)
        register(store, market.symbols)
        put_all(store, market.columns)
        return store

    return Workload(
        "initial write with registration",
        fastk_write,
        plain.baseline,
        plain.batches,
        prepare_fastk=fresh,
        prepare_baseline=plain.prepare_baseline,
        same=assert_same_content,
    )


def assert_same_content(store: fastk.FastKStore, root: str) -> None:
    """A store and a folder of .npy files hold the same bars."""
    for symbol in os.listdir(root):
        rows, raw = store.kline(symbol, TIMEFRAME).range(), RawSeries.load(os.path.join(root, symbol))
        assert all(np.array_equal(rows[name], column) for name, column in zip(NAMES, raw.columns, strict=True))


def registration(market: Market, rounds: int) -> Workload:
    """One more series in a store."""
    store = fastk.open(FreshFolder(market.folder, "registered")()).init()
    numbers = itertools.count()

    def fastk_register(batch: Any) -> Any:
        return store.register_kline_series(f"SYM{next(numbers)}USDT", TIMEFRAME, MINUTE)

    return Workload("registration of a series, durable", fastk_register, None, range(rounds))


# Appends


class HourlySeries:
    """A series of so many chunks, one an hour, that grows at its end."""

    def __init__(self, market: Market, chunks: int, name: str) -> None:
        self.root = os.path.join(market.folder, f"{name}-{chunks}")
        self.rows = chunks * HOUR_ROWS
        self.start = int(np.datetime64("2020-01-01", "ms").astype(np.int64))
        if not os.path.exists(self.root):
            with fastk.open(self.root) as store:
                series = store.register_series(HOURLY, fastk.KLINE, timeframe_ms=MINUTE, partition="hour")
                series.put(bars_from(self.start, self.rows))
            os.sync()

    @property
    def last_hour(self) -> tuple[int, int]:
        """First and last ts of the last chunk."""
        end = self.start + MINUTE * (self.rows - 1)
        return end - MINUTE * (HOUR_ROWS - 1), end


class Appender:
    """Puts the next bars behind the last ones of a series at each call, unmerged unless it ``merges``."""

    def __init__(self, series: Any, start: int, rows: int, *, merges: bool = False) -> None:
        self._series = series
        self._merges = merges
        self._next = start
        self._rows = rows

    def bars(self, batch: Any = None) -> Columns:
        """The next bars; ready before the clock starts."""
        bars = bars_from(self._next, self._rows)
        self._next += MINUTE * self._rows
        return bars

    def put(self, bars: Columns) -> int:
        """Put them; gives how many were accepted."""
        put = self._series.put if self._merges else self._series.append
        accepted: int = put(bars).accepted
        return accepted


def monthly_appender(market: Market, name: str, *, merges: bool = False, **options: Any) -> tuple[Appender, str]:
    """An appender to a kline series of one month, registered with ``options``, and the folder of the series."""
    root = FreshFolder(market.folder, name)()
    store = fastk.open(root)
    series = store.register_kline_series("SYM0USDT", TIMEFRAME, MINUTE, **options)
    start = int(np.datetime64("2024-01-01", "ms").astype(np.int64))
    series.put(bars_from(start, market.rows_per_month // 2))
    appender = Appender(series, start + MINUTE * (market.rows_per_month // 2), APPENDED, merges=merges)
    appender.put(appender.bars())
    return appender, os.path.join(root, "series", "SYM0USDT", "kline", TIMEFRAME)


class BareSyncs:
    """The effects of a commit without the commit: the same files, bytes and syncs; sidecars need none."""

    def __init__(self, folder: str, chunk: bytes, manifest: bytes, sidecars: Sequence[bytes] = ()) -> None:
        self._folder = folder
        self._chunks = os.path.join(folder, "chunks")
        os.makedirs(self._chunks)
        self._chunk, self._manifest, self._sidecars = chunk, manifest, sidecars
        self._numbers = itertools.count()

    def __call__(self, batch: Any = None) -> int:
        temporary = os.path.join(self._folder, "series.meta.tmp")
        path = os.path.join(self._chunks, f"{next(self._numbers)}.chunk")
        for place, sidecar in enumerate(self._sidecars):
            os.close(create(f"{path}.{place}", sidecar))
        self.sync((create(path, self._chunk), create(temporary, self._manifest)), self._chunks)
        os.replace(temporary, os.path.join(self._folder, "series.meta"))
        sync_folder(self._folder)
        return APPENDED

    def sync(self, files: Sequence[int], folder: str) -> None:
        """Sync open files and their folder, one after the other, and close them."""
        for descriptor in files:
            os.fsync(descriptor)
            os.close(descriptor)
        sync_folder(folder)


def create(path: str, data: bytes) -> int:
    """Write a new file, and give its descriptor."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    os.write(descriptor, data)
    return descriptor


def read_bytes(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def append_beside_syncs(name: str, market: Market, rounds: int, **options: Any) -> Workload:
    """A durable append of 64 rows beside the bare syncs of the same pattern."""
    appender, folder = monthly_appender(market, "appended", **options)
    smallest = min(glob.glob(os.path.join(folder, "chunks", "*.chunk")), key=os.path.getsize)
    syncs = BareSyncs(
        FreshFolder(market.folder, "syncs")(),
        read_bytes(smallest),
        read_bytes(os.path.join(folder, "series.meta")),
        [read_bytes(path) for path in glob.glob(f"{smallest}.*")],
    )
    return Workload(
        name,
        appender.put,
        syncs,
        range(rounds),
        baseline_name="bare syncs",
        prepare_fastk=appender.bars,
    )


class RawAppender:
    """Appends in place to .npy files: bytes at the end, then the header's count of rows; a crash may tear it."""

    def __init__(self, folder: str, bars: Columns) -> None:
        save_all(folder, {"SYM0USDT": bars})
        self._paths = {name: os.path.join(folder, "SYM0USDT", f"{name}.npy") for name in NAMES}
        self._rows = len(bars["ts"])

    def __call__(self, bars: Columns) -> int:
        self._rows += len(bars["ts"])
        header = {"descr": "<i8", "fortran_order": False, "shape": (self._rows,)}
        for name, path in self._paths.items():
            with open(path, "r+b") as file:
                file.seek(0, os.SEEK_END)
                file.write(bars[name].tobytes())
                file.seek(0)
                np.lib.format.write_array_header_1_0(file, header)
                file.flush()
                os.fsync(file.fileno())
        return len(bars["ts"])


def append_beside_raw(market: Market, rounds: int) -> Workload:
    """The same beside an append in place to six .npy files."""
    appender, _ = monthly_appender(market, "appended-beside-raw")
    raw_bars = Appender(None, 0, APPENDED)
    raw = RawAppender(FreshFolder(market.folder, "raw-appended")(), raw_bars.bars())
    return Workload(
        "append 64 rows, durable, beside raw npy in place",
        appender.put,
        raw,
        range(rounds),
        prepare_fastk=appender.bars,
        prepare_baseline=raw_bars.bars,
    )


def append_at_many_chunks(market: Market, rounds: int) -> Workload:
    """One chunk more where there are 10,000, beside one more where there are 10."""
    few, many = (hourly_appender(HourlySeries(market, chunks, "grown")) for chunks in (FEW, MANY))
    return Workload(
        "append at 10,000 chunks",
        many.put,
        few.put,
        range(rounds),
        baseline_name="at 10 chunks",
        prepare_fastk=many.bars,
        prepare_baseline=few.bars,
        modes=(LOADED,),
    )


def hourly_appender(hourly: HourlySeries) -> Appender:
    """An appender of whole hours, warm: the first append lists the folder once."""
    series = fastk.open(hourly.root).series(HOURLY)
    assert series.span
    appender = Appender(series, series.span[1] + MINUTE, HOUR_ROWS)
    appender.put(appender.bars())
    return appender


# Opening


def attach(chunks: int, market: Market, rounds: int) -> Workload:
    """Open a store and pin a series: which chunks there are is known afterwards."""
    hourly = HourlySeries(market, chunks, "opened")

    def fastk_attach(batch: Any) -> int:
        return len(fastk.open(hourly.root, "r").series(HOURLY))

    assert fastk_attach(None) == hourly.rows
    return Workload(f"attach, {chunks:,} chunks", fastk_attach, None, range(rounds))


def first_read(chunks: int, market: Market, rounds: int) -> Workload:
    """Open a store and sum the close of the last 60 rows, beside mapping six .npy files and the same."""
    hourly = HourlySeries(market, chunks, "opened")
    folder = os.path.join(market.folder, f"raw-hourly-{chunks}")
    if not os.path.exists(folder):
        save_all(folder, {"SYM0USDT": bars_from(hourly.start, hourly.rows)})

    def fastk_read(batch: Any) -> Any:
        return fastk.open(hourly.root, "r").series(HOURLY).range(*hourly.last_hour).close.sum()

    def raw_read(batch: Any) -> Any:
        return RawSeries.load(os.path.join(folder, "SYM0USDT")).range(*hourly.last_hour)[CLOSE].sum()

    return Workload(f"open and read 60 rows, {chunks:,} chunks", fastk_read, raw_read, range(rounds))


def first_touch(market: Market, rounds: int) -> Workload:
    """Open a store and read all columns of a whole series: every checksum is compared on the way."""
    symbol, folder = market.symbols[0], os.path.join(market.raw_root, market.symbols[0])
    assert market.store
    assert market.raw

    def fastk_read(batch: Any) -> list[Any]:
        rows = fastk.open(market.root, "r").kline(symbol, TIMEFRAME).range()
        return [sum(piece[name].sum() for piece in rows.segments) for name in NAMES]

    def raw_read(batch: Any) -> list[Any]:
        return [column.sum() for column in RawSeries.load(folder).columns]

    return Workload("open and read a full series, all columns", fastk_read, raw_read, range(rounds))


def attach_few(market: Market, rounds: int) -> Workload:
    return attach(FEW, market, rounds)


def attach_many(market: Market, rounds: int) -> Workload:
    return attach(MANY, market, rounds)


def first_read_few(market: Market, rounds: int) -> Workload:
    return first_read(FEW, market, rounds)


def first_read_many(market: Market, rounds: int) -> Workload:
    return first_read(MANY, market, rounds)


BULK_WRITES: dict[str, Build] = {
    "initial write, durable": initial_write,
    "initial write with registration": initial_write_with_registration,
}
SMALL_WRITES: dict[str, Build] = {
    APPEND: partial(append_beside_syncs, APPEND),
    "append 64 rows, durable, beside raw npy in place": append_beside_raw,
    "append at 10,000 chunks": append_at_many_chunks,
    "registration of a series, durable": registration,
}
OPENS: dict[str, Build] = {
    "attach, 10 chunks": attach_few,
    "attach, 10,000 chunks": attach_many,
    "open and read 60 rows, 10 chunks": first_read_few,
    "open and read 60 rows, 10,000 chunks": first_read_many,
    "open and read a full series, all columns": first_touch,
}
