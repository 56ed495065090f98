"""A version of a store: all series of one moment, which nothing changes any more."""

import errno
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from builders import DAY, JANUARY, MINUTE, bars, contents, temporary_folder
from dataset_stories import MONTHS, fill, message, picture, picture_of

import fastk
from fastk import DatasetRegistry, InvalidData, InvalidInput, NotFound, versioned_dataset_root
from fastk.format import chunk_tables
from fastk.io import disk
from fastk.io.disk import Disk
from fastk.registry import snapshots

BTC = ("BTCUSDT", "kline", "1d")


@pytest.fixture
def place():
    with temporary_folder() as folder:
        yield folder


@pytest.fixture
def live(place):
    with fastk.open(place / "live", grace_seconds=0) as store:
        yield fill(store)


@pytest.fixture
def base(place):
    return place / "base"


class TestRoot:
    def test_lies_below_the_base(self):
        assert versioned_dataset_root("/b", "binance-um", "2024-02") == Path("/b/datasets/binance-um/2024-02")
        assert versioned_dataset_root(Path("b"), "BTCUSDT_1m", "v1.0") == Path("b/datasets/BTCUSDT_1m/v1.0")

    @pytest.mark.parametrize(
        "name", ["..", ".", "../../x", "/etc", "a/b", "a\\b", "C:", "con", ".fastk.building-1", "x."]
    )
    def test_never_leaves_the_base(self, name):
        for root in (versioned_dataset_root("/b", name, "1"), versioned_dataset_root("/b", "id", name)):
            assert os.path.normpath(root) == str(root)
            assert root.parts[:3] == ("/", "b", "datasets")
            assert len(root.parts) == 5
            assert not any(part.startswith(".") or part.endswith(".") for part in root.parts)

    def test_is_another_one_for_another_name(self):
        names = ["a/b", "a%2Fb", "a", "A", "ä", "..", "%2E%2E"]
        assert len({versioned_dataset_root("/b", name, "1") for name in names}) == len(names)

    @pytest.mark.parametrize("name", ["", " ", "a\n", "x" * 241, None, 7])
    def test_of_what_is_no_name_is_refused(self, name):
        assert "dataset_id" in message(versioned_dataset_root, "/b", name, "1")
        assert "version" in message(versioned_dataset_root, "/b", "id", name)
        assert "base" in message(versioned_dataset_root, " ", "id", "1")


