"""The series that an import fills: there already, or to be registered as the caller or the file says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastk.errors import InvalidInput
from fastk.interop.files.infer import inferred_schema, settings_in
from fastk.keys import NAME_SEPARATOR
from fastk.schema.schema import BUILT_IN_SCHEMAS, RecordType, Schema
from fastk.schema.settings import SeriesSettings, adapted, check_scale
from fastk.times import TimeUnit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastk.interop.files.options import ReadOptions
    from fastk.keys import SeriesKey
    from fastk.store.series import Series

_TIMEFRAME = re.compile(r"([1-9]\d{0,5})([smhdw])", re.ASCII)
_MILLISECONDS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
AUTO = "auto"
CUSTOM = "custom"


@dataclass(frozen=True)
class Wish:
    """What the caller says of the series; None is left to the series, or to the defaults of its type."""

    schema: Schema | str | None = None
    scales: Mapping[str, int | str] | str | int | None = None
    timeframe_ms: int | None = None
    store_unit: TimeUnit | str | None = None
    partition: Any = None
    unique_ts: bool | None = None
    zone_maps: Any = None
    value_indexes: Any = None


@dataclass(frozen=True)
class Target:
    """Settings of the series; ``found`` names the scales that the values are to tell."""

    settings: SeriesSettings
    found: tuple[str, ...]
    is_new: bool


def target_of(series: Series, wish: Wish, path: str, options: ReadOptions) -> Target:
    """The target of an import whose first file is ``path``; InvalidInput if the series is another than wished for."""
    if series.exists:
        return _of_existing(series.settings, wish)
    settings = settings_in(path, options)
    if wish.schema is None and settings is not None:
        return _of_new(series.key, settings.schema, settings, wish)
    return _of_new(series.key, _schema(series.key, wish, path, options), None, wish)


def _schema(key: SeriesKey, wish: Wish, path: str, options: ReadOptions) -> Schema:
    wanted = wish.schema if wish.schema is not None else key.category
    if isinstance(wanted, Schema):
        return wanted
    if wanted == CUSTOM:
        return inferred_schema(path, options)
    if wanted in BUILT_IN_SCHEMAS:
        return BUILT_IN_SCHEMAS[wanted]
    raise InvalidInput(
        f"series {key} is not in the store: say of which type it is to be, {', '.join(BUILT_IN_SCHEMAS)} or {CUSTOM}"
    )


def _of_new(key: SeriesKey, schema: Schema, pattern: SeriesSettings | None, wish: Wish) -> Target:
    schema = adapted(
        schema,
        unique_ts=wish.unique_ts,
        partition=wish.partition,
        zone_maps=wish.zone_maps,
        value_indexes=wish.value_indexes,
    )
    scales: dict[str, int | str] = {} if pattern is None else dict(pattern.scales)
    scales |= _scales(schema, wish.scales)
    found = tuple(name for name in schema.scale_names if scales.get(name, AUTO) == AUTO)
    timeframe_ms = wish.timeframe_ms
    if timeframe_ms is None:
        timeframe_ms = _timeframe_ms(key, schema) if pattern is None else pattern.timeframe_ms
    unit = pattern.time_unit if pattern is not None and wish.store_unit is None else _unit(wish.store_unit)
    given = {name: int(scale) for name, scale in scales.items() if name not in found}
    return Target(SeriesSettings(key, schema, 0, 0, timeframe_ms, unit, given), found, is_new=True)


def _timeframe_ms(key: SeriesKey, schema: Schema) -> int:
    """What the name of a series of bars or single values says, as 15m and 1h@@rsi_14 do; 0 for other names."""
    found = _TIMEFRAME.fullmatch(key.name.partition(NAME_SEPARATOR)[0])
    is_timed = schema.record_type in (RecordType.KLINE, RecordType.SCALAR)
    return int(found[1]) * _MILLISECONDS[found[2]] if found and is_timed else 0


def _unit(value: TimeUnit | str | None) -> TimeUnit:
    try:
        return TimeUnit.MILLISECONDS if value is None else TimeUnit(value)
    except ValueError:
        raise InvalidInput(f"store_unit {value!r} is unknown: give 'ms', 'us' or 'ns'") from None


def _scales(schema: Schema, wanted: Mapping[str, int | str] | str | int | None) -> dict[str, int | str]:
    """Scales by their own names; they may be given by those of fields."""
    if wanted is None or isinstance(wanted, (str, int)):
        return {} if wanted is None else dict.fromkeys(schema.scale_names, _scale("scale", wanted))
    found: dict[str, int | str] = {}
    for name, value in wanted.items():
        scale = name if name in schema.scale_names else _scale_of_field(schema, name)
        if found.setdefault(scale, _scale(name, value)) != value:
            raise InvalidInput(f"{name} shares {scale} with another field, and two values are given for it")
    return found


def _scale_of_field(schema: Schema, name: str) -> str:
    scale = schema.fields[schema.position(name)].scale
    if scale is None:
        raise InvalidInput(f"field {name!r} of {schema.name} has no scale")
    return scale


def _scale(name: str, value: int | str) -> int | str:
    if value == AUTO:
        return AUTO
    if isinstance(value, str):
        raise InvalidInput(f"scale {name}={value} is neither a whole number nor {AUTO!r}")
    return check_scale(f"scale {name}", value)


def _of_existing(settings: SeriesSettings, wish: Wish) -> Target:
    schema = wish.schema
    if isinstance(schema, str) and schema != CUSTOM and schema != settings.schema.name:
        raise InvalidInput(f"series {settings.key} is of type {settings.schema.name}, not {schema}")
    wanted = adapted(
        schema if isinstance(schema, Schema) else settings.schema,
        unique_ts=wish.unique_ts,
        partition=wish.partition,
        zone_maps=wish.zone_maps,
        value_indexes=wish.value_indexes,
    )
    scales = {name: scale for name, scale in _scales(wanted, wish.scales).items() if scale != AUTO}
    changed = settings.changed(
        schema=wanted,
        scales={**settings.scales, **{name: int(scale) for name, scale in scales.items()}},
        timeframe_ms=settings.timeframe_ms if wish.timeframe_ms is None else wish.timeframe_ms,
        time_unit=settings.time_unit if wish.store_unit is None else _unit(wish.store_unit),
    )
    differences = settings.differences(changed)
    if differences:
        raise InvalidInput(f"series {settings.key} is registered with other settings: {'; '.join(differences)}")
    return Target(settings, (), is_new=False)
