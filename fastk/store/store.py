"""The store: a root folder, its series, and who may write to it."""

from __future__ import annotations

import os.path
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from fastk.engine.cache import MapCache, default_budget
from fastk.engine.files import SeriesFiles, make_folders, refuse
from fastk.engine.gate import WriteGate
from fastk.engine.layouts import FORMAT_3, Layout, find_original
from fastk.engine.reader import SeriesReader
from fastk.errors import FastKError, InvalidData, InvalidInput, NotFound, StoreClosed, UnsupportedVersion
from fastk.format import names
from fastk.format.store_file import check_store_file, encode_store_file
from fastk.io.disk import Disk
from fastk.keys import ScalarSeriesKey, SeriesKey, as_series_key, matches
from fastk.schema.schema import Schema
from fastk.schema.settings import SeriesSettings, adapted
from fastk.store.datasets import Datasets
from fastk.store.file_names import FileNames
from fastk.store.matrix_names import MatrixNames
from fastk.store.metrics_names import MetricsNames
from fastk.store.original_names import OriginalNames
from fastk.store.query_names import QueryNames
from fastk.store.recovery_names import RecoveryNames
from fastk.store.replay_names import ReplayNames
from fastk.store.series import Series
from fastk.store.session_names import SessionNames
from fastk.store.upkeep import Upkeep
from fastk.times import TimeUnit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from types import TracebackType

    from fastk.engine.compaction import CompactionPolicy
    from fastk.engine.files import Unlisted
    from fastk.engine.mapped import Verify
    from fastk.engine.writer import Writer
    from fastk.partition import PartitionPolicy, PartitionUnit
    from fastk.store import reports

    Mode = Literal["rw", "r"]
    Key = SeriesKey | ScalarSeriesKey | tuple[str, str, str]
    Progress = Callable[[int, int], None]


