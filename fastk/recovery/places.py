"""Where the files of a series lie, whatever its manifest says; and verdicts about them."""

from __future__ import annotations

import os.path
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastk.format import names
from fastk.recovery.verdicts import NOWHERE, Code, Problem, Severity, Span, Verdict

if TYPE_CHECKING:
    from fastk.keys import SeriesKey


@dataclass(frozen=True, slots=True)
class Place:
    """The folder of one series below a root."""

    root: str
    folder: str
    key: SeriesKey

    @property
    def chunks(self) -> str:
        """The folder of chunks and sidecars."""
        return os.path.join(self.folder, names.CHUNKS_FOLDER)

    @property
    def manifest(self) -> str:
        """The path of ``series.meta``."""
        return os.path.join(self.folder, names.MANIFEST_FILE)

    @property
    def temporary(self) -> str:
        """The path of ``series.meta.tmp``."""
        return os.path.join(self.folder, names.MANIFEST_TEMPORARY)

    def chunk(self, name: str) -> str:
        """The path of a file in the folder of chunks."""
        return os.path.join(self.chunks, name)

    def table(self, kind: str, table_id: int) -> str:
        """The path of a table (``chunks`` or ``retired``)."""
        return os.path.join(self.folder, names.table_file_name(kind, table_id))

    @property
    def series_dir(self) -> str:
        """The folder, below the root."""
        return below(self.root, self.folder)

    def within(self, path: str) -> str:
        """A path below the folder of the series."""
        return below(self.folder, path)

    def verdict(self, problem: Problem, path: str, span: Span = NOWHERE, severity: Severity | None = None) -> Verdict:
        """A problem of a file of this series."""
        return verdict(self.root, path, problem, span, severity, str(self.key))

    def say(self, code: Code, path: str, detail: str, span: Span = NOWHERE) -> Verdict:
        """A verdict in words."""
        return self.verdict(Problem(code, detail), path, span)


def below(root: str, path: str) -> str:
    """A path relative to a folder above it, with ``/`` on every system; ``.`` for the folder itself."""
    return os.path.relpath(path, root).replace(os.sep, "/")


def verdict(
    root: str,
    path: str,
    problem: Problem,
    span: Span = NOWHERE,
    severity: Severity | None = None,
    series: str | None = None,
) -> Verdict:
    """A problem of a file below a root."""
    code, detail, offset = problem
    return Verdict(code, severity or code.severity, below(root, path), offset, _about(path, detail), series, *span)


def _about(path: str, detail: str) -> str:
    """What the parsers say of a file, whose path stands in the verdict already."""
    words = detail.removeprefix(f"{path}: ")
    return f"it{words.removeprefix(path)}" if words.startswith(path) else words
