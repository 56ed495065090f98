"""Answers as JSON, where they are asked for or stdout is no terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse


def wants_json(options: argparse.Namespace) -> bool:
    """Whether a program reads the answer."""
    return options.json or not sys.stdout.isatty()


def plain(report: Any) -> Any:
    """Reports as objects and arrays."""
    from dataclasses import asdict, is_dataclass  # here, because they and json are a third of what --help imports

    if isinstance(report, list):
        return [plain(each) for each in report]
    return asdict(report) if is_dataclass(report) and not isinstance(report, type) else report


def print_json(report: Any) -> None:
    """Write a report to stdout."""
    import json

    print(json.dumps(plain(report), indent=2))
