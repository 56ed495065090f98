"""Windows of a matrix as a map-style dataset: what PyTorch's DataLoader takes, without torch.

A dataset travels to the processes of a loader as a few hundred bytes: the path of a saved matrix, or what a matrix was
asked of a store, to which an array of times belongs if its grid was given as one. There it maps the files anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from fastk.arrays import is_integer
from fastk.errors import InvalidInput, SnapshotExpired
from fastk.matrix.matrix import FeatureMatrix, checked_window
from fastk.matrix.plan import Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from fastk.matrix.plan import Plan
    from fastk.matrix.request import MatrixLabel, Request

    Transform = Callable[[Any], Any] | None


class Recipe(NamedTuple):
    """How a matrix came to be: the store, what was asked of it, and which rows its series had then."""

    root: str
    request: Request
    contents: tuple[tuple[int, int], ...]
    open: Callable[[str, Request], Plan]


class RowSource(Protocol):
    """Whatever gives rows of a matrix as a new array (rows x columns)."""

    def rows(self, start: int, stop: int) -> NDArray[Any]:
        """Rows ``start`` to ``stop``."""


class _Table:
    """Rows of a matrix in memory or on disk."""

    def __init__(self, matrix: FeatureMatrix) -> None:
        self._table = matrix.table

    def rows(self, start: int, stop: int) -> NDArray[Any]:
        """A copy: loaders turn arrays into tensors that share their memory."""
        return np.array(self._table[start:stop], order="C")


class _Planned:
    """Rows that are gathered from the store one window at a time."""

    def __init__(self, recipe: Recipe) -> None:
        plan = recipe.open(recipe.root, recipe.request)
        if contents_of(plan) != recipe.contents:
            raise SnapshotExpired(
                f"{recipe.root}: rows of the matrix's series were changed since it was made; make it anew, or save it "
                f"and load it from there"
            )
        self._plan = plan

    def rows(self, start: int, stop: int) -> NDArray[Any]:
        """The rows, verified as they are touched."""
        out = np.empty((stop - start, self._plan.columns), self._plan.dtype)
        self._plan.fill(start, stop, Target(out))
        return out


def contents_of(plan: Plan) -> tuple[tuple[int, int], ...]:
    """What tells whether the rows of the series are still the same: identity, and the commit that last changed rows."""
    return tuple(
        (source.snapshot.settings.series_id, source.snapshot.manifest.content_sequence) for source in plan.sources
    )


class WindowDataset:
    """Windows of a matrix: ``dataset[i]`` is window i as a new, writable array, or ``(inputs, target)``.

    Window i has ``length`` rows, from row ``i * stride`` on, as (rows, columns) or, of a matrix of layout "TSF" whose
    columns are all taken, (rows, symbols, features). ``inputs`` names the columns taken (default: all). With
    ``targets`` each item is a pair, and its second part are those columns ``horizon`` rows after the window's last one.
    ``transform`` is called with each item last.

    It works as a map-style dataset for ``torch.utils.data.DataLoader``, with any number of workers, forked or spawned:
    pickled, it is the path of the saved matrix, or what was asked of the store (with a grid that was given as an array:
    8 bytes a row); then each worker maps the files and gathers the windows that it is asked for. SnapshotExpired if
    rows of the series were changed meanwhile, or another matrix lies at the path. A matrix that lies in memory alone,
    as one in ``out=`` of the caller, does not travel: TypeError, which names ``save``.
    """

    def __init__(self, facts: Facts, matrix: FeatureMatrix) -> None:
        self._facts = facts
        self._recipe = matrix.recipe
        self._path = matrix.path
        self._digest = matrix.digest
        self._source: RowSource | None = _Table(matrix)

    @classmethod
    def of(
        cls,
        matrix: FeatureMatrix,
        length: int,
        stride: int,
        inputs: Sequence[int | MatrixLabel] | None,
        targets: Sequence[int | MatrixLabel] | None,
        horizon: int,
        transform: Transform,
    ) -> WindowDataset:
        """The windows of a matrix."""
        length, stride = checked_window(length, stride)
        if not is_integer(horizon) or horizon < 0:
            raise InvalidInput(f"horizon must be an int of 0 or more, not {horizon!r}")
        places, wanted = (
            None if labels is None else [matrix.place(label) for label in labels] for labels in (inputs, targets)
        )
        shape = matrix.values.shape[1:] if matrix.layout == "TSF" and places is None else None
        facts = Facts(len(matrix), length, stride, places, wanted, int(horizon), shape, transform)
        return cls(facts, matrix)

    def __len__(self) -> int:
        facts = self._facts
        needed = facts.length + (0 if facts.targets is None else facts.horizon)
        return max(0, (facts.rows - needed) // facts.stride + 1)

    def __getitem__(self, index: int) -> Any:
        if not is_integer(index) or not -len(self) <= index < len(self):
            raise IndexError(f"window {index!r} of {len(self):,}")
        facts = self._facts
        start = int(index) % len(self) * facts.stride
        source = self._source or self._open()
        rows = source.rows(start, start + facts.length)
        item: Any = rows if facts.inputs is None else rows[:, facts.inputs]
        if facts.shape is not None:
            item = item.reshape(facts.length, *facts.shape)
        if facts.targets is not None:
            last = start + facts.length - 1 + facts.horizon
            item = item, source.rows(last, last + 1)[0, facts.targets]
        return item if facts.transform is None else facts.transform(item)

    def __iter__(self) -> Iterator[Any]:
        return (self[index] for index in range(len(self)))

    def __repr__(self) -> str:
        return f"<WindowDataset of {len(self):,} windows of {self._facts.length:,} rows>"

    def _open(self) -> RowSource:
        """Map what the dataset was sent without."""
        if self._path is not None:
            self._source = _Table(self._load(self._path))
        elif self._recipe is not None:
            self._source = _Planned(self._recipe)
        assert self._source is not None
        return self._source

    def _load(self, path: str) -> FeatureMatrix:
        matrix = FeatureMatrix.load(path)
        if matrix.digest != self._digest:
            raise SnapshotExpired(f"{path}: another matrix lies there than the dataset was made of; make it anew")
        return matrix

    def __getstate__(self) -> dict[str, Any]:
        if self._path is None and self._recipe is None:
            raise TypeError(
                "this dataset lies in memory alone (as a matrix in out= does), and pickling would copy all of it: save "
                "the matrix, and take matrix.save(path).dataset(...)"
            )
        return {**self.__dict__, "_source": None}


class Facts(NamedTuple):
    """What decides the windows of a dataset; ``inputs`` and ``targets`` are places of columns."""

    rows: int
    length: int
    stride: int
    inputs: list[int] | None
    targets: list[int] | None
    horizon: int
    shape: tuple[int, ...] | None
    transform: Transform
