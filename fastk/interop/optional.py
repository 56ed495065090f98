"""Libraries that FastK works with but does not need."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def need(module: str, extra: str) -> Any:
    """Import a module of an optional library; ModuleNotFoundError saying how to install that where there is none."""
    library = module.partition(".")[0]
    try:
        import_module(library)
    except ModuleNotFoundError as error:
        if error.name != library:
            raise
        raise ModuleNotFoundError(
            f"this needs {library}, which is not installed: pip install 'fastk-engine[{extra}]'", name=library
        ) from None
    return import_module(module)