class TestVersion:
    def test_holds_what_the_store_held(self, live, base):
        before = picture(live)
        result = live.snapshot("crypto", "1", base)
        assert picture_of(result.ref.fastk_root) == before == picture(live)
        assert Path(result.ref.fastk_root) == base / "datasets" / "crypto" / "1"
        assert [series.key for series in result.series] == sorted(before)
        assert [series.rows for series in result.series] == [len(before[key]["ts"]) for key in sorted(before)]

    def test_is_registered_with_its_span_and_digest(self, live, base):
        result = live.snapshot("crypto", "1", base, source="exchange", market="spot", status="checked")
        with DatasetRegistry.open(base / "registry.sqlite", "r") as registry:
            record = registry.get_dataset("crypto", "1")
        assert record == result.record
        assert (record.source, record.market, record.status) == ("exchange", "spot", "checked")
        assert (record.start_ts, record.end_ts) == (JANUARY, MONTHS[2] + 8 * DAY)
        assert record.checksum == result.digest
        assert result.digest.startswith("sha256:")

    def test_says_its_span_in_ms_whatever_the_unit(self, live, base):
        for unit, factor in (("us", 10**3), ("ns", 10**6)):
            series = live.register_series(("X", "own", unit), fastk.SCALAR, time_unit=unit)
            series.put({"ts": np.array([(JANUARY - DAY) * factor + 1, JANUARY * factor]), "value": np.arange(2)})
        assert live.snapshot("crypto", "1", base).record.start_ts == JANUARY - DAY

    def test_goes_into_the_registry_that_is_named(self, live, base, place):
        live.snapshot("a", "1", base, place / "other.sqlite")
        with DatasetRegistry.in_memory() as registry:
            live.snapshot("a", "2", base, registry)
            assert [record.version for record in registry.list_datasets()] == ["2"]
        with DatasetRegistry.open(place / "other.sqlite", "r") as registry:
            assert [record.version for record in registry.list_datasets()] == ["1"]
        assert not (base / "registry.sqlite").exists()

    def test_shares_its_files_with_the_store(self, live, base):
        result = live.snapshot("crypto", "1", base)
        files = (path for path in Path(result.ref.fastk_root).rglob("*") if path.is_file())
        of_version = {file for file in files if file.stat().st_nlink == 2}
        assert len(of_version) == result.linked
        assert result.copied == 0
        assert {file.suffix for file in of_version} == {".chunk", ".zmap", ".vix"}

    def test_holds_chunk_tables(self, live, base, monkeypatch):
        monkeypatch.setattr(chunk_tables, "INLINE_MAX", 2)
        monkeypatch.setattr(chunk_tables, "TABLE_MAX", 2)
        live.series(BTC).put(bars(MONTHS[3], 5, DAY))
        result = live.snapshot("crypto", "1", base)
        assert list(Path(result.ref.fastk_root).rglob("chunks.*.table"))
        assert picture_of(result.ref.fastk_root) == picture(live)

    def test_has_nothing_of_what_was_retired_or_dropped(self, live, base):
        live.series(BTC).merge()
        live.drop_series(("ETHUSDT", "kline", "1d"))
        root = Path(live.snapshot("crypto", "1", base).ref.fastk_root)
        with fastk.open(root, "r") as version:
            named = {meta.relative_path for meta in version.series(BTC).chunk_inventory()}
            assert version.gc(dry_run=True).retired_files == 0
        files = {f"chunks/{file.name}" for file in (root / "series/BTCUSDT/kline/1d/chunks").iterdir()}
        assert files == named
        assert sorted(path.name for path in root.iterdir()) == ["fastk.dataset", "fastk.store", "series"]

    def test_answers_queries_by_its_sidecars(self, live, base):
        result = live.snapshot("crypto", "1", base)
        shutil.rmtree(live.root)
        with fastk.open_dataset(result.ref) as version:
            key = fastk.feature_series_key("BTCUSDT", "1d", "rsi_14")
            found = version.series(key).where("value", fastk.Eq(-3))
            assert found.rows.ts.tolist() == [JANUARY + DAY]
            capabilities = version.series(key).query_capabilities("value")
            assert capabilities.has_vix

    def test_is_made_of_the_committed_state_within_a_batch(self, live, base):
        before = picture(live)
        with live.batch():
            live.series(BTC).put(bars(MONTHS[3], 5, DAY))
            result = live.snapshot("crypto", "1", base)
        assert picture_of(result.ref.fastk_root) == before != picture(live)

    def test_may_be_of_series_without_rows(self, place, base):
        with fastk.open(place / "empty") as store:
            store.register_kline_series("BTC", "1m", MINUTE)
            result = store.snapshot("empty", "1", base)
        assert (result.record.start_ts, result.record.end_ts) == (0, 0)
        assert [series.rows for series in result.series] == [0]
        with fastk.open_dataset(result.ref, digest="verify") as version:
            assert len(version.kline("BTC", "1m")) == 0

    def test_tells_its_progress(self, live, base):
        told = []
        live.snapshot("crypto", "1", base, progress=lambda done, total: told.append((done, total)))
        totals = {total for _, total in told}
        assert [done for done, _ in told] == sorted(done for done, _ in told)
        assert totals == {told[-1][0]}

    def test_is_of_the_newest_state_also_where_the_store_object_has_an_older_one(self, live, base):
        live.series(BTC).latest()
        with fastk.open(live.root) as other:
            other.series(BTC).put(bars(MONTHS[3], 5, DAY))
            newest = picture(other)
        assert picture_of(live.snapshot("crypto", "1", base).ref.fastk_root) == newest != picture(live)


def test_many_series_are_synced_beside_each_other(place, base, monkeypatch):
    """One after the other, two thousand series took five times as long."""
    threads, sync = set(), disk._sync_descriptor
    with fastk.open(place / "live") as store:
        for number in range(30):
            store.register_kline_series(f"S{number}", "1d", DAY)
        with monkeypatch.context() as patch:
            patch.setattr(disk, "_sync_descriptor", lambda file: (threads.add(threading.get_ident()), sync(file)))
            store.snapshot("crypto", "1", base)
    assert len(threads) > 2


