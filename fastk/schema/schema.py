"""Record types as declarations: which fields a row has, and what its order and partitions are.

The five built-in types and a user's own schema are values of one class; nothing below branches on which it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastk.errors import InvalidInput
from fastk.partition import PartitionUnit
from fastk.schema.fixed import Fixed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastk.schema.records import Record

MAX_FIELDS = 4096
_NUMERIC_KINDS = {"b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8"}

PRICE_SCALE = "price_scale"
VOLUME_SCALE = "volume_scale"
VALUE_SCALE = "value_scale"


class RecordType(IntEnum):
    """The original's codes of record types; user-defined schemas are 0."""

    CUSTOM = 0
    KLINE = 1
    SCALAR = 2
    TRADE = 10
    BBO = 11
    BOOK_DELTA = 12


class Field(NamedTuple):
    """One column: its name, its little-endian dtype, and the name of the scale that turns it into natural units."""

    name: str
    dtype: np.dtype[Any]
    scale: str | None = None

    @classmethod
    def of(cls, name: str, dtype: Any, scale: str | None = None) -> Field:
        """Check and normalise: bool, int8..64, uint8..64, float32/64 or S<n>; InvalidInput otherwise."""
        if not isinstance(name, str) or not name or len(name) > 200 or not name.isprintable():
            raise InvalidInput(f"field name {name!r} must be printable text of 1 to 200 characters")
        try:
            if isinstance(dtype, str) and not _is_one_word(dtype):
                raise TypeError("numpy would evaluate it")
            normal = np.dtype(np.dtype(dtype).newbyteorder("<").str)  # by way of text: native, not "explicitly little"
        except (TypeError, ValueError):
            raise InvalidInput(f"field {name!r}: {str(dtype)[:40]!r} is no dtype") from None
        code = f"{normal.kind}{normal.itemsize}"
        if code not in _NUMERIC_KINDS and not (normal.kind == "S" and 0 < normal.itemsize <= 65_535):
            raise InvalidInput(
                f"field {name!r}: dtype {dtype!r} cannot be stored; use bool, int8 to int64, "
                f"uint8 to uint64, float32, float64 or S<n>"
            )
        if scale is not None and (normal.kind not in "iu" or not isinstance(scale, str) or not scale):
            raise InvalidInput(f"field {name!r}: only integer fields take a scale, and it is named by text")
        return cls(name, normal, scale)

    @property
    def indexed(self) -> bool:
        """Whether zones and indexes are kept for this column (text columns are stored only)."""
        return self.dtype.kind != "S"


class Schema(Fixed):
    """The shape of one record type.

    ``fields[0]`` is ``ts``. ``unique_ts`` asks for strictly increasing ``ts``; otherwise equal ones are allowed and
    ``sequence_field``, where there is one, tells rows of the same ``ts`` apart. ``zone_maps`` and ``value_indexes``
    are the columns for which every chunk gets fine zones and a value index beside it.
    """

    name: str
    fields: tuple[Field, ...]
    unique_ts: bool
    sequence_field: str | None
    partition: PartitionUnit
    record_type: RecordType
    zone_maps: tuple[str, ...]
    value_indexes: tuple[str, ...]

    def __init__(
        self,
        name: str,
        fields: Iterable[Field | Sequence[Any]],
        *,
        unique_ts: bool = True,
        sequence_field: str | None = None,
        partition: PartitionUnit | str = PartitionUnit.MONTH,
        record_type: RecordType = RecordType.CUSTOM,
        zone_maps: Iterable[str] = (),
        value_indexes: Iterable[str] = (),
    ) -> None:
        """Declare a record type; ``fields`` are :class:`Field` or ``(name, dtype[, scale])``. InvalidInput if unfit."""
        if not isinstance(name, str) or not name.strip() or not name.isprintable():
            raise InvalidInput(f"a schema needs a printable name, not {name!r}")
        if not isinstance(unique_ts, (bool, np.bool_)):
            raise InvalidInput(f"schema {name!r}: unique_ts must be True or False, not {unique_ts!r}")
        vars(self).update(
            name=name,
            fields=_checked_fields(name, fields),
            unique_ts=bool(unique_ts),
            sequence_field=sequence_field,
            record_type=_checked_record_type(name, record_type),
            partition=PartitionUnit.parse(partition),
        )
        self._check()
        vars(self).update(
            zone_maps=self._checked_columns("zone_maps", zone_maps),
            value_indexes=self._checked_columns("value_indexes", value_indexes),
        )

    def _check(self) -> None:
        names = self.names
        if not names or names[0] != "ts" or self.fields[0].dtype != np.dtype("<i8"):
            raise InvalidInput(f"schema {self.name!r}: the first field must be ('ts', 'int64')")
        if len(names) > MAX_FIELDS:
            raise InvalidInput(f"schema {self.name!r} has {len(names):,} fields; at most {MAX_FIELDS:,} fit")
        if len(set(names)) != len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise InvalidInput(f"schema {self.name!r} names the field {twice!r} twice")
        if self.sequence_field is not None:
            self._check_sequence(self.sequence_field)

    def _check_sequence(self, name: str) -> None:
        if name not in self.names[1:] or self.fields[self.names.index(name)].dtype.kind not in "iu":
            raise InvalidInput(f"schema {self.name!r}: sequence field {name!r} must be one of its integer fields")

    def _checked_columns(self, option: str, wanted: Iterable[str]) -> tuple[str, ...]:
        """The columns in the order of the fields, each once."""
        if isinstance(wanted, str) or not isinstance(wanted, Iterable):
            raise InvalidInput(f"schema {self.name!r}: {option} is a list of columns, not {wanted!r}")
        places = sorted({self.position(name) for name in wanted})
        for place in places:
            if place == 0 or not self.fields[place].indexed:
                reason = "rows are sorted by it" if place == 0 else "text is stored only"
                raise InvalidInput(f"schema {self.name!r}: {option} cannot have {self.names[place]!r}: {reason}")
        return tuple(self.names[place] for place in places)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Field names in order."""
        return tuple(field.name for field in self.fields)

    @cached_property
    def index(self) -> dict[str, int]:
        """Position of each field by name."""
        return {name: position for position, name in enumerate(self.names)}

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        """The packed structured dtype of a row."""
        return np.dtype([(field.name, field.dtype) for field in self.fields])

    @cached_property
    def scale_names(self) -> tuple[str, ...]:
        """Names of the scales that the fields refer to, each once."""
        return tuple(dict.fromkeys(field.scale for field in self.fields if field.scale is not None))

    @cached_property
    def record_class(self) -> type[Record]:
        """The class of single rows: the built-in one, or one made for this schema."""
        from fastk.schema import records

        return records.record_class(self.name, self.names)

    def position(self, name: str) -> int:
        """Index of a field; InvalidInput listing the fields when there is none of that name."""
        try:
            return self.index[name]
        except (KeyError, TypeError):
            raise InvalidInput(f"{name!r} is no column of {self.name}; it has {', '.join(self.names)}") from None


def _is_one_word(dtype: str) -> bool:
    """Whether it may be of one number: numpy's other texts are of several."""
    word = dtype.lstrip("<>=|")
    return word.isidentifier() or word == "?"


