"""Reports as tables for people: by rich where it is installed, as aligned text elsewhere."""

from __future__ import annotations

import importlib.util
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from fastk.cli.failures import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from fastk.cli.admin_doctor import DoctorReport
    from fastk.cli.admin_upkeep import SeriesAdvice, SeriesMerge
    from fastk.engine.compaction import CompactionDecision
    from fastk.engine.results import GcReport
    from fastk.recovery.reports import (
        LostRows,
        ManifestValidation,
        OrphanArtifact,
        RecoveryReport,
        ScrubSeriesReport,
        SeriesOverlapExplanation,
    )
    from fastk.recovery.verdicts import Verdict
    from fastk.store.reports import MonthInventoryEntry, SeriesInventoryEntry

Row = tuple[Any, ...]
TABLE_WIDTH = 300  # tables keep their natural width: a narrow terminal may break their lines, but nothing is lost
TABLE_HEIGHT = 25


def show(command: str, report: Any) -> None:
    """Print the report of a command."""
    _SHOWN.get(command, show_fields)(report)


def show_table(names: Sequence[str], rows: Sequence[Row]) -> None:
    """Print rows under their names; numbers stand to the right."""
    if not rows:
        print("none")
        return
    right = [all(isinstance(row[place], (int, float)) for row in rows) for place in range(len(names))]
    texts = [[_text(value) for value in row] for row in rows]
    if importlib.util.find_spec("rich") is not None:
        _show_rich(names, texts, right)
    else:
        _show_plain(names, texts, right)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return f"{value:,}"
    return "" if value is None else printable(str(value))


def _show_rich(names: Sequence[str], texts: list[list[str]], right: list[bool]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_header=any(names))
    for name, is_right in zip(names, right, strict=True):
        table.add_column(name, justify="right" if is_right else "left")
    for row in texts:
        table.add_row(*row)
    # With a width alone, a terminal that calls itself dumb gets 80 columns.
    Console(width=TABLE_WIDTH, height=TABLE_HEIGHT, markup=False, highlight=False, emoji=False).print(table)


def _show_plain(names: Sequence[str], texts: list[list[str]], right: list[bool]) -> None:
    widths = [max(map(len, column)) for column in zip(names, *texts, strict=True)]
    heads = [[*names], ["-" * width for width in widths]] if any(names) else []
    for row in (*heads, *texts):
        cells = (
            cell.rjust(width) if is_right else cell.ljust(width)
            for cell, width, is_right in zip(row, widths, right, strict=True)
        )
        print("  ".join(cells).rstrip())


def show_fields(report: Any) -> None:
    """Print the fields of a report, one a line."""
    show_table(("", ""), [(each.name.replace("_", " "), getattr(report, each.name)) for each in fields(report)])


# Damage


def _show_verdicts(verdicts: Sequence[Verdict]) -> None:
    for each in sorted(verdicts, key=lambda each: each.severity):
        print(printable(f"{each.severity}: {each}"))
    if verdicts:
        print()


def _show_validation(found: list[ManifestValidation]) -> None:
    _show_verdicts([verdict for each in found for verdict in each.verdicts])
    names = ("series", "chunks", "rows", "damage", "retired", "orphans")
    show_table(names, [(*_validation_row(each), each.retired_files, each.orphan_files) for each in found])


def _validation_row(each: ManifestValidation) -> Row:
    return each.series_dir, each.chunk_count, each.record_count, len(each.damage)


def _show_scrub(found: list[ScrubSeriesReport]) -> None:
    _show_verdicts([verdict for each in found for verdict in each.validation.verdicts])
    names = ("series", "chunks", "rows", "damage", "sidecars", "bytes compared")
    rows = [(*_validation_row(each.validation), each.checked_sidecar_count, each.checked_bytes) for each in found]
    show_table(names, rows)
    size, seconds = sum(each.checked_bytes for each in found), sum(each.seconds for each in found)
    chunks = sum(each.checked_chunk_count for each in found)
    print(f"\n{chunks:,} chunks, {size:,} bytes compared in {seconds:.2f} s ({_rate(size, seconds)})")


def _rate(size: int, seconds: float) -> str:
    return f"{size / max(seconds, 1e-9) / 1e9:,.2f} GB/s"


def _show_recovery(report: RecoveryReport) -> None:
    if report.lost_rows:
        print("LOST ROWS" + (" (if this were carried out)" if report.dry_run else ""))
        show_table(("series", "from ts", "to ts", "rows", "why", "file"), list(map(_lost_row, report.lost_rows)))
        print()
    for title, paths in _actions(report):
        for path in paths:
            print(printable(f"{title}: {path}"))
    for line in report.unrepaired:
        print(printable(f"left as it is: {line}"))
    for line in report.doubts:
        print(printable(f"in doubt: {line}"))
    if report.changes_nothing and not report.unrepaired:
        print("nothing to do")
    elif report.dry_run:
        print("\nnothing was touched: this was a dry run")