def changes():
    """What may happen to the live store later."""
    return {
        "append": lambda store: store.series(BTC).put(bars(MONTHS[3], 5, DAY)),
        "backfill": lambda store: store.series(BTC).put(bars(JANUARY + MINUTE, 3, DAY)),
        "replace rows": lambda store: store.series(BTC).put(
            bars(JANUARY, 5, DAY) | {"close": np.arange(5)}, on_conflict="replace"
        ),
        "replace a range": lambda store: store.series(BTC).replace_range(JANUARY, None, bars(MONTHS[2], 2, DAY)),
        "delete": lambda store: store.series(BTC).delete_range(JANUARY, MONTHS[1]),
        "delete all": lambda store: store.series(BTC).delete_range(),
        "merge": lambda store: store.series(BTC).merge(),
        "drop": lambda store: store.drop_series(BTC),
    }


class TestLiveStore:
    @pytest.mark.parametrize("change", changes())
    def test_changes_without_its_versions(self, live, base, change):
        result = live.snapshot("crypto", "1", base)
        before, seen = contents(result.ref.fastk_root), picture(live)
        version = fastk.open_dataset(result.ref)
        changes()[change](live)
        live.gc(grace_seconds=0)
        assert contents(result.ref.fastk_root) == before
        assert picture(version) == seen
        with fastk.open_dataset(result.ref, digest="verify") as again:
            assert picture(again) == seen

    def test_may_go_while_its_versions_stay(self, live, base):
        result, seen = live.snapshot("crypto", "1", base), picture(live)
        shutil.rmtree(live.root)
        assert picture_of(result.ref.fastk_root) == seen

    def test_is_not_touched_by_a_snapshot(self, live, base):
        before = contents(live.root)
        live.snapshot("crypto", "1", base)
        assert contents(live.root) == before

    def test_may_be_written_while_a_snapshot_digests(self, live, base):
        """The lock is held for the links only."""
        before, other = picture(live), fastk.open(live.root, lock_timeout=0)

        def write(done, total):
            other.series(BTC).delete_range()
            other.gc(grace_seconds=0)

        result = live.snapshot("crypto", "1", base, progress=write)
        assert picture_of(result.ref.fastk_root) == before
        other.close()


class TestImmutability:
    def test_a_version_is_not_opened_for_writing(self, live, base):
        root = live.snapshot("crypto", "1", base).ref.fastk_root
        for open_it in (fastk.open, lambda path: fastk.open(path, "rw")):
            with pytest.raises(
                InvalidInput, match="is a version of a dataset, and never changes: open it with mode='r'"
            ):
                open_it(root)

    def test_a_version_refuses_every_mutation(self, live, base):
        result = live.snapshot("crypto", "1", base)
        before = contents(result.ref.fastk_root)
        with fastk.open_dataset(result.ref) as version:
            for mutate in changes().values():
                with pytest.raises(InvalidInput, match="mode='r'"):
                    mutate(version)
            for mutate in (version.init, version.gc, lambda: version.register_kline_series("X", "1m", MINUTE)):
                with pytest.raises(InvalidInput, match="mode='r'"):
                    mutate()
        assert contents(result.ref.fastk_root) == before

    def test_a_store_object_that_was_opened_before_the_version_was_there_cannot_write(self, live, base):
        early = fastk.open(versioned_dataset_root(base, "crypto", "1"))
        result = live.snapshot("crypto", "1", base)
        before = contents(result.ref.fastk_root)
        for mutate in (early.init, lambda: early.series(BTC).delete_range(), lambda: early.drop_series(BTC)):
            with pytest.raises(InvalidInput, match="never changes"):
                mutate()
        assert contents(result.ref.fastk_root) == before


