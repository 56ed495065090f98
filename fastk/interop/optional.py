"""Libraries that FastK works with but does not need."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def need(module: str, extra: str) -> Any:
    """Import an optional library; ModuleNotFoundError saying how to install it where there is none."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:
            raise
        raise ModuleNotFoundError(
            f"this needs {error.name}, which is not installed: pip install 'fastk-engine[{extra}]'", name=error.name
        ) from None
