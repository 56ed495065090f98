"""`write_report`: a store inspected, drawn, and written as one page."""

from __future__ import annotations

import errno
import importlib.util
import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from fastk.errors import FastKError, InvalidInput
from fastk.inspect.whole_store import inspect_store
from fastk.io.disk import Disk

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fastk.inspect.facts import StoreFacts
    from fastk.store.store import FastKStore

_NEEDS = ("bokeh", "jinja2")


@dataclass(frozen=True, slots=True)
class ReportResult:
    """The page that was written, its size, and the facts that it shows."""

    path: str
    bytes: int
    facts: StoreFacts


def write_report(
    store: FastKStore,
    path: str | os.PathLike[str],
    series: str | Sequence[str] = (),
    *,
    title: str | None = None,
    gaps: bool = True,
    scrub: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> ReportResult:
    """Write a page about a store: one HTML file that loads nothing from elsewhere, for any browser, dark mode too.

    It shows coverage by month, sizes, chunk states, gaps, what zones spare, health, and candles or a line of the
    ``series`` that match these shell patterns for ``symbol/category/name`` (default: the one with the most rows). The
    other arguments are those of :func:`fastk.inspect_store`.

    The file comes whole or not at all, and in the place of one of that name; InvalidInput if it lay within the store.
    Needs the extra ``report``. Cost: that of the inspection, and one pass over the columns that are drawn.
    """
    _check_libraries()
    target = os.path.abspath(os.fspath(path))
    _check_target(target, store.root)
    from fastk.report.content import page_of

    facts = inspect_store(store, gaps=gaps, scrub=scrub, progress=progress)
    patterns = [series] if isinstance(series, str) else list(series)
    name = os.path.basename(os.path.abspath(store.root)) if title is None else title
    content = page_of(store, facts, patterns, name, datetime.now(UTC)).encode("utf-8", "replace")
    _write(target, content)
    return ReportResult(target, len(content), facts)


def _check_libraries() -> None:
    missing = [name for name in _NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        raise FastKError(f"the report needs {', '.join(missing)}: pip install 'fastk-engine[report]'")


def _check_target(target: str, root: str) -> None:
    """Refuse what cannot be written before the long work."""
    inside = os.path.realpath(root)
    if os.path.commonpath([inside, os.path.realpath(target)]) == inside:
        raise InvalidInput(f"{target} lies in the store, where only its own files belong; write the page elsewhere")
    if os.path.isdir(target):
        raise InvalidInput(f"{target} is a folder; name a file for the page")
    if not os.path.isdir(os.path.dirname(target)):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), target)


def _write(target: str, content: bytes) -> None:
    """Under a temporary name first, so that nobody sees half a page."""
    disk = Disk()
    temporary = f"{target}.{os.getpid()}.tmp"
    disk.create(temporary, [content])
    try:
        disk.rename(temporary, target)
    except BaseException:
        with suppress(OSError):
            disk.remove(temporary)
        raise
