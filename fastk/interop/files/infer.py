"""A record type from the columns of a file, for files that are of no built-in one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastk.errors import InvalidInput
from fastk.interop.files import values
from fastk.interop.files.formats import kind_of, pyarrow
from fastk.interop.files.sources import Source, open_source
from fastk.schema.schema import Field, Schema

if TYPE_CHECKING:
    import pyarrow as pa

    from fastk.interop.files.options import ReadOptions
    from fastk.schema.settings import SeriesSettings


def settings_in(path: str, options: ReadOptions) -> SeriesSettings | None:
    """The settings of the series that an export wrote into a Parquet or Arrow file."""
    kind = kind_of(path, options.file_format)
    return None if kind.format in ("csv", "jsonl") else open_source(path, kind, options).settings


def inferred_schema(path: str, options: ReadOptions) -> Schema:
    """``ts`` and a field for each other column, by its Arrow type, or by the text of the first rows.

    Numbers with decimals, and all numbers of text, become int64 with a scale of their own, ``NAME_scale``; floats of
    typed files stay floats. InvalidInput for what is no number and no truth value: such fields are declared.
    """
    source = open_source(path, kind_of(path, options.file_format), options)
    renamed = {column: field for field, column in options.mapping.items() if field != "ts"}
    of_ts = options.mapping.get("ts", "ts")
    taken = {of_ts} if of_ts in source.names else set(of_ts.split("+"))
    names = [name for name in source.names if name not in taken]
    types = source.types() or _types_of_text(source, names)
    fields = [_field(path, renamed.get(name, name), types[name]) for name in names]
    constants = [Field.of(name, "i8", f"{name}_scale") for name in options.constants if name != "ts"]
    return Schema("custom", [("ts", "i8"), *fields, *constants])


def _types_of_text(source: Source, names: list[str]) -> dict[str, pa.DataType]:
    def ignore(record: int, problem: str) -> None:
        """Told when the rows are read."""

    batch = next(iter(source.batches(names, False, ignore)), None) if names else {}
    if batch is None:
        raise InvalidInput(f"{source.path} has no rows, whose columns could tell their types")
    return {name: _type_of_text(column) for name, column in batch.items()}


def _type_of_text(column: pa.Array) -> pa.DataType:
    library = pyarrow()
    for kind, dtype in ((library.bool_(), "?"), (library.decimal128(38, 18), "i8")):
        try:
            words = {"true", "false"} if dtype == "?" else None
            if words is not None and not {str(word).lower() for word in column.cast("string").to_pylist()} <= words:
                continue
            values.scaled_text(values.plain(column), 10**18) if words is None else None
        except (ValueError, library.ArrowException):
            continue
        return kind
    return library.string()


def _field(path: str, name: str, kind: pa.DataType) -> Field:
    types = pyarrow().types
    if types.is_decimal(kind):
        return Field.of(name, "i8", f"{name}_scale")
    if types.is_boolean(kind) or types.is_integer(kind) or types.is_float32(kind) or types.is_float64(kind):
        return Field.of(name, kind.to_pandas_dtype())
    if types.is_timestamp(kind):
        return Field.of(name, "i8")
    raise InvalidInput(
        f"{path}: column {name!r} is no number: declare the fields that you want (--field {name}:S16, or a "
        f"fastk.Schema)"
    )
