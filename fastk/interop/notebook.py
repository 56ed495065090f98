"""What notebooks show: small tables that inherit the colours of the page, light or dark. All text is escaped."""

from __future__ import annotations

from html import escape
from itertools import islice
from typing import TYPE_CHECKING, Any

from fastk.errors import FastKError
from fastk.times import format_ts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fastk.engine.rows import Rows
    from fastk.matrix.matrix import FeatureMatrix
    from fastk.schema.settings import SeriesSettings

_ENDS = 5
_MOST_COLUMNS = 12
_MOST_SERIES = 20
_LONGEST = 60
_GREY = "rgba(128,128,128,.45)"
_CELL = "padding:.15em .7em;text-align:right;border:0;background:none;color:inherit"


def rows_html(rows: Rows) -> str:
    """The first and the last rows, in natural units."""
    try:
        return _rows_html(rows)
    except FastKError:  # damaged, expired or closed: a representation must not fail
        return f"<pre>{escape(repr(rows))}</pre>"


def _rows_html(rows: Rows) -> str:
    names = rows.schema.names[:_MOST_COLUMNS]
    heads = [_head(rows, name) for name in names]
    if len(rows) <= 2 * _ENDS + 1:
        lines = _lines(rows, names)
    else:
        lines = [*_lines(rows[:_ENDS], names), ["…"] * len(names), *_lines(rows[-_ENDS:], names)]
    return _table(repr(rows).strip("<>"), heads, lines, len(rows.schema.names) - len(names))


def _head(rows: Rows, name: str) -> tuple[str, str]:
    scale, schema = rows.settings.scale_of(name), rows.schema
    dtype = f"UTC, {rows.settings.time_unit}" if name == "ts" else schema.fields[schema.position(name)].dtype.name
    return name, dtype if scale == 1 else f"{dtype} / {scale:,}"


def _lines(rows: Rows, names: Sequence[str]) -> list[list[str]]:
    return [list(line) for line in zip(*(_texts(rows, name) for name in names), strict=True)]


def _texts(rows: Rows, name: str) -> list[str]:
    settings = rows.settings
    if name == "ts":
        return [format_ts(ts, settings.time_unit) for ts in rows[name].tolist()]
    scale = settings.scale_of(name)
    if scale == 1:
        return [str(value) for value in rows[name].tolist()]
    digits = len(str(scale)) - 1 if scale == 10 ** (len(str(scale)) - 1) else 6
    return [f"{value:.{digits}f}" for value in rows.decoded(name).tolist()]


def matrix_html(matrix: FeatureMatrix) -> str:
    """The first and the last rows of a matrix, and its first columns."""
    labels = matrix.labels[:_MOST_COLUMNS]
    heads = [("ts", f"UTC, {matrix.time_unit}"), *((str(label), matrix.values.dtype.name) for label in labels)]
    many = len(matrix) > 2 * _ENDS + 1
    shown = [*range(_ENDS), *range(len(matrix) - _ENDS, len(matrix))] if many else list(range(len(matrix)))
    lines = [
        [format_ts(int(matrix.ts[row]), matrix.time_unit), *map(_number, matrix.table[row, : len(labels)].tolist())]
        for row in shown
    ]
    if many:
        lines.insert(_ENDS, ["…"] * len(heads))
    return _table(repr(matrix).strip("<>"), heads, lines, len(matrix.labels) - len(labels))


def _number(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def series_html(title: str, rows: Rows | None) -> str:
    """What a series is, and all its rows by their first and last; None where it cannot be read."""
    facts = "" if rows is None else " · ".join(map(escape, _facts(rows.settings)))
    shown = "" if rows is None else rows_html(rows)
    return f'<div><b>{escape(title)}</b><br><small style="opacity:.8">{facts}</small></div>{shown}'


def _facts(settings: SeriesSettings) -> list[str]:
    timeframe = [f"every {settings.timeframe_ms:,} ms"] if settings.timeframe_ms else []
    scales = [f"{name} {scale:,}" for name, scale in settings.scales.items()]
    return [settings.schema.name, f"ts in {settings.time_unit}", *timeframe, *scales, f"a file a {settings.partition}"]


def store_html(title: str, series: int, entries: Iterable[Any]) -> str:
    """The first series of a store, by their entries in the inventory; ``series`` is how many it has."""
    heads = [(name, "") for name in ("symbol", "category", "name", "type", "rows", "chunks")]
    lines = [
        [
            *(entry.symbol, entry.category, entry.name, entry.record_type),
            *(f"{entry.record_count:,}", f"{entry.chunk_count:,}" if entry.problem is None else "unreadable"),
        ]
        for entry in islice(entries, _MOST_SERIES)
    ]
    more = f", of which these are the first {len(lines):,}" if len(lines) < series else ""
    return _table(f"{title}: {series:,} series{more}", heads, lines)


def _table(title: str, heads: Sequence[tuple[str, str]], lines: Iterable[Sequence[str]], hidden: int = 0) -> str:
    """A table under a title; ``heads`` are the columns' names and what they hold."""
    head = "".join(
        f'<th style="{_CELL};border-bottom:1px solid {_GREY}">{escape(_short(name))}'
        f'<br><small style="font-weight:normal;opacity:.7">{escape(_short(kind))}</small></th>'
        for name, kind in heads
    )
    body = "".join(
        "<tr>" + "".join(f'<td style="{_CELL}">{escape(_short(cell))}</td>' for cell in line) + "</tr>"
        for line in lines
    )
    more = f'<small style="opacity:.7">and {hidden:,} more columns</small>' if hidden else ""
    return (
        f'<div style="overflow-x:auto"><small style="opacity:.8">{escape(title)}</small>'
        f'<table style="border-collapse:collapse;font-variant-numeric:tabular-nums">'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}</div>"
    )


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
