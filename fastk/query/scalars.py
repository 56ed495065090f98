"""Queries of scalar series in the original's terms: the query, its matches, and what a series offers to queries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastk.errors import InvalidInput
from fastk.query.expressions import InSet, ScalarPredicate, ScalarPredicateExpr
from fastk.query.stats import ScalarPredicateQueryStats

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from fastk.engine.rows import Rows
    from fastk.keys import ScalarSeriesKey
    from fastk.times import TimeLike


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalarPredicateQuery:
    """Which values of a scalar series between two times satisfy a condition; both ends included, None is open."""

    key: ScalarSeriesKey
    start_ts: TimeLike | None = None
    end_ts: TimeLike | None = None
    predicate: ScalarPredicateExpr | ScalarPredicate
    return_values: bool = False


class ScalarPredicateMatch(NamedTuple):
    """One match; ``value`` is None unless values were asked for."""

    ts: int
    value: int | None


class ScalarPredicateMatches:
    """Matches in ascending order of ts: ``len``, arrays ``.ts`` and ``.value``, and one by one.

    ``rows`` are the rows of the series; None stands for none of a series that was not looked up.
    """

    __slots__ = ("_has_values", "_rows")

    def __init__(self, rows: Rows | None, *, has_values: bool) -> None:
        self._rows = rows
        self._has_values = has_values

    def _column(self, name: str) -> NDArray[Any]:
        return np.empty(0, np.int64) if self._rows is None else self._rows.column(name)

    def __len__(self) -> int:
        return 0 if self._rows is None else len(self._rows)

    @property
    def ts(self) -> NDArray[np.int64]:
        """The times of the matches."""
        return self._column("ts")

    @property
    def value(self) -> NDArray[Any] | None:
        """The values of the matches; None unless they were asked for."""
        return self._column("value") if self._has_values else None

    def __getitem__(self, index: int) -> ScalarPredicateMatch:
        value = self.value
        return ScalarPredicateMatch(self.ts[index].item(), None if value is None else value[index].item())

    def __iter__(self) -> Iterator[ScalarPredicateMatch]:
        value = self.value
        values = [None] * len(self) if value is None else value.tolist()
        return map(ScalarPredicateMatch, self.ts.tolist(), values)

    def __repr__(self) -> str:
        return f"<{len(self):,} matches, {'with' if self._has_values else 'without'} values>"


@dataclass(frozen=True, slots=True)
class ScalarPredicateQueryResult:
    """The matches of a query, and what finding them took."""

    matches: ScalarPredicateMatches
    stats: ScalarPredicateQueryStats


@dataclass(frozen=True, slots=True)
class ScalarQueryCapabilities:
    """How a series can be queried: by comparing always, and by sidecars where every chunk should have them."""

    raw_scan: bool
    has_zmap: bool
    has_vix: bool


@dataclass(frozen=True, slots=True)
class ZoneMapEntry:
    """One block of a zone map: rows ``first_row`` to ``last_row`` of its chunk (both included), their times and values.

    ``min`` and ``max`` leave NaN out, and are NaN in a block of nothing else.
    """

    first_row: int
    last_row: int
    start_ts: int
    end_ts: int
    min: Any
    max: Any


@dataclass(frozen=True, slots=True)
class ValueIndexEntry:
    """One entry of a value index."""

    value: Any
    ts: int


def check_query(query: object) -> ScalarPredicateQuery:
    """A query; InvalidInput for anything else."""
    if not isinstance(query, ScalarPredicateQuery):
        raise InvalidInput(f"query={query!r} is no ScalarPredicateQuery(key=, start_ts=, end_ts=, predicate=)")
    return query


def check_predicate(predicate: object) -> ScalarPredicateExpr:
    """A condition that does not contradict itself, in the newer form; InvalidInput for anything else."""
    if isinstance(predicate, ScalarPredicate):
        predicate = predicate.expression()
    if not isinstance(predicate, ScalarPredicateExpr):
        raise InvalidInput(f"{predicate!r} is no condition: give ScalarPredicateExpr.Gt(5), .Between(1, 9), ...")
    predicate.check()
    return predicate


def matches_nothing(predicate: ScalarPredicateExpr) -> bool:
    """Whether no value can match, whatever the series."""
    return isinstance(predicate, InSet) and not predicate.values
