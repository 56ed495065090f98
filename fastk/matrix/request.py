"""What a matrix is asked for, checked as far as it can be without the series; and the columns that it is made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from fastk.arrays import is_integer
from fastk.errors import InvalidInput
from fastk.keys import NAME_SEPARATOR, SeriesKey, as_series_key
from fastk.schema.settings import check_scale
from fastk.times import span_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastk.engine.snapshot import Snapshot
    from fastk.schema.settings import SeriesSettings
    from fastk.times import TimeUnit

    Scale = int | str | Mapping[Any, int] | Sequence[int] | None

Layout = Literal["TF", "FT", "TSF"]
LAYOUTS = ("TF", "FT", "TSF")
ALIGNMENTS = ("exact", "asof")
# The greatest distance of two int64.
FARTHEST = 2**64 - 1
RAW = "raw"


class MatrixLabel(NamedTuple):
    """Where a column of a matrix comes from: a series and one of its columns."""

    symbol: str
    category: str
    name: str
    column: str

    def __str__(self) -> str:
        return f"{self.symbol}/{self.category}/{self.name}:{self.column}"


@dataclass(frozen=True)
class Request:
    """The arguments of a matrix, as far as they decide what it holds. Small, and can be pickled."""

    keys: tuple[SeriesKey, ...]
    start: Any
    end: Any
    columns: Any
    scale: Scale
    grid: Any
    fill: Any
    align: str
    tolerance: Any
    dtype: np.dtype[Any]
    layout: str


class Source(NamedTuple):
    """One series of a matrix: which of its fields are taken, by what they are divided, and where they come to stand."""

    key: SeriesKey
    snapshot: Snapshot
    fields: list[int]
    divisors: list[int]
    first: int

    @property
    def labels(self) -> list[MatrixLabel]:
        """A label for each column taken."""
        names = self.snapshot.settings.schema.names
        return [MatrixLabel(*self.key, names[field]) for field in self.fields]


def keys_of(
    series: Iterable[Any] | None,
    symbols: Iterable[str] | None,
    features: Iterable[Any] | None,
    timeframe: str | None,
    category: str,
) -> tuple[SeriesKey, ...]:
    """The series asked for: listed, or each of some features of each of some symbols."""
    product = symbols is not None or features is not None
    if product == (series is not None):
        raise InvalidInput("give series=[...], or symbols=[...] and features=[...]")
    if series is not None:
        keys = [as_series_key(each) for each in _listed(series, "series")]
    elif symbols is None or features is None:
        raise InvalidInput("symbols=[...] and features=[...] belong together")
    else:
        names = [_feature_name(each, timeframe, category) for each in _listed(features, "features")]
        keys = [as_series_key((symbol, *name)) for symbol in _listed(symbols, "symbols") for name in names]
    if not keys:
        raise InvalidInput("a matrix needs one series or more")
    _refuse_repetition(keys)
    return tuple(keys)


def _listed(values: Any, what: str) -> list[Any]:
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise InvalidInput(f"{what} must be a list, not {values!r}")
    is_key = isinstance(values, tuple) and len(values) == 3 and all(isinstance(part, str) for part in values)
    if what == "series" and is_key:
        raise InvalidInput(f"series must be a list of keys, and {values!r} is one key: write [{values!r}]")
    return list(values)


def _feature_name(feature: Any, timeframe: str | None, category: str) -> tuple[str, str]:
    """Category and name of a series: as given, or of a scalar by its own name."""
    if isinstance(feature, tuple) and len(feature) == 2 and all(isinstance(part, str) for part in feature):
        return feature
    if isinstance(feature, str) and isinstance(timeframe, str):
        return category, f"{timeframe}{NAME_SEPARATOR}{feature}"
    raise InvalidInput(
        f"feature {feature!r}: give (category, name) of the series, or the name of a scalar and timeframe='1m'"
    )


def _refuse_repetition(keys: list[SeriesKey]) -> None:
    if len(set(keys)) < len(keys):
        twice = next(key for key in keys if keys.count(key) > 1)
        raise InvalidInput(f"{twice} is asked for twice; each column of a matrix has a label of its own")


def checked_layout(layout: object) -> str:
    """One of the layouts."""
    if layout not in LAYOUTS:
        raise InvalidInput(f"layout={layout!r} is unknown: give {', '.join(map(repr, LAYOUTS))}")
    return str(layout)


def checked_reach(align: object, tolerance: Any, unit: TimeUnit) -> int:
    """How far behind a grid ts a row may lie, in the series' unit, as a uint64; 0 for exact alignment."""
    if align not in ALIGNMENTS:
        raise InvalidInput(f"align={align!r} is unknown: give 'exact' or 'asof'")
    if align == "exact":
        if tolerance is not None:
            raise InvalidInput("tolerance= belongs to align='asof'")
        return 0
    reach = FARTHEST if tolerance is None else span_of(tolerance, unit, "tolerance")
    if reach < 0:
        raise InvalidInput(f"tolerance must be 0 or more, not {tolerance!r}")
    return min(reach, FARTHEST)


# Columns


