"""A series as a dataset of pyarrow, from which scanners take the columns and the rows that they need.

This is what DuckDB, and whatever else knows datasets, pushes its projections and filters into. Arrow's filters are
opaque, so it is Arrow itself that tells which parts of a series cannot match: each part is shown to it as a fragment of
a file that is never opened, with the least and greatest values of its columns as what is known of it.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.fs

from fastk.engine.sidecars import coarse_zones
from fastk.interop.arrow import BATCH_ROWS, Layout, together
from fastk.times import INT64_MAX, INT64_MIN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from fastk.engine.chunk_index import ChunkRef
    from fastk.engine.mapped import MappedChunk
    from fastk.engine.rows import Rows
    from fastk.engine.snapshot import Snapshot

# A part takes 20 us to judge and a column of this many rows as long to compare.
_PART_ROWS = BATCH_ROWS
_CHUNKS_AT_ONCE = 256
_NO_FILES = pyarrow.fs.LocalFileSystem()
_NO_FORMAT = ds.IpcFileFormat()


class SeriesDataset(ds.InMemoryDataset):  # type: ignore[misc]
    """Scans of a series, each of the snapshot that is pinned when it begins.

    ``to_table``, ``to_batches``, ``scanner``, ``head`` and ``count_rows`` take ``columns=`` and ``filter=`` as those of
    any dataset of pyarrow do. What would take a dataset for files is refused.
    """

    def __init__(self, snapshot: Callable[[], Snapshot], decoded: bool) -> None:
        settings = snapshot().settings
        self._snapshot = snapshot
        self._decoded = decoded
        self._layout = Layout(settings, None, decoded)
        super().__init__(self._layout.schema.empty_table())

    def scanner(
        self,
        columns: Any = None,
        filter: pc.Expression | None = None,  # noqa: A002
        **options: Any,
    ) -> ds.Scanner:
        """A scanner over the parts that can match, which reads no other columns than it must."""
        needed = [] if filter is None else needed_columns(filter, self.schema)
        wanted = columns if isinstance(columns, list) else self.schema.names
        names = dict.fromkeys([*wanted, *needed] or self.schema.names[:1])
        layout = Layout(self._layout.settings, names, self._decoded)
        snapshot = self._snapshot()
        parts = _parts(snapshot, self._layout, filter, needed)
        batches = (layout.batch(*group) for group in together(parts, BATCH_ROWS, snapshot.most_pinned_chunks))
        allowed = {name: options[name] for name in ("batch_size", "use_threads", "memory_pool") if name in options}
        return ds.Scanner.from_batches(batches, schema=layout.schema, columns=columns, filter=filter, **allowed)

    def __repr__(self) -> str:
        return f"<dataset of {self._layout.settings.key}: {', '.join(self.schema.names)}>"

    def _refuse(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError("a series as a dataset is scanned only: take dataset.to_table() or scanner() first")

    filter = get_fragments = join = join_asof = replace_schema = sort_by = __reduce__ = _refuse


def needed_columns(condition: pc.Expression, schema: pa.Schema) -> list[str]:
    """The columns that a filter speaks of: those without which it cannot be bound."""
    return [field.name for place, field in enumerate(schema) if not _binds(condition, schema.remove(place))]


def _binds(condition: pc.Expression, schema: pa.Schema) -> bool:
    try:
        ds.Scanner.from_batches(iter(()), schema=schema, filter=condition)
    except pa.ArrowInvalid:
        return False
    return True


class _Part(NamedTuple):
    """Some rows of a chunk, and what its header says of the columns that a filter speaks of."""

    chunk: MappedChunk
    low: int
    high: int
    known: pc.Expression


def _parts(snapshot: Snapshot, layout: Layout, condition: pc.Expression | None, names: Sequence[str]) -> Iterator[Rows]:
    """Rows that can match, in order. The manifest tells which chunks cannot, zones which parts of the others."""
    refs = iter(snapshot.overlapping(INT64_MIN, INT64_MAX))
    while some := list(islice(refs, _CHUNKS_AT_ONCE)):
        if condition is not None and "ts" in names:
            some = [some[place] for place in _open(condition, layout.schema, map(_known_times(layout), some))]
        if condition is None or not names:
            parts = [part for ref in some for part in _cut(snapshot.open_chunk(*ref), layout, ())]
        else:
            parts = [part for ref in some for part in _cut(snapshot.open_chunk(*ref), layout, names)]
            parts = [parts[place] for place in _open(condition, layout.schema, (part.known for part in parts))]
        for part in parts:
            yield snapshot.chunk_rows(part.chunk, part.low, part.high)


def _open(condition: pc.Expression, schema: pa.Schema, known: Iterable[pc.Expression]) -> list[int]:
    """Which of some parts may hold rows that match, by what is known of each."""
    fragments = [
        _NO_FORMAT.make_fragment(str(place), _NO_FILES, partition_expression=each) for place, each in enumerate(known)
    ]
    judged = ds.FileSystemDataset(fragments, schema, _NO_FORMAT, _NO_FILES)
    return sorted(int(fragment.path) for fragment in judged.get_fragments(filter=condition))


def _known_times(layout: Layout) -> Callable[[ChunkRef], pc.Expression]:
    kind = layout.schema.field("ts").type

    def known(ref: ChunkRef) -> pc.Expression:
        leaf, place = ref
        return _between("ts", leaf.starts[place], leaf.ends[place], kind)

    return known


def _cut(chunk: MappedChunk, layout: Layout, names: Sequence[str]) -> Iterator[_Part]:
    """A chunk in parts of some blocks each."""
    blocks = max(1, _PART_ROWS // chunk.header.block_rows)
    starts = range(0, chunk.rows, blocks * chunk.header.block_rows)
    facts: list[pc.Expression] = [pc.scalar(True)] * len(starts)
    for name in names:
        for place, fact in enumerate(_known(chunk, layout, name, blocks)):
            facts[place] = facts[place] & fact
    for low, known in zip(starts, facts, strict=True):
        yield _Part(chunk, low, min(low + starts.step, chunk.rows), known)


def _known(chunk: MappedChunk, layout: Layout, name: str, blocks: int) -> Iterator[pc.Expression]:
    """What the zones of a column say of each part, if they say something: text has none, and NaN is beside them."""
    place = layout.settings.schema.position(name)
    if layout.settings.schema.fields[place].dtype.kind not in "iuf":
        return
    zones = coarse_zones(chunk, place)
    firsts = np.arange(0, len(zones.minima), blocks)
    lows, highs = np.minimum.reduceat(zones.minima, firsts), np.maximum.reduceat(zones.maxima, firsts)
    if layout.is_decoded(name):
        scale = layout.settings.scale_of(name)
        lows, highs = lows / scale, highs / scale
    for low, high, has_nan in zip(
        lows.tolist(), highs.tolist(), np.logical_or.reduceat(zones.nan_flags, firsts), strict=True
    ):
        yield pc.scalar(True) if has_nan else _between(name, low, high, layout.schema.field(name).type)


def _between(name: str, low: Any, high: Any, kind: pa.DataType) -> pc.Expression:
    field = pc.field(name)
    return field.is_valid() & (field >= pa.scalar(low, kind)) & (field <= pa.scalar(high, kind))