class FastKStore(
    OriginalNames,
    QueryNames,
    RecoveryNames,
    ReplayNames,
    MatrixNames,
    SessionNames,
    MetricsNames,
    FileNames,
    Upkeep,
    Datasets,
):
    """A folder of series. Open it with :meth:`open`; one writer at a time, any number of readers, no server.

    Safe to share between threads. Opening reads one small file and changes nothing.
    """

    def __init__(
        self,
        root: str,
        mode: Mode,
        *,
        verify: Verify,
        lock_timeout: float,
        max_maps: int | None,
        grace_seconds: float,
        policy: CompactionPolicy | None,
        disk: Disk,
    ) -> None:
        self.root = root
        self.mode = mode
        self._disk = disk
        self._verify = verify
        self._maps = MapCache(default_budget() if max_maps is None else max_maps)
        self._gate = WriteGate(disk, root, writable=mode == "rw", timeout=lock_timeout)
        self._grace_ms = int(grace_seconds * 1000)
        self._lock_timeout = lock_timeout
        self._given_policy = policy
        self._series: dict[SeriesKey, Series] = {}
        self._readers: dict[SeriesKey, SeriesReader] = {}
        self._closed = False
        self._layout = FORMAT_3
        self._initialized = self._check_root()

    @cached_property
    def _writer(self) -> Writer:
        if self.is_original:
            self._gate.check_open()
        from fastk.engine.writer import Writer  # here, because a process that only reads need not load it

        policy = self.compaction_policy
        return Writer(self._disk, self.root, self._gate, self._grace_ms, policy, self._hold_for_sessions)

    def _open_writer(self) -> Writer:
        """The writer, if this store object may write."""
        self._gate.check_open()
        return self._writer

    @classmethod
    def open(
        cls,
        root: str | os.PathLike[str],
        mode: Mode = "rw",
        *,
        verify: Verify = "touch",
        lock_timeout: float = 10.0,
        max_maps: int | None = None,
        grace_seconds: float = 3600.0,
        policy: CompactionPolicy | None = None,
        disk: Disk | None = None,
    ) -> FastKStore:
        """Open a store.

        A missing or empty root becomes a store at :meth:`init` or the first mutation; in mode ``"r"`` it is NotFound.
        A folder that holds something else raises InvalidInput, a newer format UnsupportedVersion. A store of the
        original opens in mode ``"r"`` only: :func:`fastk.migrate` makes one of this format from it.

        ``verify``: when checksums are compared: on first ``"touch"`` of a block (default), at ``"open"`` of a chunk, or
        ``"never"``. ``lock_timeout``: seconds to wait for another writer. ``max_maps``: how many chunks stay mapped
        (default: half of the system's limit). ``grace_seconds``: how long files stay that no newer state names.
        ``policy``: when chunks are merged (default: :class:`fastk.CompactionPolicy`). ``disk`` is the seam for tests.
        """
        for name, value, allowed in (("mode", mode, ("rw", "r")), ("verify", verify, ("touch", "open", "never"))):
            if value not in allowed:
                raise InvalidInput(f"{name}={value!r} is unknown: give {' or '.join(map(repr, allowed))}")
        if max_maps is not None and (type(max_maps) is not int or max_maps < 1):
            raise InvalidInput(f"max_maps must be an int of 1 or more, not {max_maps!r}")
        for name, seconds in (("lock_timeout", lock_timeout), ("grace_seconds", grace_seconds)):
            if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds < 1e9:
                raise InvalidInput(f"{name} must be a number of seconds from 0 to 10**9, not {seconds!r}")
        if policy is not None:
            from fastk.engine.compaction import checked_policy

            checked_policy(policy)
        path = _checked_path(root)
        return cls(
            path,
            mode,
            verify=verify,
            lock_timeout=lock_timeout,
            max_maps=max_maps,
            grace_seconds=grace_seconds,
            policy=policy,
            disk=disk or Disk(),
        )

    def _check_root(self) -> bool:
        """Whether the root is a store already; errors if it is something else."""
        if self.mode == "rw":
            self._gate.check_mutable()
        store_file = os.path.join(self.root, names.STORE_FILE)
        try:
            content = self._disk.read(store_file)
        except NotADirectoryError:
            raise InvalidInput(f"{self.root} is a file; a store is a folder") from None
        except FileNotFoundError:
            return self._check_may_become_store()
        except OSError:
            entry = self._disk.entries(self.root).get(names.STORE_FILE)
            if entry is None or entry.kind != "link":
                raise
            raise InvalidData(
                f"{store_file} is a symbolic link, which is not followed: put the file itself in its place, or let "
                f"`fastk_admin repair` write it anew"
            ) from None
        check_store_file(content, store_file)
        return True

    def _check_may_become_store(self) -> bool:
        """Whether the root is a store of the original; errors if it is neither that nor empty."""
        if self._disk.exists(self.root) and not self._disk.is_folder(self.root):
            raise InvalidInput(f"{self.root} is a file; a store is a folder")
        foreign = [name for name in self._disk.list(self.root) if not name.startswith((".fastk.", names.STORE_FILE))]
        original = find_original(self._disk, self.root) if foreign else None
        if original is not None:
            self._open_original(original)
            return True
        if foreign and foreign != [names.SERIES_FOLDER]:
            advice = "check the path" if self.mode == "r" else "name an empty or new folder"
            raise InvalidInput(f"{self.root} is not empty and no store (it holds {', '.join(foreign[:3])}); {advice}")
        if foreign and self._disk.list(os.path.join(self.root, names.SERIES_FOLDER)):
            raise InvalidData(
                f"{self.root} looks like a store whose file {names.STORE_FILE} is missing; restore it with "
                f"the content {encode_store_file().decode().strip()}"
            )
        if self.mode == "r":
            raise NotFound(
                f"there is no store at {self.root}; check the path, or open it with mode='rw' in a program to create it"
            )
        return False

    def _open_original(self, layout: Layout) -> None:
        refusal = (
            f"{self.root} is a store of the original FastK, which is read and never written: make a store of this "
            f"format from it with `fastk migrate {self.root} TARGET` (fastk.migrate)"
        )
        if self.mode != "r":
            raise UnsupportedVersion(f"{refusal}, or open it with mode='r'")
        self._layout = layout
        self._gate.refuse(refusal)

    @property
    def is_original(self) -> bool:
        """Whether this is a store of the original, which is read only."""
        return self._layout is not FORMAT_3

    def init(self) -> FastKStore:
        """Create the store's folder unless it exists; returns the store. Any mutation does this by itself."""
        self._gate.check_open()
        if not self._initialized:
            with self._gate.shutting():
                make_folders(self._disk, self.root)
            with self._gate.hold():
                self._disk.make_folder(os.path.join(self.root, names.SERIES_FOLDER))
                store_file = os.path.join(self.root, names.STORE_FILE)
                temporary = os.path.join(self.root, names.STORE_TEMPORARY)
                if not self._disk.exists(store_file):
                    self._disk.replace_unnamed(temporary, [encode_store_file()])
                    self._disk.rename(temporary, store_file)
                self._disk.sync_folder(self.root)
            self._initialized = True
        return self

    def close(self) -> None:
        """Let go of all maps; further use raises StoreClosed.

        Arrays and rows that were handed out stay valid, except that rows over more chunks than a quarter of the budget
        of maps open their chunks as they are used, and can no longer.
        """
        self._closed = True
        self._gate.shut("the store was closed; open it again")
        self._close_sessions()
        for reader in list(self._readers.values()):
            reader.close()
        self._maps.clear()

    def __enter__(self) -> FastKStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<FastKStore {self.root!r}, mode {self.mode!r}{', closed' if self._closed else ''}>"

    def _repr_html_(self) -> str:
        from fastk.interop.notebook import store_html

        if self._closed:
            return store_html(repr(self).strip("<>"), 0, ())
        keys = sorted(key for key, _ in self._series_folders())
        entries = (entry for entry in map(self._inventory_entry, keys) if entry is not None)
        return store_html(repr(self).strip("<>"), len(keys), entries)

    # Series

    def series(self, key: Key) -> Series:
        """The handle of a series of any record type: (symbol, category, name) or a scalar key."""
        try:
            return self._series[key]  # type: ignore[index]
        except (KeyError, TypeError):
            return self._new_handle(as_series_key(key))

    def _new_handle(self, key: SeriesKey) -> Series:
        reader = self._reader_of(key)
        return self._series.setdefault(key, self._as_measured(Series(reader, self._open_writer)))

    def _reader_of(self, key: SeriesKey) -> SeriesReader:
        """Which state of a series this store object sees; of any key, whether there is such a series or not."""
        self._check_open()
        return self._readers.get(key) or self._readers.setdefault(key, self._new_reader(key))

    def _new_reader(self, key: SeriesKey) -> SeriesReader:
        layout, dropped = self._layout, os.path.join(self.root, names.DROPPED_FOLDER)
        files = layout.files(self.root, key)
        return SeriesReader(self._disk, files, dropped, self._maps, self._verify, layout.chunks)

    def register_series(
        self,
        key: Key,
        schema: Schema,
        *,
        timeframe_ms: int = 0,
        scales: Mapping[str, int] | None = None,
        time_unit: TimeUnit | str = TimeUnit.MILLISECONDS,
        partition: PartitionUnit | PartitionPolicy | str | None = None,
        unique_ts: bool | None = None,
        zone_maps: Iterable[str] | None = None,
        value_indexes: Iterable[str] | None = None,
    ) -> Series:
        """Create a series of any schema, or find it registered with the same settings; InvalidInput if with others.

        ``scales`` gives a divisor for each scale that the schema's fields name (default 1). ``partition``,
        ``unique_ts``, ``zone_maps`` and ``value_indexes`` (the columns that predicates shall find fast, at some cost
        of each put) override the schema's own.
        """
        series_key = as_series_key(key)
        try:
            unit = TimeUnit(time_unit)
        except ValueError:
            raise InvalidInput(f"time_unit {time_unit!r} is unknown: give 'ms', 'us' or 'ns'") from None
        shape = adapted(
            schema, unique_ts=unique_ts, partition=partition, zone_maps=zone_maps, value_indexes=value_indexes
        )
        wanted = SeriesSettings(series_key, shape, 0, 0, timeframe_ms, unit, dict(scales or {}))
        handle = self.series(series_key)
        self.init()
        self._writer.register(self._readers[series_key].files, wanted)
        return handle

    def drop_series(self, key: Key) -> None:
        """Remove a series, atomically. Its files stay aside for the grace period, so that open readers go on."""
        series_key = as_series_key(key)
        self._gate.check_open()
        files = SeriesFiles(self.root, series_key)
        files.check_plain(self._disk)
        if not self._disk.exists(files.manifest):
            raise NotFound(f"series {series_key} is not in the store; see list_series()")
        self._writer.drop(files)
        if series_key in self._readers:
            self._readers[series_key].unpin()

    def refresh(self) -> int:
        """Move every pinned series to its newest committed state; returns how many moved.

        A damaged series keeps no other from moving; its error is raised at the end.
        """
        self._check_open()
        moved, problem = 0, None
        for reader in list(self._readers.values()):
            try:
                moved += reader.refresh()
            except NotFound:
                reader.unpin()
                moved += 1
            except (FastKError, OSError) as error:
                problem = problem or error
        if problem is not None:
            raise problem
        return moved

    def _check_open(self) -> None:
        if self._closed:
            raise StoreClosed(f"{self.root}: the store was closed; open it again")

    # Listings

    def list_series(
        self, symbol: str = "*", category: str = "*", name: str = "*", *, progress: Progress | None = None
    ) -> list[reports.SeriesInventoryEntry]:
        """The series whose parts match the shell patterns, sorted by symbol, category, name.

        One unreadable manifest hides nothing else: its entry carries the ``problem``. So does the entry of a folder
        that cannot be listed, with "?" for the parts of keys that it hides. ``progress(done, total)`` counts series.
        Cost: one small read a series.
        """
        self._check_open()
        hiding, patterns = list[tuple[str, OSError]](), (symbol, category, name)
        folders = self._series_folders(lambda path, error: hiding.append((path, error)))
        keys = [key for key, _ in folders if all(map(matches, key, patterns))]
        found = [self._inventory_entry(key) for key in _counted(keys, progress)]
        found += [self._entry_of_folder(*each, patterns) for each in hiding]
        entries = [entry for entry in found if entry is not None]
        return sorted(entries, key=lambda entry: (entry.symbol, entry.category, entry.name))

    def _inventory_entry(self, key: SeriesKey) -> reports.SeriesInventoryEntry | None:
        """The newest state of a series; None for a folder whose registration was never finished.

        A reader that is made for it goes at once: kept, those of 8,000 series held 30 MB, and the garbage collector
        that went through them took up to a fifth of a listing's time (measured).
        """
        from fastk.store import reports

        self._check_open()
        reader = self._readers.get(key) or self._new_reader(key)
        try:
            return reports.inventory_entry(reader.newest())
        except NotFound:
            return self._entry_without_manifest(reader.files)
        except (FastKError, OSError) as error:
            return reports.SeriesInventoryEntry(*key, "?", 0, 0, 0, 0, 0, problem=str(error))

    def _entry_of_folder(
        self, path: str, error: OSError, patterns: tuple[str, str, str]
    ) -> reports.SeriesInventoryEntry | None:
        """The entry of a folder that hides series; None if none of them would match."""
        from fastk.store import reports

        top = os.path.join(self.root, names.SERIES_FOLDER)
        if path == top:
            raise error
        parts = [names.readable_component(part) for part in os.path.relpath(path, top).split(os.sep)]
        if not all(map(matches, parts, patterns)):
            return None
        symbol, category, name = (*parts, "?", "?")[:3]
        return reports.SeriesInventoryEntry(symbol, category, name, "?", 0, 0, 0, 0, 0, problem=str(error))

    def _entry_without_manifest(self, files: SeriesFiles) -> reports.SeriesInventoryEntry | None:
        from fastk.store import reports

        try:
            files.check_not_lost(self._disk)
        except InvalidData as error:
            return reports.SeriesInventoryEntry(*files.key, "?", 0, 0, 0, 0, 0, problem=str(error))
        return None

    def _series_folders(self, unlisted: Unlisted = refuse) -> Iterator[tuple[SeriesKey, str]]:
        """Key and path of every folder that is named like a series; ``unlisted`` hears of those that hide some."""
        return self._layout.folders(self._disk, self.root, unlisted)

    def store_stats(self, *, progress: Progress | None = None) -> reports.StoreStats:
        """Sums over all readable series; ``progress`` as in :meth:`list_series`. Linear in series and chunks."""
        from fastk.store import reports

        return reports.store_stats(self.list_series(progress=progress))


def open_store(root: str | os.PathLike[str], mode: Mode = "rw", **options: Any) -> FastKStore:
    """:meth:`FastKStore.open`, as ``fastk.open``."""
    return FastKStore.open(root, mode, **options)


def _counted(keys: list[SeriesKey], progress: Progress | None) -> Iterator[SeriesKey]:
    """The keys; ``progress`` hears how many are done, and of how many."""
    for done, key in enumerate(keys):
        if progress is not None:
            progress(done, len(keys))
        yield key
    if progress is not None:
        progress(len(keys), len(keys))


def _checked_path(root: str | os.PathLike[str]) -> str:
    path = os.fspath(root) if isinstance(root, (str, os.PathLike)) else None
    if not isinstance(path, str) or not path.strip() or "\0" in path:
        raise InvalidInput(f"{root!r} is no path of a folder")
    return os.path.abspath(path)