class TestRefusals:
    def unchanged(self, base, call, error, match):
        before = contents(base) if base.exists() else {}
        with pytest.raises(error, match=match):
            call()
        after = contents(base) if base.exists() else {}
        made = {path for path in after.keys() - before.keys() if not path.startswith("registry.sqlite")}
        assert made <= {"datasets", "datasets/.fastk.building.lock"}
        assert {path: after[path] for path in before if "sqlite" not in path} == {
            path: content for path, content in before.items() if "sqlite" not in path
        }
        if (base / "registry.sqlite").exists():
            with DatasetRegistry.open(base / "registry.sqlite", "r") as registry:
                return registry.list_datasets()
        return []

    def test_a_version_that_exists(self, live, base):
        first = live.snapshot("crypto", "1", base)
        live.series(BTC).delete_range()
        listed = self.unchanged(
            base, lambda: live.snapshot("crypto", "1", base), InvalidInput, "crypto@1 is registered in .* already"
        )
        assert listed == [first.record]

    def test_a_version_that_another_registry_names(self, live, base, place):
        live.snapshot("crypto", "1", base)
        self.unchanged(
            base, lambda: live.snapshot("crypto", "1", base, place / "o.sqlite"), InvalidInput, "exists already.*adopt"
        )

    def test_a_folder_that_is_there(self, live, base):
        (base / "datasets" / "crypto" / "1").mkdir(parents=True)
        assert self.unchanged(base, lambda: live.snapshot("crypto", "1", base), InvalidInput, "exists already") == []

    def test_a_version_whose_root_is_gone(self, live, base):
        shutil.rmtree(live.snapshot("crypto", "1", base).ref.fastk_root)
        self.unchanged(
            base, lambda: live.snapshot("crypto", "1", base), InvalidInput, "already; a version never changes"
        )

    @pytest.mark.parametrize("where", ["a block", "a header", "the end"])
    def test_a_damaged_store(self, live, base, where):
        chunk = sorted(Path(live.root).rglob("*.chunk"))[3]
        content = bytearray(chunk.read_bytes())
        place = {"a block": len(content) - 60, "a header": 100, "the end": -1}[where]
        content[place] ^= 1
        chunk.write_bytes(content)
        assert self.unchanged(base, lambda: live.snapshot("crypto", "1", base), InvalidData, chunk.name) == []

    def test_damage_that_was_verified_before_it_happened(self, live, base):
        live.series(BTC).verify()
        chunk = sorted(Path(live.root, "series/BTCUSDT/kline").rglob("*.chunk"))[0]
        with chunk.open("r+b") as file:
            file.seek(-60, os.SEEK_END)
            file.write(b"\xff")
        assert self.unchanged(base, lambda: live.snapshot("crypto", "1", base), InvalidData, chunk.name) == []

    @pytest.mark.parametrize("kind", ["*.chunk", "series.meta"])
    def test_a_store_that_lacks_a_file_or_has_a_damaged_manifest(self, live, base, kind):
        file = sorted(Path(live.root).rglob(kind))[0]
        if kind == "series.meta":
            file.write_bytes(file.read_bytes()[:-1])
        else:
            file.unlink()
        assert self.unchanged(base, lambda: live.snapshot("crypto", "1", base), InvalidData, file.name) == []

    def test_a_missing_sidecar_is_no_reason(self, live, base):
        for sidecar in Path(live.root).rglob("*.vix"):
            sidecar.unlink()
        live.snapshot("crypto", "1", base)

    def test_a_store_that_is_not_there_or_has_no_series(self, place, base):
        with fastk.open(place / "none") as store:
            self.unchanged(base, lambda: store.snapshot("crypto", "1", base), NotFound, "there is no store at")
            store.init()
            self.unchanged(base, lambda: store.snapshot("crypto", "1", base), NotFound, "has no series")

    def test_a_reader(self, live, base):
        with fastk.open(live.root, "r") as reader:
            self.unchanged(base, lambda: reader.snapshot("crypto", "1", base), InvalidInput, "mode='rw'")

    @pytest.mark.parametrize(
        ("names", "options", "match"),
        [
            (("", "1"), {}, "dataset_id"),
            (("crypto", "a\nb"), {}, "version"),
            (("crypto", "1"), {"source": " "}, "source"),
            (("crypto", "1"), {"market": ""}, "market"),
            (("crypto", "1"), {"status": None}, "status"),
        ],
    )
    def test_names_that_a_row_may_not_have(self, live, base, names, options, match):
        assert self.unchanged(base, lambda: live.snapshot(*names, base, **options), InvalidInput, match) == []

    @pytest.mark.parametrize("bad", ["", None, 7])
    def test_what_is_no_base(self, live, bad):
        assert "base" in message(live.snapshot, "crypto", "1", bad)

    def test_a_registry_that_is_none(self, live, base):
        base.mkdir()
        (base / "registry.sqlite").write_bytes(b"no database at all, but long enough to be taken for one" * 20)
        with pytest.raises(InvalidData, match="is no registry"):
            live.snapshot("crypto", "1", base)
        assert not (base / "datasets").exists()

    def test_a_registry_that_is_only_read(self, live, base, monkeypatch):
        def digested(*_):
            raise AssertionError("it is to be refused before anything is read")

        DatasetRegistry.open(base / "registry.sqlite").close()
        monkeypatch.setattr(snapshots, "digest_store", digested)
        with DatasetRegistry.open(base / "registry.sqlite", "r") as registry:
            assert "open in mode 'r'" in message(live.snapshot, "crypto", "1", base, registry)
        assert not (base / "datasets").exists()

    def test_a_progress_that_raises(self, live, base):
        def interrupt(done, total):
            raise KeyboardInterrupt

        listed = self.unchanged(
            base, lambda: live.snapshot("crypto", "1", base, progress=interrupt), KeyboardInterrupt, None
        )
        assert listed == []

    def test_a_writer_that_does_not_end(self, live, base):
        with fastk.open(live.root, lock_timeout=0) as second, live.batch():
            assert (
                self.unchanged(base, lambda: second.snapshot("crypto", "1", base), fastk.LockTimeout, "another writer")
                == []
            )