def _lost_row(each: LostRows) -> Row:
    rows: Any = "unknown" if each.rows is None else f"up to {each.rows:,}" if each.at_most else each.rows
    return each.series, str(each.start_ts), str(each.end_ts), rows, each.reason, each.path


def _actions(report: RecoveryReport) -> list[tuple[str, list[str]]]:
    overlaps = [f"{each.winner_relative_path} ({each.reason})" for each in report.overlap_resolutions]
    return [
        ("store file restored", ["fastk.store"] if report.restored_store_file else []),
        ("temporary file removed", report.removed_temp_paths),
        ("manifest rebuilt", report.rebuilt_manifest_paths),
        ("chunk adopted", report.adopted_chunk_paths),
        ("overlap decided for", overlaps),
        ("sound rows salvaged from", report.salvaged_chunk_paths),
        ("moved to .fastk.quarantine", report.quarantined_paths),
        ("set aside as .orphan", report.orphaned_paths),
        ("sidecar made anew", report.rebuilt_sidecar_paths),
    ]


def _show_orphans(found: list[OrphanArtifact]) -> None:
    rows = [(each.series_dir, each.relative_path, each.kind, each.reason) for each in found]
    show_table(("series", "file", "kind", "why"), rows)


def _show_overlaps(found: list[SeriesOverlapExplanation]) -> None:
    rows = [
        (each.series_dir, each.resolution.month_key, path, path == each.resolution.winner_relative_path)
        for each in found
        for path in each.resolution.participants
    ]
    show_table(("series", "month", "chunk", "counts"), rows)


# What is stored


def _show_series(entries: list[SeriesInventoryEntry]) -> None:
    names = ("symbol", "category", "name", "record type", "timeframe ms", "chunks", "rows", "sidecars", "deltas")
    shown = [field.name for field in fields(entries[0]) if field.name != "problem"] if entries else []
    show_table(names, [tuple(getattr(each, name) for name in shown) for each in entries])
    for each in entries:
        if each.problem is not None:
            print(printable(f"unreadable: {each.problem}"))


def _show_months(entries: list[MonthInventoryEntry]) -> None:
    names = ("month", "chunks", "rows", "sealed", "deltas", "sidecars")
    show_table(names, [tuple(getattr(each, field.name) for field in fields(each)) for each in entries])


# Upkeep


def _show_merges(found: list[SeriesMerge]) -> None:
    names = ("symbol", "category", "name", "merged chunks", "chunks made", "commit")
    show_table(
        names,
        [(each.symbol, each.category, each.name, each.merged, each.chunks, each.sequence) for each in found],
    )
    _show_problems(each.problem for each in found)


def _show_advice(found: list[SeriesAdvice]) -> None:
    names = ("symbol", "category", "name", "partition", "chunks", "deltas", "delta bytes", "appends", "merge", "why")
    rows = [
        (each.symbol, each.category, each.name, *_decision_row(decision))
        for each in found
        for decision in each.decisions
    ]
    show_table(names, rows)
    _show_problems(each.problem for each in found)


def _decision_row(each: CompactionDecision) -> Row:
    counts = (each.total_chunks, each.delta_chunk_count, each.delta_total_bytes, each.append_count)
    return (each.month_key, *counts, each.should_merge, "; ".join(each.reasons))


def _show_gc(report: GcReport) -> None:
    for path in report.removed_paths:
        print(printable(f"{'would be removed' if report.dry_run else 'removed'}: {path}"))
    print(
        f"{report.removed_files:,} files, {report.removed_bytes:,} bytes; "
        f"{report.retired_files:,} retired files wait for the end of the grace period"
    )
    _show_problems(report.problems)
    if report.dry_run:
        print("\nnothing was touched: this was a dry run")


def _show_problems(problems: Iterable[str | None]) -> None:
    for problem in problems:
        if problem is not None:
            print(printable(f"left as it is: {problem}"))


def _show_doctor(report: DoctorReport) -> None:
    shown = [each for each in fields(report) if each.name != "warnings"]
    show_table(("", ""), [(each.name.replace("_", " "), getattr(report, each.name)) for each in shown])
    for warning in report.warnings:
        print(printable(f"warning: {warning}"))


_SHOWN: dict[str, Callable[[Any], None]] = {
    "validate": _show_validation,
    "scrub": _show_scrub,
    "repair": _show_recovery,
    "rebuild-manifest": _show_recovery,
    "merge": _show_merges,
    "compaction-advice": _show_advice,
    "gc": _show_gc,
    "list-orphans": _show_orphans,
    "explain-overlap": _show_overlaps,
    "list-series": _show_series,
    "inventory": _show_months,
    "doctor": _show_doctor,
}
