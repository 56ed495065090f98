"""The facts of a store: one series after the other, so that damage of one hides no other."""

from __future__ import annotations

import os.path
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from fastk.errors import FastKError, NotFound
from fastk.format import names
from fastk.format.binary import VERSION
from fastk.inspect.facts import SeriesFacts, StoreFacts
from fastk.inspect.one_series import series_facts
from fastk.inspect.sizes import folder_bytes, series_sizes
from fastk.io.disk import Disk
from fastk.keys import matches
from fastk.recovery.survey import survey
from fastk.recovery.validate import look_at
from fastk.recovery.verdicts import Code, Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fastk.recovery.places import Place
    from fastk.recovery.survey import Survey
    from fastk.store.store import FastKStore

    Progress = Callable[[int, int], None]


def inspect_store(
    store: FastKStore,
    series: str | Sequence[str] = (),
    *,
    gaps: bool = False,
    pruning: bool = True,
    scrub: bool = False,
    progress: Progress | None = None,
) -> StoreFacts:
    """Find out what is in a store: rows, coverage, sizes, chunk states, what its zones spare, and its health.

    ``series`` are shell patterns for ``symbol/category/name`` (all, if none is given); NotFound if none matches.
    ``gaps`` looks for missing rows of the series with a timeframe, which reads their times. ``scrub`` reads every byte
    and compares every checksum. ``progress(done, total)`` counts series. Damage is reported and never raised.

    Series are seen as the store object sees them: ``store.refresh()`` moves them to what was committed since.

    Cost: about 50 us a file, and what ``gaps`` and ``scrub`` read. Memory: 64 bytes a chunk, and the answer.
    """
    begin = time.perf_counter()
    disk, found = Disk(), survey(Disk(), store.root)
    chosen = _chosen(found, [series] if isinstance(series, str) else list(series))
    facts = []
    for done, place in enumerate(chosen):
        if progress is not None:
            progress(done, len(chosen))
        one = _one(disk, place, store, gaps=gaps, pruning=pruning, scrub=scrub)
        facts += [] if one is None else [one]
    if progress is not None:
        progress(len(chosen), len(chosen))
    damage = tuple(each for each in found.verdicts if each.severity is Severity.DAMAGE)
    return StoreFacts(
        store.root,
        VERSION,
        len(found.places),
        tuple(facts),
        scrub,
        damage,
        folder_bytes(disk, os.path.join(store.root, names.DROPPED_FOLDER)),
        folder_bytes(disk, os.path.join(store.root, names.QUARANTINE_FOLDER)),
        time.perf_counter() - begin,
    )


def _chosen(found: Survey, patterns: list[str]) -> list[Place]:
    """The series that match, sorted by symbol, category and name."""
    places = [
        place for place in found.places if not patterns or any(matches(str(place.key), pattern) for pattern in patterns)
    ]
    if patterns and not places:
        raise NotFound(f"no series matches {' or '.join(map(repr, patterns))}; patterns are for symbol/category/name")
    return sorted(places, key=lambda place: place.key)


def _one(disk: Disk, place: Place, store: FastKStore, *, gaps: bool, pruning: bool, scrub: bool) -> SeriesFacts | None:
    """One series; None for a folder in which nothing was ever written. Whatever goes wrong stays with it."""
    try:
        report = look_at(disk, place, thorough=scrub)
        if any(verdict.code is Code.UNREGISTERED for verdict in report.validation.verdicts):
            return None
        facts = series_facts(disk, place, store.series(place.key), gaps=gaps, pruning=pruning)
        validation = report.validation
        notes = len(validation.verdicts) - len(validation.damage)
        return replace(facts, damage=tuple(validation.damage), notes=notes)
    except (FastKError, OSError) as error:
        return SeriesFacts(*place.key, sizes=series_sizes(disk, place, None), problem=str(error))