class UnlinkableDisk(Disk):
    """A disk where hard links fail; ``before_copy`` happens when the first file is copied."""

    def __init__(self, code, before_copy=lambda: None):
        super().__init__()
        self.code = code
        self.before_copy = before_copy

    def link(self, source, target):
        raise OSError(self.code, os.strerror(self.code), source)

    def map(self, path, length=None):
        if length is None and path.endswith(".chunk"):
            self.before_copy()
        return super().map(path, length)


class TestCopies:
    @pytest.mark.parametrize("code", [errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP])
    def test_stand_in_for_links_where_those_are_impossible(self, live, base, code):
        with fastk.open(live.root, disk=UnlinkableDisk(code)) as store:
            result = store.snapshot("crypto", "1", base)
        assert result.linked == 0
        assert result.copied == len(list(Path(live.root).rglob("*.chunk*")))
        assert picture_of(result.ref.fastk_root) == picture(live)
        assert all(file.stat().st_nlink == 1 for file in Path(result.ref.fastk_root).rglob("*") if file.is_file())
        assert live.snapshot("crypto", "2", base).digest == result.digest

    @pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EACCES])
    def test_do_not_hide_another_failure(self, live, base, code):
        with fastk.open(live.root, disk=UnlinkableDisk(code)) as store, pytest.raises(OSError, match=os.strerror(code)):
            store.snapshot("crypto", "1", base)
        assert [path.name for path in (base / "datasets").iterdir()] == [".fastk.building.lock"]

    def test_of_files_that_are_gone_by_then_are_told(self, live, base):
        def collect():
            live.series(BTC).delete_range()
            live.gc(grace_seconds=0)

        disk = UnlinkableDisk(errno.EXDEV, collect)
        with fastk.open(live.root, disk=disk) as store, pytest.raises(fastk.SnapshotExpired, match="grace period"):
            store.snapshot("crypto", "1", base)
        assert [path.name for path in (base / "datasets").iterdir()] == [".fastk.building.lock"]

    @pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="another file system is needed")
    def test_go_to_another_file_system(self, tmp_path):
        with temporary_folder() as memory, fastk.open(tmp_path / "live") as store:
            if os.stat(memory).st_dev == os.stat(tmp_path).st_dev:
                pytest.skip("both are of one file system")
            result = fill(store).snapshot("crypto", "1", memory)
            assert result.copied > 0
            assert picture_of(result.ref.fastk_root) == picture(store)


class TestTwoAtOnce:
    @pytest.mark.slow
    def test_one_of_several_of_the_same_name_is_made(self, live, base):
        code = f"""if True:
            import sys, fastk
            sys.stdin.readline()
            with fastk.open({live.root!r}, lock_timeout=60) as store:
                try:
                    print(store.snapshot("crypto", "1", {str(base)!r}).digest)
                except fastk.InvalidInput as error:
                    print(type(error).__name__)"""
        run = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        others = [subprocess.Popen([sys.executable, "-c", code], **run) for _ in range(3)]
        for other in others:
            other.stdin.write("go\n")
            other.stdin.flush()
        told = sorted(other.communicate()[0].strip() for other in others)
        with DatasetRegistry.open(base / "registry.sqlite") as registry:
            (record,) = registry.list_datasets()
            assert told == ["InvalidInput", "InvalidInput", record.checksum]
            assert fastk.verify_datasets(registry).datasets[0].state == "sound"

    def test_another_builder_that_does_not_end_is_told(self, live, base):
        def second(done, total):
            with fastk.open(live.root, lock_timeout=0) as other:
                other.snapshot("crypto", "2", base)

        with pytest.raises(fastk.LockTimeout, match=r"building\.lock"):
            live.snapshot("crypto", "1", base, progress=second)
        live.snapshot("crypto", "2", base)
