"""What is fixed when a series is registered: one value, one JSON object, in the manifest and in every chunk."""

from __future__ import annotations

from functools import cached_property, lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from fastk.arrays import is_integer
from fastk.errors import InvalidData, InvalidInput
from fastk.keys import SeriesKey
from fastk.partition import PartitionUnit
from fastk.schema.fixed import Fixed
from fastk.schema.schema import BUILT_IN_SCHEMAS, RecordType, Schema
from fastk.times import INT64_MAX, TimeUnit

if TYPE_CHECKING:
    from collections.abc import Mapping


class SeriesSettings(Fixed):
    """Name, shape and units of one series. ``scales`` maps each scale that the schema names to its divisor."""

    key: SeriesKey
    schema: Schema
    series_id: int
    created_at: int
    timeframe_ms: int
    time_unit: TimeUnit
    scales: Mapping[str, int]

    def __init__(
        self,
        key: SeriesKey,
        schema: Schema,
        series_id: int,
        created_at: int,
        timeframe_ms: int = 0,
        time_unit: TimeUnit = TimeUnit.MILLISECONDS,
        scales: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        """Scales that are not given are 1. InvalidInput for unknown ones, and for numbers that cannot be."""
        complete = _checked_scales(key, schema, scales)
        if not is_integer(timeframe_ms) or not 0 <= timeframe_ms <= INT64_MAX:
            raise InvalidInput(f"{key}: timeframe_ms must be an int of 0 or more, not {timeframe_ms!r}")
        vars(self).update(
            key=key,
            schema=schema,
            series_id=series_id,
            created_at=created_at,
            timeframe_ms=int(timeframe_ms),
            time_unit=time_unit,
            scales=MappingProxyType(complete),
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SeriesSettings) and other.values() == self.values()

    __hash__ = None  # type: ignore[assignment]

    @property
    def partition(self) -> PartitionUnit:
        """The partition unit."""
        return self.schema.partition

    def scale_of(self, name: str) -> int:
        """The divisor that turns a column into natural units; 1 where the field has no scale."""
        scale = self.schema.fields[self.schema.position(name)].scale
        return 1 if scale is None else self.scales[scale]

    def differences(self, other: SeriesSettings) -> list[str]:
        """What another registration of the same series would change, in words."""
        mine, theirs = (_comparable(settings) for settings in (self, other))
        return [f"{name} is {mine[name]!r}, not {theirs[name]!r}" for name in mine if mine[name] != theirs[name]]

    @cached_property
    def json(self) -> bytes:
        """Canonical JSON, UTF-8."""
        import json  # 1.3 ms, which a process that imports FastK pays once it opens a store

        return json.dumps(_as_object(self), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

    @classmethod
    def from_json(cls, data: bytes) -> SeriesSettings:
        """Read :attr:`json`; InvalidData for anything else."""
        return _parse(data)

    def changed(self, **changes: Any) -> SeriesSettings:
        """A copy with some values replaced."""
        return SeriesSettings(**dict(zip(self.names_of_fields, self.values(), strict=True)) | changes)


@lru_cache(4096)
def _parse(data: bytes) -> SeriesSettings:
    """Settings never change, and every commit reads them again: parsing costs 60 us, finding them 1."""
    import json

    try:
        return _from_object(json.loads(data))
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
        raise InvalidData(f"the series settings are unreadable: {error}") from error


def _checked_scales(key: SeriesKey, schema: Schema, scales: Mapping[str, int]) -> dict[str, int]:
    """A divisor for each scale of the schema."""
    unknown = [name for name in scales if name not in schema.scale_names]
    if unknown:
        raise InvalidInput(
            f"{key}: no field of {schema.name} uses the scale {sorted(unknown)[0]!r}; "
            f"it uses {', '.join(schema.scale_names) or 'none'}"
        )
    return {name: check_scale(name, scales.get(name, 1)) for name in schema.scale_names}


def check_scale(name: str, value: Any) -> int:
    """A scale is a whole divisor of at least 1 that float64 holds exactly."""
    if not is_integer(value) or not 1 <= value <= 10**18:
        raise InvalidInput(f"{name} must be an int from 1 to 10**18, not {value!r}")
    return int(value)


def _comparable(settings: SeriesSettings) -> dict[str, Any]:
    return {name: value for name, value in _as_object(settings).items() if name not in ("series_id", "created_at")}


def _as_object(settings: SeriesSettings) -> dict[str, Any]:
    schema = settings.schema
    return {
        "symbol": settings.key.symbol,
        "category": settings.key.category,
        "name": settings.key.name,
        "series_id": f"{settings.series_id:016x}",
        "created_at": settings.created_at,
        "timeframe_ms": settings.timeframe_ms,
        "time_unit": settings.time_unit.value,
        "scales": dict(settings.scales),
        "record_type": schema.name,
        "record_type_code": int(schema.record_type),
        "fields": [[field.name, field.dtype.str, field.scale] for field in schema.fields],
        "unique_ts": schema.unique_ts,
        "sequence_field": schema.sequence_field,
        "partition": schema.partition.value,
        "zone_maps": list(schema.zone_maps),
        "value_indexes": list(schema.value_indexes),
    }


def _from_object(stored: dict[str, Any]) -> SeriesSettings:
    return SeriesSettings(
        key=SeriesKey(stored["symbol"], stored["category"], stored["name"]),
        schema=_schema_from(stored),
        series_id=int(stored["series_id"], 16),
        created_at=int(stored["created_at"]),
        timeframe_ms=stored["timeframe_ms"],
        time_unit=TimeUnit(stored["time_unit"]),
        scales=stored["scales"],
    )


def _schema_from(stored: dict[str, Any]) -> Schema:
    return _schema_of(
        stored["record_type"],
        tuple(tuple(each) for each in stored["fields"]),
        stored["unique_ts"],
        stored["sequence_field"],
        stored["partition"],
        stored["record_type_code"],
        tuple(stored["zone_maps"]),
        tuple(stored["value_indexes"]),
    )


@lru_cache(256, typed=True)  # typed: 1 must not find what was parsed of True
def _schema_of(
    name: Any,
    fields: tuple[Any, ...],
    unique_ts: Any,
    sequence_field: Any,
    partition: Any,
    record_type: Any,
    zone_maps: tuple[Any, ...],
    value_indexes: tuple[Any, ...],
) -> Schema:
    """Thousands of series share a few schemas, and checking one costs 70 us."""
    schema = Schema(
        name,
        fields,
        unique_ts=unique_ts,
        sequence_field=sequence_field,
        partition=partition,
        record_type=RecordType(record_type),
        zone_maps=zone_maps,
        value_indexes=value_indexes,
    )
    return _shared(schema)


def _shared(schema: Schema) -> Schema:
    """One object for equal declarations, so that what is derived from a schema is made once a process."""
    return _known_schemas.setdefault(schema.values(), schema)


def adapted(
    schema: object,
    *,
    unique_ts: bool | None = None,
    partition: Any = None,
    zone_maps: Any = None,
    value_indexes: Any = None,
) -> Schema:
    """The schema with what is not None in place of its own; itself when nothing changes."""
    if not isinstance(schema, Schema):
        raise InvalidInput(f"{schema!r} is no schema: give fastk.KLINE, fastk.TRADE, ... or a fastk.Schema")
    wanted = Schema(
        schema.name,
        schema.fields,
        unique_ts=schema.unique_ts if unique_ts is None else unique_ts,
        sequence_field=schema.sequence_field,
        partition=schema.partition if partition is None else PartitionUnit.parse(partition),
        record_type=schema.record_type,
        zone_maps=schema.zone_maps if zone_maps is None else zone_maps,
        value_indexes=schema.value_indexes if value_indexes is None else value_indexes,
    )
    return _shared(wanted)


_known_schemas = {schema.values(): schema for schema in BUILT_IN_SCHEMAS.values()}
