"""What `fastk_admin merge`, `compaction-advice` and `gc` do. One series that fails hides no other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fastk.cli.admin_commands import Answer, key_of, open_for_reading
from fastk.cli.admin_progress import counting
from fastk.cli.failures import one_line, printable
from fastk.errors import FastKError, InvalidInput, LockTimeout, StoreClosed
from fastk.io.disk import Disk, SyncFailed
from fastk.keys import SeriesKey
from fastk.recovery.survey import survey
from fastk.store.store import FastKStore

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from fastk.engine.compaction import CompactionDecision

_OF_THE_STORE = (LockTimeout, StoreClosed, SyncFailed)


@dataclass
class SeriesMerge:
    """What became of one series: ``merged`` chunks are ``chunks`` now."""

    symbol: str
    category: str
    name: str
    merged: int = 0
    chunks: int = 0
    sequence: int = 0
    problem: str | None = None


@dataclass
class SeriesAdvice:
    """The advice for each partition of one series."""

    symbol: str
    category: str
    name: str
    decisions: list[CompactionDecision] = field(default_factory=list)
    problem: str | None = None


def merge(options: argparse.Namespace) -> Answer:
    """Merge the partitions of one series, or of all."""
    key, partition = _key_or_none(options), options.partition
    if key is None and partition is not None:
        raise InvalidInput("--partition names a partition of one series: name that as well")
    with _open_for_writing(options.root) as store, counting("merging series") as tell:

        def merge_one(key: SeriesKey) -> SeriesMerge:
            done = store.merge_series(key, partition)
            return SeriesMerge(*key, done.merged, done.chunks, done.sequence)

        return _answer(_each(store, key, merge_one, SeriesMerge, tell))


def advise(options: argparse.Namespace) -> Answer:
    """What merging is advised, of one series or of all."""
    key = _key_or_none(options)
    with open_for_reading(options.root) as store:

        def advise_one(key: SeriesKey) -> SeriesAdvice:
            return SeriesAdvice(*key, store.compaction_advice(key))

        return _answer(_each(store, key, advise_one, SeriesAdvice))


def collect(options: argparse.Namespace) -> Answer:
    """Remove what nobody needs any more."""
    with open_for_reading(options.root) if options.dry_run else _open_for_writing(options.root) as store:
        report = store.gc(dry_run=options.dry_run, grace_seconds=options.grace_seconds)
    return Answer(report, _problem(report.problems))


def _key_or_none(options: argparse.Namespace) -> SeriesKey | None:
    words = (options.symbol, options.category, options.name, options.timeframe)
    if words == (None,) * 4:
        return None
    if options.symbol is None:
        raise InvalidInput(f"{options.command} of one series takes --symbol as well")
    return key_of(options)


def _open_for_writing(root: str) -> FastKStore:
    """The store, which must exist."""
    survey(Disk(), root)
    return FastKStore.open(root)


def _each(
    store: FastKStore,
    key: SeriesKey | None,
    work: Callable[[SeriesKey], Any],
    report: Any,
    tell: Callable[[int, int], None] | None = None,
) -> Iterator[Any]:
    """The reports on one series, or on all; one that fails is reported with its problem, unless all would.

    ``tell`` hears how many are done, and of how many.
    """
    if key is not None:
        yield work(key)
        return
    entries = store.list_series()
    for number, entry in enumerate(entries):
        if tell is not None:
            tell(number, len(entries))
        each = SeriesKey(entry.symbol, entry.category, entry.name)
        if entry.problem is not None:
            yield report(*each, problem=printable(entry.problem))
            continue
        try:
            yield work(each)
        except _OF_THE_STORE:
            raise
        except (FastKError, OSError) as error:
            yield report(*each, problem=one_line(error))


def _answer(reports: Iterator[Any]) -> Answer:
    found = list(reports)
    return Answer(found, _problem([each.problem for each in found if each.problem is not None]))


def _problem(problems: list[str]) -> str | None:
    if not problems:
        return None
    more = f" (and {len(problems) - 1:,} more)" if len(problems) > 1 else ""
    return printable(f"{problems[0]}{more}")
