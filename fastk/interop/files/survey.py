"""What an input holds, in order of ts: its span, gaps and duplicates. Rows of one key are settled here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from fastk.errors import InvalidInput
from fastk.interop.files.spill import Batch
from fastk.times import TimeUnit, check_storable, format_ts

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from fastk.engine.conflicts import OnConflict
    from fastk.schema.schema import Schema

    Bits = NDArray[np.bool_]


@dataclass
class Survey:
    """Sums over the batches of an input."""

    rows: int = 0
    duplicates: int = 0
    gaps: int = 0
    missing: int = 0
    span: tuple[int, int] | None = None
    longest_gap: tuple[int, int] | None = None
    problems: list[str] = field(default_factory=list)

    def add(self, batch: Batch, step: int) -> None:
        """Count a batch, which lies behind all before; ``step`` is the time from row to row, 0 if there is none."""
        ts = batch.columns[0]
        self.rows += ts.size
        first = int(ts[0]) if self.span is None else self.span[1]
        self._measure(np.diff(ts, prepend=first), ts, step)
        self.span = (first if self.span is None else self.span[0], int(ts[-1]))

    def _measure(self, steps: NDArray[np.int64], ts: NDArray[np.int64], step: int) -> None:
        if step:
            wide = steps[steps > step]
            self.gaps += wide.size
            self.missing += int(((wide - 1) // step).sum())
        longest = int(steps.argmax())
        width = int(steps[longest])
        if width > step and (self.longest_gap is None or width > self.longest_gap[1] - self.longest_gap[0]):
            self.longest_gap = (int(ts[longest]) - width, int(ts[longest]))


class Settling:
    """Makes rows of different keys of a batch, as ``on_conflict`` says; refusals name both places of the input."""

    def __init__(self, schema: Schema, unit: TimeUnit, on_conflict: OnConflict, place: Callable[[int], str]) -> None:
        self._schema = schema
        self._unit = unit
        self._on_conflict = on_conflict
        self._place = place

    def settle(self, batch: Batch) -> Batch:
        """The batch without rows whose key comes again; InvalidInput if there may be none.

        ``skip_identical`` keeps one of rows that are the same; ``replace`` keeps the last.
        """
        check_storable(batch.columns[0], self._unit)
        order, again = self._repeated(batch)
        if not again.any():
            return batch
        if self._on_conflict != "replace":
            self._check_same(batch, order, again)
        unwanted = np.append(again[1:], False)  # of a key, all but the last
        keep = np.ones(order.size, bool)
        keep[order[unwanted]] = False
        return Batch([column[keep] for column in batch.columns], batch.arrivals[keep])

    def _repeated(self, batch: Batch) -> tuple[NDArray[np.intp], Bits]:
        """Rows in order of their key, and which of them have the key of the one before."""
        schema, ts = self._schema, batch.columns[0]
        again = np.zeros(ts.size, bool)
        if schema.unique_ts:
            again[1:] = ts[1:] == ts[:-1]
            return np.arange(ts.size), again
        if schema.sequence_field is None or not (ts[1:] == ts[:-1]).any():
            return np.arange(ts.size), again
        sequence = batch.columns[schema.position(schema.sequence_field)]
        order = np.lexsort((sequence, ts))
        again[1:] = (ts[order][1:] == ts[order][:-1]) & (sequence[order][1:] == sequence[order][:-1])
        return order, again

    def _check_same(self, batch: Batch, order: NDArray[np.intp], again: Bits) -> None:
        rows = np.flatnonzero(again)
        if self._on_conflict == "skip_identical":
            differ = np.zeros(rows.size, bool)
            for column in batch.columns:
                bits = column.view(f"u{column.itemsize}") if column.dtype.kind == "f" else column
                differ |= bits[order[rows]] != bits[order[rows - 1]]
            rows = rows[differ]
        if rows.size:
            self._refuse(batch, int(order[rows[0]]), int(order[rows[0] - 1]))

    def _refuse(self, batch: Batch, row: int, before: int) -> None:
        ts = int(batch.columns[0][row])
        named = self._schema.sequence_field
        key = "" if self._schema.unique_ts or named is None else f" and {named} {self._value(batch, named, row)}"
        values = "other values" if self._on_conflict == "skip_identical" else "the same key"
        sharing = ", and in a new series unique_ts=False lets rows share a ts" if self._schema.unique_ts else ""
        raise InvalidInput(
            f"{self._place(int(batch.arrivals[row]))}: ts {format_ts(ts, self._unit)}{key} comes again with {values}: "
            f"it stands at {self._place(int(batch.arrivals[before]))} as well; on_conflict='skip_identical' passes "
            f"over the same rows, 'replace' takes the last{sharing}. Nothing was written"
        )

    def _value(self, batch: Batch, name: str, row: int) -> int:
        return int(batch.columns[self._schema.position(name)][row])