def _checked_fields(schema_name: str, fields: Any) -> tuple[Field, ...]:
    try:
        return tuple(
            Field.of(field.name, field.dtype, field.scale) if isinstance(field, Field) else Field.of(*field)
            for field in fields
        )
    except TypeError:
        raise InvalidInput(
            f"schema {schema_name!r}: fields are (name, dtype) or (name, dtype, scale), not {fields!r}"
        ) from None


def _checked_record_type(schema_name: str, record_type: Any) -> RecordType:
    try:
        checked = RecordType(record_type)
    except ValueError:
        raise InvalidInput(f"schema {schema_name!r}: {record_type!r} is no RecordType; leave it out") from None
    if checked is not RecordType.CUSTOM and schema_name != checked.name.lower():
        raise InvalidInput(f"schema {schema_name!r} is not of the built-in record type {checked.name}; leave it out")
    return checked


def _prices(*names: str) -> tuple[tuple[str, str, str], ...]:
    return tuple((name, "i8", PRICE_SCALE) for name in names)


KLINE = Schema(
    "kline",
    (("ts", "i8"), *_prices("open", "high", "low", "close"), ("volume", "i8", VOLUME_SCALE)),
    record_type=RecordType.KLINE,
)
SCALAR = Schema(
    "scalar",
    (("ts", "i8"), ("value", "i8", VALUE_SCALE)),
    record_type=RecordType.SCALAR,
    zone_maps=["value"],
    value_indexes=["value"],
)
TRADE = Schema(
    "trade",
    (
        ("ts", "i8"),
        ("recv_ts", "i8"),
        ("trade_id", "i8"),
        *_prices("price"),
        ("qty", "i8", VOLUME_SCALE),
        ("side", "i1"),
        ("flags", "u1"),
    ),
    unique_ts=False,
    sequence_field="trade_id",
    partition=PartitionUnit.HOUR,
    record_type=RecordType.TRADE,
)
BBO = Schema(
    "bbo",
    (
        ("ts", "i8"),
        ("recv_ts", "i8"),
        *_prices("bid_price"),
        ("bid_qty", "i8", VOLUME_SCALE),
        *_prices("ask_price"),
        ("ask_qty", "i8", VOLUME_SCALE),
        ("sequence", "i8"),
    ),
    sequence_field="sequence",
    partition=PartitionUnit.DAY,
    record_type=RecordType.BBO,
)
BOOK_DELTA = Schema(
    "book_delta",
    (
        ("ts", "i8"),
        ("recv_ts", "i8"),
        ("sequence", "i8"),
        *_prices("price"),
        ("qty", "i8", VOLUME_SCALE),
        ("side", "i1"),
        ("action", "i1"),
        ("level", "i2"),
        ("flags", "u4"),
    ),
    unique_ts=False,
    sequence_field="sequence",
    partition=PartitionUnit.HOUR,
    record_type=RecordType.BOOK_DELTA,
)
BUILT_IN_SCHEMAS = {schema.name: schema for schema in (KLINE, SCALAR, TRADE, BBO, BOOK_DELTA)}
