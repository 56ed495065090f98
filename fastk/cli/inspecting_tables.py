"""What `fastk inspect` shows on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastk.cli.admin_tables import show_table
from fastk.cli.failures import printable
from fastk.inspect.words import bytes_text, count_text, health_words, part_text, size_rows, time_text

if TYPE_CHECKING:
    from fastk.inspect.facts import SeriesFacts, StoreFacts

MOST_HOLES = 10


def show(facts: StoreFacts, *, in_detail: bool) -> None:
    """Print the tables; ``in_detail`` adds the partitions of each series."""
    print(printable(f"{facts.root}: {count_text(len(facts.series), 'series', 'series')} of {facts.series_count:,}"))
    print()
    _show_series(facts)
    _show_sizes(facts)
    _show_pruning(facts)
    if in_detail:
        _show_partitions(facts)
    _show_gaps(facts)
    _show_health(facts)


def _show_series(facts: StoreFacts) -> None:
    names = ("series", "type", "rows", "first", "last", "present", "chunks", "deltas", "size", "health")
    show_table(names, [_series_row(each) for each in facts.series])


def _series_row(series: SeriesFacts) -> tuple[object, ...]:
    return (
        series.key,
        series.record_type,
        series.rows,
        time_text(series.first_ts, series.time_unit),
        time_text(series.last_ts, series.time_unit),
        part_text(series.present),
        series.chunks,
        series.states.get("active", 0),
        bytes_text(series.sizes.total),
        health_words(series),
    )


def _show_sizes(facts: StoreFacts) -> None:
    print()
    show_table(("bytes of", "bytes", ""), [(what, size, bytes_text(size)) for what, size in size_rows(facts)])


def _show_pruning(facts: StoreFacts) -> None:
    rows = [
        (series.key, each.column, each.zones, part_text(each.mean_width), part_text(each.looked_at))
        for series in facts.series
        for each in series.pruning
    ]
    if rows:
        print("\nWhat zones spare: which part of the rows a query for 1% of the span of values looks at")
        show_table(("series", "column", "zones", "mean width", "looks at"), rows)


def _show_partitions(facts: StoreFacts) -> None:
    rows = [
        (series.key, each.key, each.rows, each.expected, each.chunks, bytes_text(each.bytes))
        for series in facts.series
        for each in series.partitions
    ]
    print()
    show_table(("series", "partition", "rows", "expected", "chunks", "size"), rows)


def _show_gaps(facts: StoreFacts) -> None:
    for series in facts.series:
        gaps = series.gaps
        if gaps is not None and gaps.holes:
            print()
            print(
                printable(
                    f"{series.key}: {gaps.missing:,} of {gaps.expected:,} rows are missing, "
                    f"in {count_text(gaps.holes, 'gap')}"
                )
            )
            unit = series.time_unit
            shown = gaps.largest[:MOST_HOLES]
            rows = [(time_text(each.start_ts, unit), time_text(each.end_ts, unit), each.count) for each in shown]
            show_table(("from", "to", "missing"), rows)
    looked = [series for series in facts.series if series.gaps is not None]
    if looked and not any(series.gaps and series.gaps.holes for series in looked):
        print("\nno gaps")


def _show_health(facts: StoreFacts) -> None:
    print()
    for verdict in facts.verdicts:
        print(printable(f"damage: {verdict}"))
    for series in facts.series:
        if series.problem and not series.damage:
            print(printable(f"unreadable: {series.key}: {series.problem}"))
    if facts.is_sound:
        print(f"sound, {'every checksum compared' if facts.scrubbed else 'by headers and tables (--scrub reads all)'}")
    notes = sum(series.notes for series in facts.series)
    if notes:
        print(f"{count_text(notes, 'note')}: see fastk_admin validate --verbose")
