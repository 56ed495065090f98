"""Opening says what a folder is before anything is written to it, and changes nothing."""

import json
import os
import shutil

import pytest
from builders import JANUARY, MINUTE, bars, contents, temporary_folder

import fastk
from fastk import FastKStore, InvalidData, InvalidInput, NotFound, StoreClosed, UnsupportedVersion
from fastk.io.disk import Disk


@pytest.fixture
def folder():
    with temporary_folder() as path:
        yield path


@pytest.fixture
def root(folder):
    """A store with five bars."""
    with fastk.open(folder / "store") as store:
        store.register_kline_series("BTC", "1m", MINUTE).put(bars())
    return folder / "store"


class ReadOnlyDisk(Disk):
    """A disk on which nothing can be written, whoever asks."""

    def _refuse(self, *arguments, **options):
        raise PermissionError(30, "Read-only file system", str(arguments[0]))

    create = replace_unnamed = sync_folder = make_folder = rename = remove = remove_folder = lock = _refuse
    remove_file_or_folder = _refuse


# New and missing roots


def test_a_missing_root_is_not_found_by_readers(folder):
    with pytest.raises(NotFound, match=r"there is no store at .*absent; check the path, or open it with mode='rw'"):
        fastk.open(folder / "absent", "r")
    assert not (folder / "absent").exists()


def test_an_empty_folder_is_not_found_by_readers(folder):
    with pytest.raises(NotFound, match="there is no store"):
        fastk.open(folder, "r")


def test_opening_creates_nothing(folder):
    with fastk.open(folder / "new" / "store") as store:
        assert store.list_series() == []
        assert not store.kline("BTC", "1m").exists
        assert store.refresh() == 0
    assert list(folder.iterdir()) == []


def test_reads_and_refused_writes_create_nothing(folder):
    with fastk.open(folder / "new") as store:
        with pytest.raises(NotFound):
            store.kline("BTC", "1m").range()
        with pytest.raises(NotFound):
            store.kline("BTC", "1m").put(bars())
        with pytest.raises(NotFound):
            store.drop_series(("BTC", "kline", "1m"))
        with pytest.raises(InvalidInput):
            store.register_kline_series("BTC", "1m", MINUTE, price_scale=0)
    assert list(folder.iterdir()) == []


def test_the_first_mutation_creates_the_root_and_its_parents(folder):
    with fastk.open(folder / "deep" / "er" / "store") as store:
        store.register_kline_series("BTC", "1m", MINUTE)
    with fastk.open(folder / "deep" / "er" / "store", "r") as store:
        assert len(store.list_series()) == 1


def test_init_creates_an_empty_store_and_may_be_repeated(folder):
    with fastk.open(folder / "store") as store:
        assert store.init() is store
        before = contents(folder)
        store.init()
    with fastk.open(folder / "store") as store:
        store.init()
        assert contents(folder) == before
    with fastk.open(folder / "store", "r") as store:
        assert store.list_series() == []
    assert json.loads((folder / "store" / "fastk.store").read_text()) == {"format": "fastk", "version": 3}


def test_a_start_that_was_interrupted_goes_on(folder):
    for leftover in ("series", ".fastk.write.lock", "fastk.store.tmp"):
        root = folder / leftover
        root.mkdir()
        (root / leftover).mkdir() if leftover == "series" else (root / leftover).touch()
        with fastk.open(root) as store:
            store.register_kline_series("BTC", "1m", MINUTE).put(bars())
            assert len(store.kline("BTC", "1m")) == 5


@pytest.mark.parametrize("spelling", [str, lambda path: path, os.path.relpath])
def test_roots_in_every_spelling(root, spelling):
    with fastk.open(spelling(root), "r") as store:
        assert store.root == str(root)
        assert len(store.kline("BTC", "1m")) == 5


def test_a_root_does_not_move_with_the_working_folder(root, monkeypatch):
    monkeypatch.chdir(root.parent)
    with fastk.open("store", "r") as store:
        monkeypatch.chdir("/")
        assert len(store.kline("BTC", "1m").range()) == 5


@pytest.mark.parametrize("wrong", [None, 5, b"store", "a\0b", ["x"]], ids=repr)
def test_what_is_no_path_is_refused(wrong, monkeypatch, folder):
    monkeypatch.chdir(folder)
    with pytest.raises((InvalidInput, TypeError)):
        fastk.open(wrong, "r")


# What is no store


def test_a_file_is_no_store(folder):
    (folder / "file").write_text("x")
    for mode in ("r", "rw"):
        with pytest.raises(InvalidInput, match="file is a file; a store is a folder"):
            fastk.open(folder / "file", mode)
        with pytest.raises(InvalidInput):
            fastk.open(folder / "file" / "below", mode)
    assert (folder / "file").read_text() == "x"


