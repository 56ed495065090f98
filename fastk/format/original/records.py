"""The original's record types: which of ours they are, and how their rows lie."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from fastk.schema.schema import BUILT_IN_SCHEMAS, RecordType, Schema

SCHEMAS = {int(schema.record_type): schema for schema in BUILT_IN_SCHEMAS.values()}
"""The built-in schemas by the original's code, which is its schema id as well."""

_WORD = 8


@cache
def row_dtype(record_type: RecordType) -> np.dtype[Any]:
    """The structured dtype of one row: the fields in order, packed, and zero bytes up to whole words."""
    return _row_dtype(SCHEMAS[int(record_type)])


def _row_dtype(schema: Schema) -> np.dtype[Any]:
    size = schema.dtype.itemsize
    offsets = [schema.dtype.fields[name][1] for name in schema.names] if schema.dtype.fields else []
    return np.dtype(
        {
            "names": list(schema.names),
            "formats": [field.dtype for field in schema.fields],
            "offsets": offsets,
            "itemsize": size + -size % _WORD,
        }
    )
