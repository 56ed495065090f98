"""Predicate queries of scalar series."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastk import ScalarPredicateExpr, ScalarPredicateQuery
from fastk.bridge.answers import Answer, Rows
from fastk.bridge.series_keys import named, scalar_key, unit_of, value_scale
from fastk.bridge.stored import find
from fastk.errors import InvalidInput
from fastk.query.scalars import check_predicate, matches_nothing
from fastk.schema.schema import SCALAR
from fastk.store.series import check_order

if TYPE_CHECKING:
    from fastk.bridge.options import Options
    from fastk.keys import ScalarSeriesKey
    from fastk.store.series import Series
    from fastk.store.store import FastKStore
    from fastk.times import TimeUnit

_STATS = (
    "chunks_considered",
    "chunks_scanned",
    "chunks_pruned",
    "blocks_considered",
    "blocks_scanned",
    "blocks_pruned",
    "rows_checked",
    "rows_matched",
    "index_used",
    "fallback_scan",
)
# The name of each predicate: its name in answers and in the library, the options that it needs, and what else it says.
_PREDICATES: dict[str, tuple[str, tuple[str, ...], dict[str, bool]]] = {
    "eq": ("Eq", ("value",), {}),
    "ne": ("Ne", ("value",), {}),
    "gt": ("Gt", ("value",), {}),
    "gte": ("Gte", ("value",), {}),
    "lt": ("Lt", ("value",), {}),
    "lte": ("Lte", ("value",), {}),
    "between": ("Between", ("min", "max"), {"inclusive": True}),
    "between-exclusive": ("Between", ("min", "max"), {"inclusive": False}),
    "in-set": ("InSet", ("values",), {}),
    "not-in-set": ("NotInSet", ("values",), {}),
}


def query_scalar_predicate(store: FastKStore, options: Options) -> Answer:
    """The timestamps whose values match, with the values if they are wanted."""
    key = scalar_key(options)
    name, arguments, fixed = _predicate(options)
    window = {"start_ts": options["start_ts"], "end_ts": options["end_ts"]}
    expression = getattr(ScalarPredicateExpr, name)(*arguments.values(), **fixed)
    series = _move_to_newest(store, key, window, expression, unit_of(options))
    query = ScalarPredicateQuery(key=key, **window, predicate=expression, return_values=options["return_values"])
    result = store.query_scalar_predicate(query)
    described = {name: {**arguments, **fixed} if fixed else next(iter(arguments.values()))}
    fields = {
        **named(key, options),
        **value_scale(series),
        **window,
        "predicate": described,
        "return_values": options["return_values"],
    }
    matches = Rows("matches", {"ts": result.matches.ts, "value": result.matches.value})
    return Answer(fields, matches, {"stats": _stats(result.stats)})


def _move_to_newest(
    store: FastKStore,
    key: ScalarSeriesKey,
    window: dict[str, int],
    expression: ScalarPredicateExpr,
    unit: TimeUnit,
) -> Series | None:
    """The series in its newest state, unless the query is refused or answered before the series is looked up."""
    store.series(key)  # refuses names
    check_order(window["start_ts"], window["end_ts"])
    if matches_nothing(check_predicate(expression)):
        return None
    return find(store, key, SCALAR, unit)  # that the series may be missing is the query's to say


def _predicate(options: Options) -> tuple[str, dict[str, Any], dict[str, bool]]:
    """The predicate's name and arguments; InvalidInput unless exactly the options that it needs are given."""
    asked = options["predicate"]
    if asked not in _PREDICATES:
        raise InvalidInput(f"there is no predicate {asked[:40]!r}; there are {', '.join(_PREDICATES)}")
    name, needed, fixed = _PREDICATES[asked]
    for option in ("value", "min", "max", "values"):
        if (options[option] is not None) != (option in needed):
            raise InvalidInput(f"predicate {asked} {'needs' if option in needed else 'takes no'} {option}")
    return name, {option: options[option] for option in needed}, fixed


def _stats(stats: Any) -> dict[str, Any]:
    found = {name: getattr(stats, name) for name in _STATS}
    index = found["index_used"]
    return {**found, "index_used": None if index is None else index.value}