@pytest.mark.parametrize("name", ["notes.txt", ".git", "data", "Series"])
def test_another_folder_is_no_store(folder, name):
    (folder / name).mkdir()
    before = contents(folder)
    for mode, advice in (("r", "check the path"), ("rw", "name an empty or new folder")):
        with pytest.raises(InvalidInput, match=rf"is not empty and no store \(it holds {name}\); {advice}$"):
            fastk.open(folder, mode)
    assert contents(folder) == before


def test_a_store_that_lost_its_file_is_no_empty_one(root):
    (root / "fastk.store").unlink()
    for mode in ("r", "rw"):
        with pytest.raises(InvalidData, match=r"looks like a store whose file fastk\.store is missing; restore it"):
            fastk.open(root, mode)


@pytest.mark.parametrize(
    "content", [b"", b"x", b"{}", b"[]", b"5", b"null", b'{"format": "other", "version": 3}', b"\xff"]
)
def test_a_damaged_store_file_is_named(root, content):
    (root / "fastk.store").write_bytes(content)
    with pytest.raises(InvalidData, match=r"fastk\.store is damaged or foreign"):
        fastk.open(root, "r")


@pytest.mark.parametrize("version", [4, 99, 2])
def test_another_version_is_named(root, version):
    (root / "fastk.store").write_text(json.dumps({"format": "fastk", "version": version}))
    for mode in ("r", "rw"):
        with pytest.raises(UnsupportedVersion, match=f"says format {version}; this library reads format 3"):
            fastk.open(root, mode)


@pytest.mark.parametrize("version", [None, "x", [], 1e400, True], ids=repr)
def test_a_version_that_is_none(root, version):
    (root / "fastk.store").write_text(json.dumps({"format": "fastk", "version": version}))
    with pytest.raises(InvalidData):
        fastk.open(root, "r")


def test_a_manifest_of_a_newer_version_concerns_its_series_alone(root):
    with fastk.open(root) as store:
        store.register_kline_series("ETH", "1m", MINUTE).put(bars())
    path = root / "series" / "ETH" / "kline" / "1m" / "series.meta"
    path.write_bytes(b"FKMET004" + path.read_bytes()[8:])
    with fastk.open(root, "r") as store:
        assert len(store.kline("BTC", "1m")) == 5
        with pytest.raises(UnsupportedVersion, match=r"series\.meta is of format 4; this library reads format 3"):
            store.kline("ETH", "1m").range()


def test_a_store_of_the_original_opens_for_reading_and_is_told_to_be_migrated(shared, folder):
    source = shared / "golden" / "rust-store-v2" / "store"
    shutil.copytree(source, folder / "old")
    before = contents(folder)
    with pytest.raises(UnsupportedVersion, match=r"original.*migrate"):
        fastk.open(folder / "old", "rw")
    with fastk.open(folder / "old", "r") as store:
        assert store.store_stats().record_count == 18_338
    assert contents(folder) == before


# Reading only


def test_reading_changes_no_byte(root):
    before = contents(root)
    with fastk.open(root, "r") as store:
        series = store.kline("BTC", "1m")
        assert series.range().close.tolist() == bars()["close"].tolist()
        series.at_many([JANUARY])
        series.verify()
        store.list_series()
        store.store_stats()
        store.refresh()
    assert contents(root) == before


