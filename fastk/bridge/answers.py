"""Answers as compact JSON text in UTF-8."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fastk.bridge.rows_text import Columns

compact = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


class Rows(NamedTuple):
    """A list of objects with integers: its name, and its columns (None: null in every row)."""

    name: str
    columns: Columns


class Answer(NamedTuple):
    """One JSON object: fields, then rows if there are any, then further fields.

    Nothing in it can fail any more: the columns are verified, so that a failure never comes after the first byte.
    """

    fields: Mapping[str, Any]
    rows: Rows | None = None
    after: Mapping[str, Any] = {}

    def pieces(self, first: Mapping[str, Any] | None = None) -> Iterator[bytes | bytearray]:
        """The text in pieces, ``first`` before the answer's own fields."""
        text = compact({**(first or {}), **self.fields})
        if self.rows is None:
            yield text.encode()
            return
        from fastk.bridge.rows_text import rows_text

        yield f'{text[:-1]},"{self.rows.name}":['.encode()
        yield from rows_text(self.rows.columns)
        yield f"],{compact(self.after)[1:]}".encode() if self.after else b"]}"
