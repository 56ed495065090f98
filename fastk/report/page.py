"""`write_report`: a store inspected, drawn, and written as one page."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from fastk.errors import FastKError
from fastk.inspect.whole_store import inspect_store
from fastk.interop.whole_file import checked_target, whole_file

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

    The file comes whole or not at all, and in the place of one of that name; InvalidInput if it lay within a store.
    Needs the extra ``report``. Cost: that of the inspection, and one pass over the columns that are drawn.
    """
    _check_libraries()
    target = os.path.abspath(os.fspath(path))
    checked_target(target)
    from fastk.report.content import page_of

    facts = inspect_store(store, gaps=gaps, scrub=scrub, progress=progress)
    patterns = [series] if isinstance(series, str) else list(series)
    name = os.path.basename(os.path.abspath(store.root)) if title is None else title
    content = page_of(store, facts, patterns, name, datetime.now(UTC)).encode("utf-8", "replace")
    with whole_file(target) as temporary, open(temporary, "wb") as file:
        file.write(content)
    return ReportResult(target, len(content), facts)


def _check_libraries() -> None:
    missing = [name for name in _NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        raise FastKError(f"the report needs {', '.join(missing)}: pip install 'fastk-engine[report]'")