def sources_of(request: Request, snapshots: Sequence[Snapshot]) -> list[Source]:
    """Which columns the matrix has, in order, and what they are divided by."""
    check_units([snapshot.settings for snapshot in snapshots])
    columns = _of_each(request.columns, request.keys, "columns")
    scales = _scales_of(request.scale, request.keys)
    sources, first = [], 0
    for snapshot, names, scale in zip(snapshots, columns, scales, strict=True):
        settings = snapshot.settings
        fields = _fields_of(names, settings)
        divisors = _divisors_of(scale, settings, fields, for_all=is_integer(request.scale))
        sources.append(Source(settings.key, snapshot, fields, divisors, first))
        first += len(fields)
    if request.dtype.kind == "i":
        _check_integers(request, sources)
    return sources


def check_units(settings: Sequence[SeriesSettings]) -> None:
    """Refuse series that count time in different units."""
    for other in settings:
        if other.time_unit != settings[0].time_unit:
            raise InvalidInput(
                f"{settings[0].key} counts time in {settings[0].time_unit}, {other.key} in {other.time_unit}: "
                f"a matrix has one grid; take series of one unit"
            )


def _of_each(given: Any, keys: tuple[SeriesKey, ...], what: str) -> list[Any]:
    """What is given for each series: for all, or by series; InvalidInput for a key that is none of the matrix's."""
    if not isinstance(given, Mapping):
        return [given] * len(keys)
    by_key = {as_series_key(key): value for key, value in given.items()}
    if unknown := set(by_key) - set(keys):
        raise InvalidInput(f"{what}= is given for {min(unknown)}, which is no series of the matrix")
    return [by_key.get(key) for key in keys]


def _fields_of(columns: Any, settings: SeriesSettings) -> list[int]:
    """The fields taken of a series: those named, or all numbers but ts."""
    key, schema = settings.key, settings.schema
    if columns is None:
        fields = [index for index, field in enumerate(schema.fields) if index and field.dtype.kind != "S"]
    else:
        names = [columns] if isinstance(columns, str) else _listed(columns, "columns")
        fields = [schema.position(name) for name in names]
    if not fields:
        raise InvalidInput(f"{key} has no columns of numbers that could be taken")
    if len(set(fields)) < len(fields):
        raise InvalidInput(f"{key}: columns {columns!r} name one twice; each column of a matrix has its own label")
    for field in fields:
        if schema.fields[field].dtype.kind == "S":
            raise InvalidInput(f"{key}: {schema.names[field]!r} holds text, and a matrix numbers")
    return fields


def _divisors_of(given: Any, settings: SeriesSettings, fields: list[int], *, for_all: bool) -> list[int]:
    """By what each column is divided: as given (a divisor, "raw" or None), or as registered."""
    divisors = []
    for field in fields:
        name, integers = settings.schema.names[field], settings.schema.fields[field].dtype.kind in "iu"
        registered = settings.scale_of(name)
        if not integers or given == RAW:
            divisors.append(1)
        elif given is None:
            divisors.append(registered)
        else:
            if for_all and registered not in (1, given):
                raise InvalidInput(
                    f"{settings.key}: {name!r} is registered with scale {registered:,}, and scale={given:,} is given "
                    f"for all: leave it out to divide each column by its own, give one for each series, or scale='raw'"
                )
            divisors.append(int(given))
    return divisors


def _scales_of(scale: Scale, keys: tuple[SeriesKey, ...]) -> list[Any]:
    """What is given for each series: a divisor, "raw", or None."""
    if scale is None or scale == RAW:
        return [scale] * len(keys)
    if is_integer(scale):
        return [check_scale("scale", scale)] * len(keys)
    if isinstance(scale, Mapping):
        given = _of_each(scale, keys, "scale")
        return [
            each if each is None else check_scale(f"scale of {key}", each)
            for key, each in zip(keys, given, strict=True)
        ]
    if isinstance(scale, str) or not isinstance(scale, Sequence):
        raise InvalidInput(f"scale={scale!r} is unknown: give an int, a mapping or list by series, 'raw' or None")
    if len(scale) != len(keys):
        raise InvalidInput(f"scale has {len(scale)} entries for {len(keys)} series")
    return [check_scale(f"scale of {key}", each) for key, each in zip(keys, scale, strict=True)]


def _check_integers(request: Request, sources: list[Source]) -> None:
    """A matrix of int64 holds stored integers, of one scale unless the caller says that he knows."""
    for source in sources:
        for field in source.fields:
            if source.snapshot.settings.schema.fields[field].dtype.kind == "f":
                raise InvalidInput(f"{source.labels[source.fields.index(field)]} holds floats: take dtype='float64'")
    if request.scale == RAW:
        return
    if request.scale is not None:
        raise InvalidInput(
            "a matrix of int64 holds the stored integers, undivided: leave scale out, or say scale='raw'"
        )
    scales = {divisor for source in sources for divisor in source.divisors}
    if len(scales) > 1:
        raise InvalidInput(
            f"a matrix of int64 holds the stored integers, and these have the scales "
            f"{', '.join(f'{each:,}' for each in sorted(scales))}: say scale='raw' if that is meant, or take float64"
        )


def flat_divisors(request: Request, sources: list[Source]) -> NDArray[np.float64]:
    """What each column of the matrix is divided by: 1 where it holds stored integers."""
    divisors = np.array([divisor for source in sources for divisor in source.divisors], np.float64)
    return np.ones_like(divisors) if request.dtype.kind == "i" else divisors