def test_reading_works_where_nothing_can_be_written(root):
    for path in [root, *root.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        for mode in ("r", "rw"):
            with fastk.open(root, mode, disk=ReadOnlyDisk()) as store:
                assert len(store.kline("BTC", "1m").range()) == 5
                assert store.kline("BTC", "1m").verify().chunks == 1
                assert store.store_stats().record_count == 5
                store.refresh()
    finally:
        for path in [root, *root.rglob("*")]:
            path.chmod(0o755)


def test_a_folder_that_cannot_be_written_is_an_error_of_the_system(root):
    with fastk.open(root, disk=ReadOnlyDisk()) as store, pytest.raises(OSError, match="Read-only"):
        store.kline("BTC", "1m").put(bars(JANUARY + 10 * MINUTE))


def test_readers_are_refused_every_mutation(root):
    before = contents(root)
    with fastk.open(root, "r") as store:
        for mutate in (
            store.init,
            lambda: store.register_kline_series("BTC", "1m", MINUTE),
            lambda: store.register_kline_series("ETH", "1m", MINUTE),
            lambda: store.kline("BTC", "1m").put(bars(JANUARY + 10 * MINUTE)),
            lambda: store.kline("BTC", "1m").put([]),
            lambda: store.put_kline_chunk("BTC", "1m", bars(JANUARY + 10 * MINUTE)),
            lambda: store.drop_series(("BTC", "kline", "1m")),
        ):
            with pytest.raises(InvalidInput, match="was opened with mode='r'; open it with mode='rw' to write"):
                mutate()
    assert contents(root) == before


# Closing


USES = {
    "range": lambda store, series: series.range(),
    "range of integers": lambda store, series: series.range(1, 2),
    "latest": lambda store, series: series.latest(),
    "at": lambda store, series: series.at(JANUARY),
    "at_many": lambda store, series: series.at_many([JANUARY]),
    "put": lambda store, series: series.put(bars()),
    "len": lambda store, series: len(series),
    "settings": lambda store, series: series.settings,
    "exists": lambda store, series: series.exists,
    "series refresh": lambda store, series: series.refresh(),
    "verify": lambda store, series: series.verify(),
    "list_series": lambda store, series: store.list_series(),
    "store_stats": lambda store, series: store.store_stats(),
    "store refresh": lambda store, series: store.refresh(),
    "init": lambda store, series: store.init(),
    "known handle": lambda store, series: store.kline("BTC", "1m").range(),
    "new handle": lambda store, series: store.kline("ETH", "1m").range(),
    "get": lambda store, series: store.get_kline_range("BTC", "1m", None, None),
    "register": lambda store, series: store.register_kline_series("BTC", "1m", MINUTE),
    "drop": lambda store, series: store.drop_series(("BTC", "kline", "1m")),
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("mode", ["r", "rw"])
def test_a_closed_store_says_so(root, use, mode):
    store = fastk.open(root, mode)
    series = store.kline("BTC", "1m")
    rows = series.range()
    store.close()
    with pytest.raises(StoreClosed, match="closed"):
        USES[use](store, series)
    assert rows.close.tolist() == bars()["close"].tolist()
    assert "closed" in repr(store)


def test_closing_twice_is_no_error(root):
    store = fastk.open(root)
    store.close()
    store.close()


def test_the_end_of_the_block_closes(root):
    with fastk.open(root) as store:
        series = store.kline("BTC", "1m")
    with pytest.raises(StoreClosed):
        series.range()


def test_a_handle_may_be_asked_its_name_and_looks_after_closing(root):
    store = fastk.open(root)
    series = store.kline("BTC", "1m")
    store.close()
    assert series.key == ("BTC", "kline", "1m")


# Options


def test_open_is_the_method_of_the_class(root):
    for opened in (fastk.open(root, "r"), FastKStore.open(root, mode="r")):
        assert isinstance(opened, FastKStore)
        assert opened.mode == "r"
        assert repr(opened) == f"<FastKStore {str(root)!r}, mode 'r'>"
        opened.close()


@pytest.mark.parametrize(
    "options",
    [
        {"mode": "w"},
        {"mode": None},
        {"mode": "a"},
        {"verify": "always"},
        {"verify": True},
        {"max_maps": 0},
        {"max_maps": -1},
        {"max_maps": 1.5},
        {"max_maps": "10"},
        {"lock_timeout": -1},
        {"lock_timeout": "soon"},
        {"lock_timeout": float("nan")},
        {"lock_timeout": None},
        {"grace_seconds": -1},
        {"grace_seconds": "1"},
        {"grace_seconds": float("nan")},
        {"grace_seconds": float("inf")},
        {"grace_seconds": None},
    ],
    ids=str,
)
def test_options_are_checked_by_name(root, options):
    with pytest.raises(InvalidInput, match=next(iter(options))):
        fastk.open(root, **options)


@pytest.mark.parametrize(
    "options",
    [{"lock_timeout": 0}, {"lock_timeout": 0.5}, {"grace_seconds": 0}, {"max_maps": 1}, {"verify": "never"}],
    ids=str,
)
def test_options_at_their_edges(root, options):
    with fastk.open(root, **options) as store:
        store.kline("BTC", "1m").put(bars(JANUARY + 10 * MINUTE))
        assert len(store.kline("BTC", "1m").range()) == 10


class TestLostManifest:
    """The chunks of a series are worth more than its manifest: nobody registers over them."""

    def test_is_no_new_series(self, tmp_path):
        with fastk.open(tmp_path / "root") as store:
            series = store.register_kline_series("A", "1m", 60_000)
            series.put({name: [1] for name in series.schema.names})
        (manifest,) = (tmp_path / "root").rglob("series.meta")
        manifest.unlink()
        with fastk.open(tmp_path / "root") as store:
            for _ in range(2):
                with pytest.raises(fastk.InvalidData, match=r"series.meta is missing, but 1 chunks .*rebuild-manifest"):
                    store.register_kline_series("A", "1m", 60_000)
                with pytest.raises(fastk.NotFound, match=r"series.meta is missing, but 1 chunks .*rebuild-manifest"):
                    store.kline("A", "1m").range()
                (entry,) = store.list_series()
                assert "is missing" in entry.problem
                assert not manifest.exists()
