"""The options of an import, and which of them say how files are read, what series they fill, and how rows are put."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict

from fastk.interop.files.options import ReadOptions, text_mapping
from fastk.replay.cursor import checked_batch_rows
from fastk.store.import_target import Wish

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fastk.engine.conflicts import OnConflict
    from fastk.interop.files.reading import Progress
    from fastk.partition import PartitionPolicy, PartitionUnit
    from fastk.schema.schema import Schema
    from fastk.times import TimeUnit

DEFAULT_BATCH_ROWS = 500_000


class ImportOptions(TypedDict, total=False):
    """What :meth:`fastk.FastKStore.import_files` takes by keyword; the lines say what each is for."""

    # How files are read
    file_format: str | None  # csv, jsonl, parquet or arrow; default: what the name of a file says
    delimiter: str | None  # between cells of CSV; default: a comma, a tab in .tsv
    header: bool  # False: CSV without names, columns are "1", "2", ...
    columns: Sequence[str]  # or these are the names of the columns of CSV without a header line
    skip_lines: int  # lines of CSV before the header
    mapping: Mapping[str, str | int] | None  # field -> column; "date+time" joins two columns
    constants: Mapping[str, Any] | None  # field -> what all rows have; "row" numbers the rows from 1 on
    values: Mapping[str, Mapping[str, Any]] | None  # field -> word of the file -> value
    rounding: Mapping[str, int] | None  # field -> decimals, half to even; nothing else rounds
    time_unit: str | None  # of times that are numbers: s, ms, us, ns
    time_format: str | None  # of other text, as strptime takes it
    zone: str | None  # of times that name none: UTC, Europe/Berlin, ...
    time_fields: Sequence[str]  # fields beside ts that hold times; default: recv_ts
    raw: bool  # numbers are stored integers, not natural units

    # What the series is, if it is to be registered; as in register_series
    scales: Mapping[str, int | str] | str | int | None  # of fields or scales; "auto" (default) finds them
    timeframe_ms: int | None  # default: what the name of bars and single values says, such as 15m
    store_unit: TimeUnit | str | None  # in which it counts time; default: ms
    partition: PartitionUnit | PartitionPolicy | str | None
    unique_ts: bool | None
    zone_maps: Iterable[str] | None
    value_indexes: Iterable[str] | None

    # How rows are put
    on_conflict: OnConflict  # error (default), skip_identical or replace
    atomic: bool  # one commit of all rows, which are held in memory
    dry_run: bool  # read, check and report, and write nothing
    batch_rows: int | None  # rows a commit; default: 500,000
    scratch: str | os.PathLike[str] | None  # folder for temporary files; default: beside the store
    progress: Progress | None  # told what is done, rows so far, and how much of how much


def silent(what: str, rows: int, done: int, total: int) -> None:
    """Nobody wants to know how far it is."""


@dataclass(frozen=True)
class How:
    """How rows are put."""

    on_conflict: OnConflict = "error"
    dry_run: bool = False
    atomic: bool = False
    batch_rows: int = DEFAULT_BATCH_ROWS
    scratch: str | None = None
    progress: Progress = silent


def split_options(schema: Schema | str | None, options: ImportOptions) -> tuple[ReadOptions, Wish, How]:
    """The three parts of what a caller says; TypeError for options that there are not."""
    unknown = options.keys() - ImportOptions.__annotations__.keys()
    if unknown:
        raise TypeError(f"import_files() got an unexpected keyword argument {sorted(unknown)[0]!r}")
    given: dict[str, Any] = dict(options)
    return _reading(given), _wish(schema, given), _how(given)


def _reading(given: dict[str, Any]) -> ReadOptions:
    checked: dict[str, Any] = {name: given[name] for name in _READING & given.keys()}
    checked |= {name: tuple(given[name]) for name in ("columns", "time_fields") if name in given}
    checked |= {name: text_mapping(given.get(name), name) for name in ("mapping", "constants")}
    words = {name: text_mapping(each, "values") for name, each in (given.get("values") or {}).items()}
    return ReadOptions(**checked, values=words, rounding=dict(given.get("rounding") or {}))


_READING = {"file_format", "delimiter", "header", "skip_lines", "time_unit", "time_format", "zone", "raw"}


def _wish(schema: Schema | str | None, given: dict[str, Any]) -> Wish:
    return Wish(schema, **{name: given[name] for name in Wish.__dataclass_fields__.keys() & given.keys()})


def _how(given: dict[str, Any]) -> How:
    rows, scratch = given.get("batch_rows"), given.get("scratch")
    return How(
        given.get("on_conflict", "error"),
        given.get("dry_run", False),
        given.get("atomic", False),
        DEFAULT_BATCH_ROWS if rows is None else checked_batch_rows(rows),
        None if scratch is None else os.fspath(scratch),
        given.get("progress") or silent,
    )
