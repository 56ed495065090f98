"""One file as batches of Arrow columns, in bounded memory. Numbers of text stay text: nothing becomes a float here."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from fastk.errors import InvalidData, InvalidInput
from fastk.interop.files.formats import FileKind, delimiter_of, pyarrow
from fastk.schema.settings import SeriesSettings

if TYPE_CHECKING:
    import pyarrow as pa

    from fastk.interop.files.options import ReadOptions

    Columns = dict[str, pa.Array]
    Refuse = Callable[[int, str], None]
    """Told the number of an unreadable record of the file and what is wrong; returns if it is to be passed over."""

SETTINGS = b"fastk.series"
"""Key in the metadata of Parquet and Arrow files: the settings of the series, as the store keeps them."""
SCALE = b"fastk.scale"
"""Key in the metadata of a column of stored integers: the divisor that turns them into natural units."""
BATCH_ROWS = 1 << 16
_CSV_BLOCK = 4 << 20
_JSON_LINES = 1 << 14


class Source:
    """One file: the names of its columns, and its rows as batches."""

    records_before = 0
    """Records of the file before its first row."""

    def __init__(self, path: str, kind: FileKind, options: ReadOptions) -> None:
        self.path = path
        self.kind = kind
        self.options = options
        self.delimiter = options.delimiter or delimiter_of(path)
        self.skipped: list[int] = []
        self._raw: Any = None
        self._refusal: BaseException | None = None
        with self._errors():
            self.names = self._open()
        self.skipped.clear()
        doubled = next((name for name in self.names if self.names.count(name) > 1), None)
        if doubled is not None:
            raise InvalidInput(f"{path}: two columns are called {doubled!r}: name them by columns=, in their order")

    def _open(self) -> list[str]:
        """Names of the columns; the types of :meth:`types` are known then, too."""
        raise AssertionError("each form of files opens its own")

    def batches(self, names: list[str], has_text: bool, refuse: Refuse) -> Iterator[Columns]:
        """The columns of these names, batch by batch. ``has_text``: cells may hold line breaks."""
        raise AssertionError("each form of files reads its own")

    @property
    def settings(self) -> SeriesSettings | None:
        """The settings of the series that an export wrote into the file."""
        return None

    def scales(self) -> dict[str, int]:
        """Divisors of columns that an export marked as stored integers."""
        return {}

    def types(self) -> dict[str, pa.DataType]:
        """Arrow's types of the columns; empty for text."""
        return {}

    @property
    def position(self) -> int:
        """How many bytes of the file are read."""
        try:
            return 0 if self._raw is None else int(self._raw.tell())
        except (ValueError, OSError):
            return 0

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Whatever the library says of the file as InvalidInput that names it."""
        library = pyarrow()
        try:
            yield
        except InvalidInput:
            raise
        except (FileNotFoundError, PermissionError):
            raise
        except UnicodeEncodeError:
            raise Unreadable("text that holds half a character (a lone surrogate)") from None
        except UnicodeDecodeError:
            raise InvalidInput(f"{self.path}, line 1: the text is not UTF-8: convert the file first") from None
        except (library.ArrowException, OSError) as error:
            if self._refusal is not None:
                raise self._refusal from None
            raise Unreadable(" ".join(str(error).split())) from None

    def _stream(self) -> Any:
        """The bytes of a text file, unpacked."""
        library = pyarrow()
        self._raw = library.OSFile(self.path, "rb")
        if self.kind.compression is None:
            return self._raw
        return library.CompressedInputStream(self._raw, self.kind.compression)


class Unreadable(Exception):
    """A file cannot be read on from where it is; whoever counts its rows knows where."""


class CsvSource(Source):
    """Cells as bytes; records of another number of cells are refused."""

    def _open(self) -> list[str]:
        try:
            names = list(self._reader(None, False, self._ignore).schema.names)
            return [str(place) for place in range(1, len(names) + 1)] if self._is_nameless else names
        except pyarrow().ArrowInvalid as error:
            if "Empty CSV" in str(error):
                raise InvalidInput(f"{self.path} is empty") from None
            raise

    @property
    def _is_nameless(self) -> bool:
        return not self.options.has_header and not self.options.columns

    @staticmethod
    def _ignore(record: int, problem: str) -> None:
        """What is wrong with a row is told when the rows are read."""

    @property
    def records_before(self) -> int:  # type: ignore[override]
        """The header is one."""
        return int(self.options.has_header)

    def _reader(self, names: list[str] | None, has_text: bool, refuse: Refuse) -> Any:
        csv = pyarrow("pyarrow.csv")
        options = self.options
        read = csv.ReadOptions(
            use_threads=False,  # with them, nobody knows the number of a row
            block_size=_CSV_BLOCK,
            skip_rows=options.skip_lines,
            column_names=list(options.columns) or None,
            autogenerate_column_names=self._is_nameless,
        )

        def on_invalid(row: Any) -> str:
            record = row.number - 1 - options.skip_lines
            try:
                refuse(record, f"{row.actual_columns} cells where {row.expected_columns} are expected")
            except BaseException as refusal:  # the library would swallow it
                self._refusal = refusal
                return "error"
            self.skipped.append(record)
            return "skip"

        parse = csv.ParseOptions(delimiter=self.delimiter, newlines_in_values=has_text, invalid_row_handler=on_invalid)
        binary = pyarrow().binary()
        convert = csv.ConvertOptions(
            strings_can_be_null=False,
            include_columns=names,
            column_types=None if names is None else dict.fromkeys(names, binary),
        )
        return csv.open_csv(self._stream(), read, parse, convert)

    def batches(self, names: list[str], has_text: bool, refuse: Refuse) -> Iterator[Columns]:
        """The columns of these names, batch by batch."""
        wanted = [f"f{int(name) - 1}" for name in names] if self._is_nameless else names
        with self._errors():
            for batch in self._reader(wanted, has_text, refuse):
                yield dict(zip(names, batch.columns, strict=True))


class JsonLinesSource(Source):
    """An object a line. Values become text, numbers in the very digits of the file."""

    def _open(self) -> list[str]:
        for record in self._records(self._stop):
            return list(record)
        raise InvalidInput(f"{self.path} is empty")

    def _stop(self, record: int, problem: str) -> None:
        raise InvalidInput(f"{self.path}: the first line is no JSON object: {problem}")

    def _records(self, refuse: Refuse) -> Iterator[dict[str, Any]]:
        decoder = json.JSONDecoder(object_pairs_hook=_distinct, parse_float=str, parse_int=str, parse_constant=str)
        number = -1
        with io.BufferedReader(self._stream()) as lines:
            for line in lines:
                if not line.strip():
                    continue
                number += 1
                try:
                    record = decoder.decode(line.decode("utf-8-sig"))
                    problem = None if isinstance(record, dict) else "it is no object"
                except UnicodeDecodeError:
                    problem = "the text is not UTF-8"
                except (ValueError, RecursionError) as error:
                    problem = f"no JSON ({getattr(error, 'msg', 'nested too deeply')})"
                except _Doubled as error:
                    problem = str(error)
                if problem is None:
                    yield record
                else:
                    refuse(number, problem)
                    self.skipped.append(number)

    def batches(self, names: list[str], has_text: bool, refuse: Refuse) -> Iterator[Columns]:
        """The columns of these names, batch by batch."""
        held: list[dict[str, Any]] = []
        with self._errors():
            for record in self._records(refuse):
                held.append(record)
                if len(held) == _JSON_LINES:
                    yield _columns_of(held, names)
                    held = []
            if held:
                yield _columns_of(held, names)


class _Doubled(Exception):
    """An object has two values under one name."""


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise _Doubled(f"{next(name for name in names if names.count(name) > 1)!r} has two values")
    return found


def _columns_of(records: list[dict[str, Any]], names: list[str]) -> Columns:
    text = pyarrow().string()
    return {name: pyarrow().array([_json_text(record.get(name)) for record in records], text) for name in names}


def _json_text(value: Any) -> str | None:
    if isinstance(value, str) or value is None:
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value)  # a list or an object, which no field takes


class ParquetSource(Source):
    """Row groups, in pieces."""

    def _open(self) -> list[str]:
        self._file = pyarrow("pyarrow.parquet").ParquetFile(self.path, memory_map=True, page_checksum_verification=True)
        self._schema = self._file.schema_arrow
        self._rows_read = 0
        return list(self._schema.names)

    @property
    def settings(self) -> SeriesSettings | None:
        """The settings of the series that an export wrote into the file."""
        return _settings_in(self._schema, self.path)

    def scales(self) -> dict[str, int]:
        """Divisors of columns that an export marked as stored integers."""
        return _scales_in(self._schema)

    def types(self) -> dict[str, pa.DataType]:
        """Arrow's types of the columns."""
        return dict(zip(self._schema.names, self._schema.types, strict=True))

    def batches(self, names: list[str], has_text: bool, refuse: Refuse) -> Iterator[Columns]:
        """The columns of these names, batch by batch."""
        with self._errors():
            for batch in self._file.iter_batches(BATCH_ROWS, columns=names):
                self._rows_read += len(batch)
                yield {name: batch.column(name) for name in names}

    @property
    def position(self) -> int:
        """In proportion to the rows."""
        import os

        rows = self._file.metadata.num_rows
        return os.path.getsize(self.path) * self._rows_read // rows if rows else 0


