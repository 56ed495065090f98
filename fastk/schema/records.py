"""Single rows: small mutable dataclasses that iterate and index like their schema.

They are no tuples, so that a field may be called ``count`` or ``index``; they have no methods but dunders, so that
every field stays reachable as an attribute.
"""

from __future__ import annotations

from dataclasses import dataclass, make_dataclass
from operator import index
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterator


class Record:
    """One row. ``row.close``, ``row["close"]`` and ``row[4]`` are the same python value."""

    __slots__ = ()
    _names: ClassVar[tuple[str, ...]] = ()

    def __iter__(self) -> Iterator[Any]:
        return (getattr(self, name) for name in self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, key: str | int) -> Any:
        return getattr(self, _field_name(self._names, key))


def _field_name(names: tuple[str, ...], key: Any) -> str:
    if isinstance(key, str):
        if key not in names:
            raise KeyError(f"{key!r} is no field of this row; it has {', '.join(names)}")
        return key
    try:
        return names[index(key)]
    except TypeError:
        raise TypeError(f"a row is indexed by a field's name or number, not {key!r}") from None
    except IndexError:
        raise IndexError(f"field {key} of a row of {len(names)}") from None


@dataclass(slots=True)
class KlineRecord(Record):
    """One bar: prices and volume as integers by the series' scales."""

    _names = ("ts", "open", "high", "low", "close", "volume")
    ts: int
    open: int
    high: int
    low: int
    close: int
    volume: int


@dataclass(slots=True)
class ScalarRecord(Record):
    """One value of an indicator, feature, signal or any other scalar."""

    _names = ("ts", "value")
    ts: int
    value: int


@dataclass(slots=True)
class TradeRecord(Record):
    """One trade. ``side`` and ``flags`` mean what the writer says."""

    _names = ("ts", "recv_ts", "trade_id", "price", "qty", "side", "flags")
    ts: int
    recv_ts: int
    trade_id: int
    price: int
    qty: int
    side: int
    flags: int = 0


@dataclass(slots=True)
class BboRecord(Record):
    """Best bid and offer at one moment."""

    _names = ("ts", "recv_ts", "bid_price", "bid_qty", "ask_price", "ask_qty", "sequence")
    ts: int
    recv_ts: int
    bid_price: int
    bid_qty: int
    ask_price: int
    ask_qty: int
    sequence: int


@dataclass(slots=True)
class BookDeltaRecord(Record):
    """One change of one level of an order book."""

    _names = ("ts", "recv_ts", "sequence", "price", "qty", "side", "action", "level", "flags")
    ts: int
    recv_ts: int
    sequence: int
    price: int
    qty: int
    side: int
    action: int
    level: int
    flags: int = 0


BUILT_IN: dict[str, type[Record]] = {
    "kline": KlineRecord,
    "scalar": ScalarRecord,
    "trade": TradeRecord,
    "bbo": BboRecord,
    "book_delta": BookDeltaRecord,
}


def record_class(schema_name: str, names: tuple[str, ...]) -> type[Record]:
    """The row class of a schema: a built-in one where the fields are its own, else one made for it."""
    built_in = BUILT_IN.get(schema_name)
    return built_in if built_in is not None and built_in._names == names else _make_record_class(schema_name, names)


def _make_record_class(schema_name: str, names: tuple[str, ...]) -> type[Record]:
    if all(name.isidentifier() and not name.startswith("_") for name in names):
        try:
            return make_dataclass("Row", names, bases=(Record,), slots=True, namespace=_namespace(schema_name, names))
        except TypeError:  # a keyword such as "from"
            pass
    return type("Row", (_NamedValues,), {"__slots__": (), **_namespace(schema_name, names)})


def _namespace(schema_name: str, names: tuple[str, ...]) -> dict[str, Any]:
    def reduce(row: Record) -> Any:
        return _restore, (schema_name, names, tuple(row))

    return {"_names": names, "__reduce__": reduce, "__doc__": f"One row of {schema_name}."}


def _restore(schema_name: str, names: tuple[str, ...], values: tuple[Any, ...]) -> Record:
    """Unpickle a row of a user-defined schema, whose class is made anew."""
    return record_class(schema_name, names)(*values)


class _NamedValues(Record):
    """A row whose field names cannot all be attributes."""

    __slots__ = ("_values",)

    def __init__(self, *values: Any) -> None:
        self._values = values

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values)

    def __getitem__(self, key: str | int) -> Any:
        return self._values[self._names.index(_field_name(self._names, key))]

    def __getattr__(self, name: str) -> Any:
        if name in self._names:
            return self._values[self._names.index(name)]
        raise AttributeError(name)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and isinstance(other, _NamedValues) and other._values == self._values

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Row({dict(zip(self._names, self._values, strict=True))})"
