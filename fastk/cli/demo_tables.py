"""The tables that the demo shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table

from fastk import find_scale
from fastk.cli.admin_tables import TABLE_HEIGHT, TABLE_WIDTH
from fastk.cli.demo_data import FIELDS, PRICES, time_texts
from fastk.cli.demo_measure import feature_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from fastk import FastKStore
    from fastk.cli.demo_data import Bars
    from fastk.cli.demo_measure import Speeds, Verified, Written
    from fastk.cli.demo_queries import Asked

TEXT_COLUMNS = ("name", "bars", "what", "how", "condition", "found by")
TEXT_WIDTH = 80
FEW_ROWS = 1_000  # in a chunk: below this, the cost of a file shows in every rate


def open_console() -> Console:
    """A console that shows names and paths as they are."""
    return Console(width=TABLE_WIDTH, height=TABLE_HEIGHT, markup=False, highlight=False, emoji=False)


def show_stored(console: Console, every: Sequence[Bars], stats: Any, disk_bytes: int) -> None:
    """What lies in the store now, and what had to be assumed about it."""
    names = ("bars", "rows", "first", "last", "gaps", "decimals")
    _show_series(console, "Stored", names, ((bars, _stored_line(bars)) for bars in every))
    _say(
        console,
        f"{stats.series_count} series ({stats.kline_series_count} of bars, {stats.scalar_series_count} of moving "
        f"averages), {stats.record_count:,} rows, {stats.chunk_count:,} chunks, {disk_bytes:,} bytes on disk.",
    )
    for note in dict.fromkeys(note for bars in every for note in bars.notes):
        _say(console, f"Note: {note}.")
    console.print()


def _stored_line(bars: Bars) -> tuple[str, ...]:
    first, last = time_texts((bars.ts[0], bars.ts[-1]))
    decimals = f"{_places(bars.price_scale)}, volume {_places(bars.volume_scale)}"
    return bars.timeframe, f"{len(bars):,}", first, last, f"{bars.gap_count:,}", decimals


def show_speeds(console: Console, written: Written, speeds: Speeds, verified: Verified) -> None:
    """How fast: one line for each thing done."""
    _show(console, "How fast", ("what", "figure", "how"), _speed_lines(written, speeds, verified))
    _say(
        console,
        "What was read back equals what was written, value by value. The reads are warm: the files were just written "
        "and are in memory. After a restart of the machine, first touches wait for the disk.",
    )
    average = written.rows // written.chunks
    if average < FEW_ROWS:
        _say(
            console,
            f"The chunks are small here, {average} rows on average, so that files outweigh bytes: longer series, such "
            f"as minute bars (--csv), show the rates of write, scan and verify.",
        )
    console.print()


def _speed_lines(written: Written, speeds: Speeds, verified: Verified) -> Iterator[tuple[str, str, str]]:
    rows = f"{speeds.range_rows} rows"
    rate = f"{written.rows / written.seconds:,.0f} rows/s"
    yield "write", rate, f"{written.rows:,} rows, {written.commits} commits, all durable"
    yield "first read", _microseconds(speeds.first_read), f"{rows}, mapped and verified"
    yield "range", _microseconds(speeds.range_read), f"{rows}, close taken, median"
    yield "latest", _microseconds(speeds.latest_read), f"{rows}, close taken, median"
    yield "point", _microseconds(speeds.point_read), "one row by its time, median"
    yield "full scan", _rate(speeds.scan_bytes, speeds.scan), f"all columns summed, {speeds.scan_bytes:,} bytes"
    verified_text = f"{verified.blocks:,} blocks, {verified.bytes:,} bytes, all intact"
    yield "verify", _rate(verified.bytes, verified.seconds), verified_text


def show_queries(console: Console, bars: Bars, asked: Sequence[Asked]) -> None:
    """Which rows have such values: one line for each condition."""
    lines = (
        (each.condition, f"{each.matches:,}", _microseconds(each.query), _microseconds(each.numpy), each.served)
        for each in asked
    )
    _show(console, f"Queries: {bars.symbol}", ("condition", "matches", "FastK", "numpy", "found by"), lines)
    _say(
        console,
        f"Medians, for the times of all matches among {len(bars):,} rows. numpy compares a column that was read before "
        f"and lies in memory; FastK goes through the files of the series, some microseconds each, and looks at few "
        f"rows. So numpy is ahead where files are short; zones and indexes pay as files grow.",
    )
    console.print()


def show_latest(console: Console, store: FastKStore, every: Sequence[Bars]) -> None:
    """The end of the series in natural units: several rows of one series, or one of each."""
    count = 5 if len(every) == 1 else 1
    lines = ((bars, line) for bars in every for line in _latest_lines(store, bars, count))
    _show_series(console, "Latest", ("time (UTC)", *FIELDS, "average"), lines)


def _latest_lines(store: FastKStore, bars: Bars, count: int) -> Iterator[tuple[str, ...]]:
    averages = store.scalar(feature_key(bars)).latest(count)
    rows = store.kline(bars.symbol, bars.timeframe).latest(len(averages))
    prices = _numbers(*(rows.decoded(name) for name in PRICES))
    others = *_numbers(rows.decoded("volume")), *_numbers(averages.decoded("value"))
    return zip(time_texts(rows.ts), *prices, *others, strict=True)


def _numbers(*columns: NDArray[Any]) -> list[list[str]]:
    """Columns as text, with as many decimals as one of their values needs."""
    places = _places(find_scale(*columns))
    return [[f"{value:,.{places}f}" for value in values] for values in columns]


def _show_series(
    console: Console, title: str, names: Sequence[str], lines: Iterable[tuple[Bars, tuple[str, ...]]]
) -> None:
    """A table with a line for each series, or of one series, which then stands in the title."""
    named = [(bars.symbol, *line) for bars, line in lines]
    if len({line[0] for line in named}) > 1:
        _show(console, title, ("name", *names), named)
    else:
        _show(console, f"{title}: {named[0][0]}", names, [line[1:] for line in named])


def _show(console: Console, title: str, names: Sequence[str], lines: Iterable[tuple[str, ...]]) -> None:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for name in names:
        table.add_column(name, justify="left" if name in TEXT_COLUMNS else "right")
    for line in lines:
        table.add_row(*line)
    console.print(table)


def _say(console: Console, text: str) -> None:
    console.print(text, width=TEXT_WIDTH)


def _places(scale: int) -> int:
    return len(str(scale)) - 1


def _microseconds(seconds: float) -> str:
    return f"{1e6 * seconds:,.1f} us"


def _rate(size: int, seconds: float) -> str:
    rate = size / seconds
    return f"{rate / 1e9:,.1f} GB/s" if rate >= 1e9 else f"{rate / 1e6:,.0f} MB/s"
