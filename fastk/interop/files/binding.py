"""Which columns of a file become which fields of a series."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from fastk.errors import InvalidInput
from fastk.interop.files.formats import TEXT_FORMATS
from fastk.interop.files.options import DEFAULT_TIME_FIELDS

if TYPE_CHECKING:
    from fastk.interop.files.options import ReadOptions
    from fastk.interop.files.sources import Source
    from fastk.schema.schema import Field, Schema


class Binding(NamedTuple):
    """One field, and where its values come from: columns of the file (several are joined by a blank) or a constant.

    ``stored_scale`` is the divisor of integers that are stored ones; None for values in natural units. ``is_utf8``:
    bytes are of a text file.
    """

    field: Field
    sources: tuple[str, ...] = ()
    constant: str | None = None
    stored_scale: int | None = None
    is_utf8: bool = False


def bind(source: Source, schema: Schema, options: ReadOptions) -> list[Binding]:
    """A binding for each field; InvalidInput naming the file and its columns if one has none, or a name is unknown."""
    texts = ("map", options.mapping), ("set", options.constants), ("values", options.values)
    for what, names in (*texts, ("round", options.rounding)):
        for name in names:
            if name not in schema.names:
                raise InvalidInput(f"{what} names {name!r}, and {schema.name} has the fields {', '.join(schema.names)}")
    for name in options.time_fields:
        if name not in schema.names and name not in DEFAULT_TIME_FIELDS:
            raise InvalidInput(
                f"time_fields names {name!r}, and {schema.name} has the fields {', '.join(schema.names)}"
            )
    bindings = [_bind(source, field, options) for field in schema.fields]
    missing = [binding.field.name for binding in bindings if not binding.sources and binding.constant is None]
    if missing:
        raise InvalidInput(
            f"{source.path} has no column {', '.join(map(repr, missing))}; its columns are {', '.join(source.names)}. "
            f"Say which it is (--map {missing[0]}=COLUMN), or what all rows have (--set {missing[0]}=VALUE)"
        )
    return bindings


def _bind(source: Source, field: Field, options: ReadOptions) -> Binding:
    if field.name in options.constants:
        return Binding(field, constant=options.constants[field.name])
    if field.name in options.mapping:
        sources = _named(source, options.mapping[field.name])
    else:
        sources = _of_the_same_name(source, field.name)
    marks = source.scales()
    stored = next((marks[name] for name in sources if name in marks), 1 if options.raw else None)
    is_utf8 = source.kind.format in TEXT_FORMATS
    return Binding(field, sources, stored_scale=stored if field.scale is not None else None, is_utf8=is_utf8)


def _named(source: Source, wanted: str) -> tuple[str, ...]:
    parts = (wanted,) if wanted in source.names else tuple(wanted.split("+"))
    for part in parts:
        if part not in source.names:
            raise InvalidInput(f"{source.path} has no column {part!r}; its columns are {', '.join(source.names)}")
    return parts


def _of_the_same_name(source: Source, name: str) -> tuple[str, ...]:
    if name in source.names:
        return (name,)
    similar = [each for each in source.names if each.strip().lower() == name.lower()]
    return (similar[0],) if len(similar) == 1 else ()
