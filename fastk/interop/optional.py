"""Libraries that FastK works with but does not need."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_OLDEST = {"duckdb": 2}
"""First major versions that give all rows as they are: DuckDB 1 cuts nanoseconds off."""


def need(module: str, extra: str) -> Any:
    """Import a module of an optional library; ModuleNotFoundError saying how to install that where there is none."""
    name = module.partition(".")[0]
    install = f"pip install 'fastk-engine[{extra}]'"
    try:
        library = import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise ModuleNotFoundError(f"this needs {name}, which is not installed: {install}", name=name) from None
    oldest = _OLDEST.get(name, 0)
    if oldest and int(library.__version__.partition(".")[0]) < oldest:
        words = f"this needs {name} {oldest} or newer, and {library.__version__} is installed: {install}"
        raise ModuleNotFoundError(words, name=name)
    return import_module(module)