class ArrowSource(Source):
    """An IPC file (Feather version 2 is one) or an IPC stream, mapped."""

    def _open(self) -> list[str]:
        library, ipc = pyarrow(), pyarrow("pyarrow.ipc")
        self._raw = library.memory_map(self.path)
        magic = self._raw.read(6)
        self._raw.seek(0)
        if not magic:
            raise InvalidInput(f"{self.path} is empty")
        if magic.startswith(b"FEA1"):
            raise InvalidInput(f"{self.path} is a Feather file of version 1: write it anew in version 2")
        self._file = ipc.open_file(self._raw) if magic == b"ARROW1" else ipc.open_stream(self._raw)
        self._is_file = magic == b"ARROW1"
        return list(self._file.schema.names)

    @property
    def settings(self) -> SeriesSettings | None:
        """The settings of the series that an export wrote into the file."""
        return _settings_in(self._file.schema, self.path)

    def scales(self) -> dict[str, int]:
        """Divisors of columns that an export marked as stored integers."""
        return _scales_in(self._file.schema)

    def types(self) -> dict[str, pa.DataType]:
        """Arrow's types of the columns."""
        return dict(zip(self._file.schema.names, self._file.schema.types, strict=True))

    def batches(self, names: list[str], has_text: bool, refuse: Refuse) -> Iterator[Columns]:
        """The columns of these names, batch by batch."""
        with self._errors():
            for batch in self._all():
                batch.validate(full=True)  # offsets of a damaged file would be followed anywhere
                for low in range(0, len(batch), BATCH_ROWS):
                    piece = batch.slice(low, BATCH_ROWS)
                    yield {name: piece.column(name) for name in names}

    def _all(self) -> Iterator[Any]:
        if not self._is_file:
            return iter(self._file)
        return (self._file.get_batch(number) for number in range(self._file.num_record_batches))


def _settings_in(schema: Any, path: str) -> SeriesSettings | None:
    stored = (schema.metadata or {}).get(SETTINGS)
    if stored is None:
        return None
    try:
        return SeriesSettings.from_json(stored)
    except (InvalidData, InvalidInput) as error:
        raise InvalidInput(f"{path}: its metadata name a series, and are unreadable: {error}") from None


def _scales_in(schema: Any) -> dict[str, int]:
    texts = {field.name: (field.metadata or {}).get(SCALE, b"") for field in schema}
    return {name: int(text) for name, text in texts.items() if text.isdigit()}


_SOURCES = {"csv": CsvSource, "jsonl": JsonLinesSource, "parquet": ParquetSource, "arrow": ArrowSource}


def open_source(path: str, kind: FileKind, options: ReadOptions) -> Source:
    """Open a file and learn the names of its columns; InvalidInput if it is not what it is said to be."""
    try:
        return _SOURCES[kind.format](path, kind, options)
    except Unreadable as error:
        raise InvalidInput(f"{path} is no sound {kind.format} file: {error}") from None
