"""The budget of maps: how many chunks stay mapped, and which are let go first.

The policy is CLOCK (F. J. Corbato, "A Paging Experiment with the Multics System", 1968): a read sets one flag of the
chunk, nothing else, and the sweep passes over flagged chunks once. It costs the hot path 20 ns, an LRU list 60.
"""

from __future__ import annotations

from _thread import RLock  # what threading.RLock is, without a millisecond of that module
from collections import deque
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Protocol, TypeVar

    class Mapped(Protocol):
        """What the cache keeps: a mapped file, and whether it was used since the sweep last passed."""

        used: bool

    class Tailed(Protocol):
        """What keeps its last chunk mapped."""

        tail: Any

    _Mapped = TypeVar("_Mapped", bound=Mapped)

_SYSTEM_LIMIT_FILE = "/proc/sys/vm/max_map_count"
_COMMON_LIMIT = 65_530


def default_budget() -> int:
    """Half of the system's limit on maps of a process: the rest is for libraries and for views that callers keep."""
    try:
        with open(_SYSTEM_LIMIT_FILE) as file:
            limit = int(file.read())
    except (OSError, ValueError):
        limit = _COMMON_LIMIT
    return max(16, min(limit, _COMMON_LIMIT) // 2)


class MapCache:
    """At most ``budget`` files mapped through one store object; views keep their maps alive beyond eviction.

    ``derived`` is for what was made of several maps and keeps them alive, by series id, column, kernels and maker: it
    is emptied as soon as any map is let go. ``held`` are chunks that sessions keep mapped beyond that, as long as these
    live. What runs while the lock is held may come back here: a collection of garbage may close the store.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.derived: dict[tuple[Any, ...], Any] = {}
        self.held: WeakSet[Any] = WeakSet()
        self._tailed: dict[int, WeakSet[Tailed]] = {}
        self._ring: deque[tuple[dict[int, Any], int]] = deque()
        self._lock = RLock()

    def __len__(self) -> int:
        return len(self._ring)

    @property
    def most_held(self) -> int:
        """How many chunks sessions may keep: with them and the budget, a quarter of the system's limit is left."""
        return self.budget // 2

    def add(self, owner: dict[int, _Mapped], chunk_id: int, chunk: _Mapped) -> _Mapped:
        """Keep a newly mapped chunk, or the index of one, in its owner's dictionary.

        Returns the one that another thread may have put there before.
        """
        with self._lock:
            present = owner.setdefault(chunk_id, chunk)
            if present is chunk:
                self._ring.append((owner, chunk_id))
                self._shrink()
        return present

    def hold_tail(self, owner: dict[int, Any], reader: Tailed, tail: Any) -> None:
        """Set a reader's ``tail``, which keeps a chunk of an owner mapped, until any of that owner is let go."""
        with self._lock:
            reader.tail = tail  # first: what closes the reader while the other line runs takes it away again
            self._tailed.setdefault(id(owner), WeakSet()).add(reader)

    def _forget_tails(self, owner: dict[int, Any]) -> None:
        for reader in self._tailed.pop(id(owner), ()):
            reader.tail = None

    def forget(self, owners: Iterable[dict[int, Any]]) -> None:
        """Let go of all chunks of some owners, in one pass over the ring for all of them."""
        with self._lock:
            gone = set()
            for owner in owners:
                owner.clear()
                self._forget_tails(owner)
                gone.add(id(owner))
            self.derived.clear()
            self._ring = deque(entry for entry in list(self._ring) if id(entry[0]) not in gone)

    def let_go(self, series_id: int, owners: Iterable[dict[int, Any]], chunk_ids: Iterable[int]) -> None:
        """Let go of some chunks of one series, and of what was derived of its maps.

        Their places in the ring stay until the sweep comes by: to find them would take a pass over all.
        """
        with self._lock:
            owners = list(owners)
            for chunk_id in chunk_ids:
                for owner in owners:
                    owner.pop(chunk_id, None)
            for owner in owners:
                self._forget_tails(owner)
            for key in list(self.derived):  # queries of other threads add to it without the lock
                if key[0] == series_id:
                    self.derived.pop(key, None)

    def clear(self) -> None:
        """Let go of all chunks."""
        with self._lock:
            for owner, _ in list(self._ring):
                owner.clear()
                self._forget_tails(owner)
            self.derived.clear()
            self._ring = deque()

    def _shrink(self) -> None:
        ring = self._ring  # that of this moment: a store that closes within leaves it, with owners that are empty
        while len(ring) > self.budget:
            owner, chunk_id = ring.popleft()
            chunk = owner.get(chunk_id)
            if chunk is None:
                continue
            if chunk.used:
                chunk.used = False
                ring.append((owner, chunk_id))
            else:
                owner.pop(chunk_id, None)
                self._forget_tails(owner)
                self.derived.clear()
