"""What numba does to compile a kernel: the steps that loops over arrays need, and of inner functions still fewer.

Nearly all of it is Python, some two million calls for a kernel as numba does it by itself (profiled).
It leans on numba's inside. All names are looked up when this module is loaded, and loading `search` compiles parts:
where a version of numba does not fit, `load` warns and stays with numpy.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numba
from numba.core import codegen, compiler, compiler_machinery, typed_passes, untyped_passes

_PASSES = (
    untyped_passes.TranslateByteCode,
    untyped_passes.FixupArgs,
    untyped_passes.IRProcessing,
    untyped_passes.ReconstructSSA,
    typed_passes.NopythonTypeInference,
    typed_passes.PreLowerStripPhis,
    typed_passes.IRLegalization,
    typed_passes.NativeLowering,
    typed_passes.NoPythonBackend,
)

_numba: Any = numba
_numba_library: Any = codegen.JITCodeLibrary
_numba_flags: Any = compiler.Flags
_numba_compiler: Any = compiler.Compiler
_numba_passes: Any = compiler_machinery.PassManager
_make_function: Any = _numba._dynfunc.make_function


class _Part(_numba_library):  # type: ignore[misc]
    """Code that kernels link, and are optimised with: no machine code is made of it alone."""

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalized = True


class _Flags(_numba_flags):  # type: ignore[misc]
    """Options of kernels and parts. They are alike for what is numba's own in them, which it looks up by the options.

    numba compares all options, one by one, for each of the fourteen ways to understand a subscript.
    """

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Flags)

    def __hash__(self) -> int:
        return 0


class KernelCompiler(_numba_compiler):  # type: ignore[misc]
    """Does what loops over arrays need. numba also looks for closures, array expressions and what else it allows."""

    def __init__(self, *details: Any) -> None:
        super().__init__(*details)
        self.state.flags = _Flags(self.state.flags)

    def define_pipelines(self) -> Any:
        """The one way to compile."""
        passes = _numba_passes("kernel")
        for step in _PASSES:
            passes.add_pass(step, step.__name__)
        passes.finalize()
        return [passes]


class _PartCompiler(KernelCompiler):
    def define_pipelines(self) -> Any:
        state = self.state
        state.flags.no_compile = True
        state.library = _Part(state.targetctx.codegen(), state.func_id.func_qualname)
        return super().define_pipelines()

    def compile_extra(self, function: Callable[..., Any]) -> Any:
        """Give what numba would, under an entry point that leads nowhere: callers find their parts by it."""
        compiled = super().compile_extra(function)
        name = function.__name__
        entry = _make_function(sys.modules[__name__], name, name, 0, compiled.environment, ())
        compiled.target_context.insert_user_function(entry, compiled.fndesc, [compiled.library])
        return compiled._replace(entry_point=entry)


def as_part(function: Callable[..., Any]) -> Any:
    """Let kernels call a function. Constants as arguments compile nothing new."""
    dispatcher = _numba.njit(
        no_cpython_wrapper=True, no_cfunc_wrapper=True, forceinline=True, pipeline_class=_PartCompiler
    )(function)
    if hasattr(dispatcher, "get_call_template"):  # NUMBA_DISABLE_JIT leaves a function of Python
        template_for, unliteral = dispatcher.get_call_template, _numba.types.unliteral
        dispatcher.get_call_template = lambda positional, named: template_for(
            tuple(map(unliteral, positional)), {name: unliteral(kind) for name, kind in named.items()}
        )
    return dispatcher
