"""A column of merged events, from the columns that the series have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import from_dtype, types
from numba.np.numpy_support import as_dtype

from ..interface import Column
from ..plain.merging import interleave as plain_interleave
from .compile import KernelByDtype, array_type
from .indexed import array_at

if TYPE_CHECKING:
    from numpy.typing import NDArray


def _interleave(addresses: NDArray[np.uint64], labels: Column, out: Column) -> None:
    cursors = addresses.copy()
    size = np.uint64(out.itemsize)
    for event in range(len(out)):
        run = labels[event]
        cursor = cursors[run]
        out[event] = array_at(cursor, 1, out)[0]
        cursors[run] = cursor + size


def _kernel_for(label: types.Type) -> KernelByDtype:
    def argument_types(value: types.Type) -> tuple[types.Type, ...]:
        # Values are only moved: dtypes of one size share a kernel.
        bits = from_dtype(np.dtype(f"u{as_dtype(value).itemsize}"))
        return array_type(types.uint64), array_type(label), array_type(bits, readonly=False)

    return KernelByDtype(_interleave, plain_interleave, argument_types)


_INTERLEAVE = {np.dtype(np.uint16): _kernel_for(types.uint16), np.dtype(np.uint32): _kernel_for(types.uint32)}


def interleave(columns: Any, labels: Column, out: Column) -> None:
    """Set out[i] to the next value of column labels[i]. A read from as many places as there are columns, each in order.

    Measured on 1.3 M events of 8 series: 3 ms, where sorting them by series and writing each to its places took 40.
    """
    if out.dtype.kind == "S":
        plain_interleave(columns.columns, labels, out)
    else:
        _INTERLEAVE[labels.dtype][out.dtype](columns.addresses, labels, out)
