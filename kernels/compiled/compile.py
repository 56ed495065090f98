"""How kernels are compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import numpy as np
from numba import from_dtype, njit, types
from numba.extending import intrinsic

from .cache import keep_code
from .pipeline import KernelCompiler, as_part

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def kernel(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Compile at the first call with each combination of dtypes; releases the GIL while it runs."""
    compiled: Callable[Parameters, Result] = _compile(function, nogil=True)
    return compiled


def part(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Compile for kernels that call it; not to be called by Python."""
    compiled: Callable[Parameters, Result] = as_part(function)
    return compiled


def point_kernel(*argument_types: types.Type) -> Callable[[Callable[Parameters, Result]], Callable[Parameters, Result]]:
    """Compile at once for these arguments, for calls of less than a microsecond; keeps the GIL. Gives the entry point.

    Releasing the GIL for so short a time hands it to any thread that waits for it, and the caller then waits for its
    turn: beside one busy Python thread 10,000 calls a second, keeping it 870,000 (measured). No kernel divides by zero:
    to look whether it does took 15 ns.
    """

    def decorate(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
        return _entry_point(_compile(function, error_model="numpy"), argument_types)

    return decorate


class KernelByDtype(dict[np.dtype[Any], Callable[..., Any]]):
    """Entry points of one kernel by the column's dtype, compiled at first use; for S<n>, its twin in numpy.

    `argument_types` gives the kernel's argument types for a value type. The kernel releases the GIL while it runs,
    unless it is one of those that run for microseconds only.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        twin: Callable[..., Any],
        argument_types: Callable[[types.Type], tuple[types.Type, ...]],
        *,
        keeps_gil: bool = False,
    ) -> None:
        self._dispatcher = _compile(function, nogil=not keeps_gil)
        self._twin = twin
        self._argument_types = argument_types

    def __missing__(self, dtype: np.dtype[Any]) -> Callable[..., Any]:
        entry = self._twin
        if dtype.kind != "S":
            entry = _entry_point(self._dispatcher, self._argument_types(from_dtype(dtype)))
        self[dtype] = entry
        return entry


def array_type(value: types.Type, *, readonly: bool = True) -> types.Array:
    """Type of a C-contiguous array of one dimension."""
    return types.Array(value, 1, "C", readonly=readonly)


def _entry_point(dispatcher: Any, argument_types: tuple[types.Type, ...]) -> Callable[..., Any]:
    """Compile for these arguments, and give the function beneath numba's dispatcher.

    `bounds` takes 0.23 us a call so, and 0.41 through the dispatcher (measured); and a writable array compiles nothing
    new. It checks the number of arguments and the arrays' item sizes; an array of two dimensions may end the process.
    """
    entry: Callable[..., Any] = dispatcher
    # NUMBA_DISABLE_JIT leaves a function of Python.
    if hasattr(dispatcher, "overloads"):
        dispatcher.compile(argument_types)
        entry = dispatcher.overloads[argument_types].entry_point
    return entry


def instruction(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make a processor's instruction callable from kernels; `function` is an intrinsic in the sense of numba."""
    callable_instruction: Callable[..., Any] = intrinsic(function)
    return callable_instruction


def _compile(function: Callable[..., Any], **options: Any) -> Any:
    """Compile with a cache on disk."""
    jit: Any = njit
    return keep_code(jit(no_cfunc_wrapper=True, pipeline_class=KernelCompiler, **options)(function))
