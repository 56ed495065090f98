"""The tables of the page: rows of plain text and numbers, which the template escapes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from fastk.inspect.words import bytes_text, count_text, health_words, size_rows, time_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fastk.inspect.facts import Gaps, SeriesFacts, StoreFacts

MOST_ROWS = 1_000


class Column(NamedTuple):
    """A heading. The style is a class of the page: name, text, number, or part for a bar of a value from 0 to 1."""

    name: str
    style: str = ""


class Table(NamedTuple):
    """Columns and rows, each cell text or, in a column of the style part, a number or None."""

    columns: list[Column]
    rows: list[tuple[Any, ...]]


def series_table(facts: StoreFacts) -> Table:
    """A line a series; at most a thousand."""
    columns = [
        Column("series", "name"),
        Column("health"),
        Column("rows", "number"),
        Column("present", "part"),
        Column("first"),
        Column("last"),
        Column("size", "number"),
        Column("chunks", "number"),
        Column("deltas", "number"),
        Column("zone maps", "number"),
        Column("indexes", "number"),
        Column("type"),
    ]
    return Table(columns, [_series_row(each) for each in facts.series[:MOST_ROWS]])


def _series_row(series: SeriesFacts) -> tuple[Any, ...]:
    return (
        series.key,
        health_words(series),
        f"{series.rows:,}",
        series.present,
        time_text(series.first_ts, series.time_unit),
        time_text(series.last_ts, series.time_unit),
        bytes_text(series.sizes.total),
        f"{series.chunks:,}",
        f"{series.states.get('active', 0):,}",
        f"{series.sidecars.get('zone_maps', 0):,}",
        f"{series.sidecars.get('value_indexes', 0):,}",
        series.record_type,
    )


def size_table(facts: StoreFacts) -> Table:
    """Bytes by category."""
    rows = size_rows(facts)
    total = max(1, sum(size for _, size in rows))
    columns = [Column("bytes of"), Column("bytes", "number"), Column("size", "number"), Column("part", "part")]
    return Table(columns, [(what, f"{size:,}", bytes_text(size), size / total) for what, size in rows])


def health_table(facts: StoreFacts) -> Table | None:
    """Damage, and what could not be read; None where all is sound."""
    rows = [(each.series or "", each.code.value, f"{each.path}: {each.detail}", _risk(each)) for each in facts.verdicts]
    rows += [
        (each.key, "unreadable", each.problem or "", "") for each in facts.series if each.problem and not each.damage
    ]
    columns = [Column("series", "name"), Column("verdict"), Column("what", "text"), Column("rows at risk", "number")]
    return Table(columns, rows[:MOST_ROWS]) if rows else None


def _risk(verdict: Any) -> str:
    return f"{verdict.rows_at_risk:,}" if verdict.rows_at_risk else ""


def gap_table(facts: StoreFacts) -> Table:
    """The largest holes of all series, largest first."""
    holes = [(series, hole) for series, gaps in _with_gaps(facts) for hole in gaps.largest]
    holes.sort(key=lambda each: each[1].count, reverse=True)
    columns = [Column("series", "name"), Column("from"), Column("to"), Column("missing rows", "number")]
    rows = [
        (each.key, time_text(hole.start_ts, each.time_unit), time_text(hole.end_ts, each.time_unit), f"{hole.count:,}")
        for each, hole in holes[:MOST_HOLES]
    ]
    return Table(columns, rows)


MOST_HOLES = 100


def _with_gaps(facts: StoreFacts) -> Iterable[tuple[SeriesFacts, Gaps]]:
    return ((each, each.gaps) for each in facts.series if each.gaps is not None)


def gap_words(facts: StoreFacts) -> str:
    """What is missing, in a sentence or two."""
    looked = list(_with_gaps(facts))
    if not looked:
        return "No series has a timeframe, so that nothing says which rows to expect."
    missing = sum(gaps.missing for _, gaps in looked)
    expected = sum(gaps.expected for _, gaps in looked)
    holes = sum(gaps.holes for _, gaps in looked)
    if not missing:
        return f"All {expected:,} rows that the timeframes ask for are there, in {_series(len(looked))}."
    words = f"{missing:,} of {expected:,} expected rows are missing, in {count_text(holes, 'gap')}"
    return f"{words} of {_series(sum(gaps.holes > 0 for _, gaps in looked))}. The largest:"


def _series(count: int) -> str:
    return count_text(count, "series", "series")


def pruning_table(facts: StoreFacts) -> Table:
    """What zones spare, where they spare least first."""
    found = [(series, each) for series in facts.series for each in series.pruning]
    found.sort(key=lambda each: each[1].looked_at, reverse=True)
    columns = [
        Column("series", "name"),
        Column("column"),
        Column("zones", "number"),
        Column("mean width", "part"),
        Column("looks at", "part"),
    ]
    rows = [(series.key, each.column, f"{each.zones:,}", each.mean_width, each.looked_at) for series, each in found]
    return Table(columns, rows[:MOST_ROWS])
