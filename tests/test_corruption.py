"""Damage of any kind in any file: the right rows, or InvalidData that names the file. Never wrong rows, never a crash.

Every byte of small files is flipped, every truncation tried; files are zeroed, extended, exchanged and removed. Damage
stays where it is: other columns, other chunks and other series are read as before.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.operations import JANUARY, KEY, NEIGHBOUR, bars, by_name, picture, register

import fastk
from fastk.format import chunk_tables

MIXED = ("BTCUSDT", "custom", "mixed")
MIXED_SCHEMA = fastk.Schema(
    "mixed", [("ts", "i8"), ("size", "f4"), ("flag", "?"), ("label", "S3")], unique_ts=False, partition="day"
)


def mixed_rows() -> dict[str, np.ndarray]:
    ts = 1_704_067_200_000 + np.arange(3)
    return {
        "ts": ts,
        "size": np.array([0.5, np.nan, -1], np.float32),
        "flag": np.array([True, False, True]),
        "label": np.array([b"abc", b"d", b""]),
    }


class Damage:
    """A small store, the file to damage, and what a series of it must answer."""

    def __init__(self, root: Path, key: tuple[str, str, str], file: Path, expected: dict[str, np.ndarray]) -> None:
        self.root, self.key, self.file, self.expected = root, key, file, expected
        self.original = file.read_bytes()

    def write(self, content: bytes) -> None:
        self.file.write_bytes(content)

    def check(self, content: bytes, described: str, *, may_be_harmless: bool = True) -> bool:
        """Read everything in every way. True if all of it was refused or right, as it must be."""
        self.write(content)
        refused = 0
        with fastk.FastKStore.open(self.root, "r") as store:
            series = store.series(self.key)
            for name, expected in self.expected.items():
                for read in (series.range, partial(series.latest, len(expected))):
                    refused += self.refuses(partial(column_of, read, name), expected, described)
            ts = self.expected["ts"]
            refused += self.refuses(lambda: list(series.at(int(ts[0]))), None, described)
            refused += self.refuses(lambda: series.at_many(ts).rows.ts, ts, described)
            verified = not self.refuses(lambda: series.verify(), None, described)
        assert may_be_harmless or refused, f"nobody noticed: {described}"
        assert not (refused and verified), f"verify did not notice what reads did: {described}"
        return not refused

    def refuses(self, read: Callable[[], Any], expected: np.ndarray | None, described: str) -> bool:
        try:
            found = read()
        except fastk.InvalidData as error:
            problem = error
        except BaseException as error:
            raise AssertionError(f"{described}: {error!r}") from error
        else:
            problem = None
        if problem is not None:
            assert str(self.file) in str(problem), f"the error does not name the file: {described}"
            return True
        if expected is not None:
            np.testing.assert_array_equal(found, expected, described)
        return False


def column_of(read: Callable[[], Any], name: str) -> Any:
    return read().column(name)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    with fastk.FastKStore.open(tmp_path / "root") as store:
        register(store).put(JANUARY)
        register(store, NEIGHBOUR).put({name: column + (name != "ts") for name, column in JANUARY.items()})
        store.register_series(MIXED, MIXED_SCHEMA).put(mixed_rows())
    return tmp_path / "root"


def folder_of(root: Path, key: tuple[str, str, str]) -> Path:
    return root / "series" / "/".join(key)


def chunk_of(root: Path, key: tuple[str, str, str] = KEY) -> Path:
    (file,) = (folder_of(root, key) / "chunks").glob("*.chunk")
    return file


def manifest_of(root: Path, key: tuple[str, str, str] = KEY) -> Path:
    return folder_of(root, key) / "series.meta"


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Damage:
    """A series whose chunks stand in a table file, and that file."""
    monkeypatch.setattr(chunk_tables, "INLINE_MAX", 1)
    with fastk.FastKStore.open(tmp_path / "tables") as store:
        register(store).put(bars(1, 2, 3))
        register(store, NEIGHBOUR).put(bars(1, 2, 3))
    (file,) = folder_of(tmp_path / "tables", KEY).glob("*.table")
    return Damage(tmp_path / "tables", KEY, file, bars(1, 2, 3))


@pytest.fixture(params=["bars", "mixed columns"])
def chunk(request: pytest.FixtureRequest, root: Path) -> Damage:
    key, expected = (KEY, JANUARY) if request.param == "bars" else (MIXED, mixed_rows())
    return Damage(root, key, chunk_of(root, key), expected)


@pytest.fixture
def manifest(root: Path) -> Damage:
    return Damage(root, KEY, manifest_of(root), JANUARY)


@pytest.fixture(params=["chunk", "manifest", "table"])
def damage(request: pytest.FixtureRequest, root: Path) -> Damage:
    if request.param == "chunk":
        return Damage(root, KEY, chunk_of(root), JANUARY)
    found: Damage = request.getfixturevalue(request.param)
    return found


def flipped(content: bytes, place: int, mask: int) -> bytes:
    return content[:place] + bytes([content[place] ^ mask]) + content[place + 1 :]


class TestFlippedBytes:
    @pytest.mark.slow
    @pytest.mark.parametrize("mask", [1, 0x80, 0xFF])
    def test_of_a_chunk_are_never_read_as_data(self, chunk: Damage, mask: int) -> None:
        harmless = [
            place
            for place in range(len(chunk.original))
            if chunk.check(flipped(chunk.original, place, mask), f"byte {place} ^ {mask}")
        ]
        assert len(harmless) < 64 * len(chunk.expected), "only the bytes that fill up to alignment mean nothing"

    def test_of_a_chunk_are_never_read_as_data_in_a_sample(self, chunk: Damage) -> None:
        for place in range(3, len(chunk.original), 13):
            chunk.check(flipped(chunk.original, place, 1 << place % 8), f"byte {place}")

    @pytest.mark.slow
    @pytest.mark.parametrize("mask", [1, 0x80, 0xFF])
    def test_of_a_manifest_are_never_read_as_data(self, manifest: Damage, mask: int) -> None:
        for place in range(len(manifest.original)):
            content = flipped(manifest.original, place, mask)
            manifest.check(content, f"byte {place} ^ {mask}", may_be_harmless=False)

    @pytest.mark.slow
    @pytest.mark.parametrize("mask", [1, 0x80, 0xFF])
    def test_of_a_chunk_table_are_never_read_as_data(self, table: Damage, mask: int) -> None:
        for place in range(len(table.original)):
            content = flipped(table.original, place, mask)
            table.check(content, f"byte {place} ^ {mask}", may_be_harmless=False)

    def test_of_the_store_file_are_noticed_or_harmless(self, root: Path) -> None:
        file = root / "fastk.store"
        original, unnamed = file.read_bytes(), []
        for place in range(len(original)):
            for mask in (1, 2, 4, 8, 0x10, 0x20, 0x40, 0x80, 0xFF):
                file.write_bytes(flipped(original, place, mask))
                try:
                    fastk.FastKStore.open(root).close()
                except fastk.InvalidData as error:
                    unnamed += [place] * (str(file) not in str(error))
        assert not unnamed


class TestOtherLengths:
    @pytest.mark.parametrize("step", [13, pytest.param(1, marks=pytest.mark.slow)])
    def test_any_truncation_is_noticed(self, damage: Damage, step: int) -> None:
        for length in range(len(damage.original) - 1, -1, -step):
            damage.check(damage.original[:length], f"cut to {length}", may_be_harmless=False)

    @pytest.mark.parametrize("more", [1, 4, 64, 4096])
    def test_any_extension_is_noticed(self, damage: Damage, more: int) -> None:
        for filler in (bytes(more), damage.original[:more]):
            damage.check(damage.original + filler, f"{more} bytes more", may_be_harmless=False)

    def test_zeros_are_noticed(self, damage: Damage) -> None:
        size = len(damage.original)
        for start in range(0, size, 64):
            content = damage.original[:start] + bytes(size - start)
            if content != damage.original:
                damage.check(content, f"zeros from {start}", may_be_harmless=False)

    def test_random_content_is_noticed(self, damage: Damage) -> None:
        chance = np.random.default_rng(3)
        for _ in range(50):
            damage.check(chance.bytes(len(damage.original)), "random bytes", may_be_harmless=False)


class TestForeignFiles:
    def test_a_file_of_another_series_is_noticed(self, damage: Damage) -> None:
        other = str(damage.file).replace(KEY[0], NEIGHBOUR[0])
        damage.check(Path(other).read_bytes(), "the neighbour's file", may_be_harmless=False)

    def test_two_series_exchanged_by_hand_are_noticed(self, root: Path) -> None:
        here, there = folder_of(root, KEY), folder_of(root, NEIGHBOUR)
        here.rename(root / "aside")
        there.rename(here)
        (root / "aside").rename(there)
        with fastk.FastKStore.open(root, "r") as store:
            for key in (KEY, NEIGHBOUR):
                with pytest.raises(fastk.InvalidData, match=key[0]):
                    store.series(key).range()

    def test_a_manifest_of_a_series_without_rows_is_no_other_series(self, root: Path) -> None:
        """Nothing but the name inside tells it from the right one."""
        with fastk.FastKStore.open(root) as store:
            register(store, ("XRPUSDT", "kline", "1d"))
        shutil.copy(manifest_of(root, ("XRPUSDT", "kline", "1d")), manifest_of(root))
        with fastk.FastKStore.open(root, "r") as store:
            with pytest.raises(fastk.InvalidData, match=r"series\.meta"):
                len(store.series(KEY))
            listed = {(entry.symbol, entry.category, entry.name): entry for entry in store.list_series()}
        assert listed[KEY].problem

    def test_a_chunk_of_an_earlier_life_of_the_series_is_noticed(self, root: Path) -> None:
        kept = chunk_of(root).read_bytes()
        with fastk.FastKStore.open(root) as store:
            store.drop_series(KEY)
            register(store).put({name: column + (name != "ts") for name, column in JANUARY.items()})
        changed = {name: column + (name != "ts") for name, column in JANUARY.items()}
        Damage(root, KEY, chunk_of(root), changed).check(kept, "an earlier chunk", may_be_harmless=False)

    def test_a_chunk_of_another_month_is_noticed(self, root: Path) -> None:
        with fastk.FastKStore.open(root) as store:
            store.series(KEY).put(bars(2))
        january, february = sorted((folder_of(root, KEY) / "chunks").glob("*.chunk"))
        content = january.read_bytes()
        january.write_bytes(february.read_bytes())
        february.write_bytes(content)
        with fastk.FastKStore.open(root, "r") as store:
            for read in (
                lambda: store.series(KEY).latest(1).close,
                lambda: store.series(KEY).at(int(JANUARY["ts"][0])),
            ):
                with pytest.raises(fastk.InvalidData, match="not the one that was committed"):
                    read()

    def test_a_folder_in_the_place_of_a_file_is_an_error_that_names_it(self, damage: Damage) -> None:
        damage.file.unlink()
        damage.file.mkdir()
        with fastk.FastKStore.open(damage.root, "r") as store, pytest.raises((fastk.InvalidData, OSError)) as caught:
            store.series(damage.key).range().close  # noqa: B018
        assert str(damage.file) in str(caught.value)

    def test_files_of_a_newer_format_are_told_from_damaged_ones(self, damage: Damage) -> None:
        damage.write(damage.original.replace(damage.original[:8], damage.original[:5] + b"004", 1))
        with fastk.FastKStore.open(damage.root, "r") as store:
            if damage.file.suffix == ".table":  # the reference to it repeats its checksum
                with pytest.raises(fastk.InvalidData, match="table"):
                    store.series(damage.key).range()
            else:
                with pytest.raises(fastk.UnsupportedVersion, match="format 4"):
                    store.series(damage.key).range()

    def test_files_that_nobody_named_are_ignored(self, root: Path) -> None:
        for place in (
            root,
            root / "series",
            folder_of(root, KEY),
            folder_of(root, KEY) / "chunks",
            root / "series/BTCUSDT",
        ):
            (place / "desktop.ini").write_text("foreign")
            (place / "2024-01.00000009-0000.chunk").write_text("foreign")
            (place / "chunks.00000009-0000.table").write_text("foreign")
        with fastk.FastKStore.open(root) as store:
            np.testing.assert_array_equal(store.series(KEY).range().close, JANUARY["close"])
            assert len(store.list_series()) == 3
            assert store.series(KEY).put(bars(2)).sequence == 10
        assert (folder_of(root, KEY) / "desktop.ini").read_text() == "foreign"


class TestMissingFiles:
    """What the newest state names and is gone is damage; no refresh brings it back."""

    def test_a_missing_chunk_or_table_is_damage(self, damage: Damage) -> None:
        damage.file.unlink()
        with fastk.FastKStore.open(damage.root, "r") as store:
            if damage.file.name == "series.meta":
                with pytest.raises(fastk.NotFound, match="BTCUSDT"):
                    store.series(damage.key).range()
                return
            for _ in range(2):
                with pytest.raises(fastk.InvalidData) as caught:
                    store.series(damage.key).range().close  # noqa: B018
                assert str(damage.file) in str(caught.value)
                store.refresh()

    def test_a_missing_store_file_is_explained(self, root: Path) -> None:
        (root / "fastk.store").unlink()
        with pytest.raises(fastk.InvalidData, match=r"fastk\.store"):
            fastk.FastKStore.open(root)


class TestContainment:
    @pytest.fixture
    def close_is_damaged(self, root: Path) -> Iterator[Any]:
        """The values of one column are damaged; each column begins at a multiple of 64."""
        file = chunk_of(root)
        content = file.read_bytes()
        file.write_bytes(content.replace(JANUARY["close"].tobytes(), bytes(JANUARY["close"].nbytes)))
        assert file.read_bytes() != content
        with fastk.FastKStore.open(root) as store:
            yield store

    def test_damage_in_one_column_leaves_the_others_readable(self, close_is_damaged: fastk.FastKStore) -> None:
        rows = close_is_damaged.series(KEY).range()
        with pytest.raises(fastk.InvalidData, match=r"column 'close' is damaged in rows 0 to 2"):
            rows.close  # noqa: B018
        for name in ("ts", "open", "high", "low", "volume"):
            np.testing.assert_array_equal(rows.column(name), JANUARY[name])
        for read in (lambda: rows[0], lambda: list(rows), rows.to_numpy, lambda: rows.decoded("close")):
            with pytest.raises(fastk.InvalidData):
                read()

    def test_damage_is_reported_again_and_again(self, close_is_damaged: fastk.FastKStore) -> None:
        series = close_is_damaged.series(KEY)
        for _ in range(3):
            with pytest.raises(fastk.InvalidData):
                series.latest(1).close  # noqa: B018
            with pytest.raises(fastk.InvalidData):
                series.at(int(JANUARY["ts"][0]))
            with pytest.raises(fastk.InvalidData):
                series.verify()

    def test_rows_can_be_added_behind_damage(self, close_is_damaged: fastk.FastKStore) -> None:
        series = close_is_damaged.series(KEY)
        series.put(bars(2))
        np.testing.assert_array_equal(series.latest(3).close, bars(2)["close"])

    def test_what_verify_has_found_damaged_is_not_handed_out_any_more(self, root: Path) -> None:
        """Also where it was verified before and was damaged on the medium since."""
        with fastk.FastKStore.open(root) as store:
            series = store.series(KEY)
            np.testing.assert_array_equal(series.range().close, JANUARY["close"])
            content = chunk_of(root).read_bytes()
            with chunk_of(root).open("r+b") as file:
                file.seek(content.index(JANUARY["close"].tobytes()))
                file.write(b"x")
            with pytest.raises(fastk.InvalidData):
                series.verify()
            with pytest.raises(fastk.InvalidData):
                series.range().close  # noqa: B018

    def test_damage_in_one_block_leaves_the_others_readable(self, tmp_path: Path) -> None:
        rows = 300_000  # so many that the ts column is searched block by block
        with fastk.FastKStore.open(tmp_path / "root") as store:
            series = store.register_series(MIXED, fastk.Schema("long", [("ts", "i8"), ("value", "i8")]))
            ts = 1_704_067_200_000 + np.arange(rows)
            series.put({"ts": ts, "value": ts * 3})
            (file,) = (tmp_path / "root").rglob("*.chunk")
            content = bytearray(file.read_bytes())
        for column in (ts, ts * 3):
            content[bytes(content).index(column.tobytes()) + 8 * 100_000] ^= 1
        file.write_bytes(content)
        with fastk.FastKStore.open(tmp_path / "root", "r") as store:
            series = store.series(MIXED)
            for low in (0, 50_000, 150_000, rows - 10):
                found = series.range(int(ts[low]), int(ts[low + 9]))
                np.testing.assert_array_equal(found.ts, ts[low : low + 10])
                np.testing.assert_array_equal(found.value, ts[low : low + 10] * 3)
            with pytest.raises(fastk.InvalidData, match=r"column 'ts' is damaged in rows 98,304 to 102,399"):
                series.at(int(ts[100_001]))
            over = series.range(int(ts[50_000]), int(ts[150_000]))
            assert len(over) == 100_001
            for name in ("ts", "value"):
                with pytest.raises(fastk.InvalidData, match="98,304"):
                    over.column(name)
                assert over[:10].column(name).size == 10

    @pytest.mark.parametrize("content", [b"", b"foreign", bytes(1000)])
    def test_a_damaged_series_hides_no_other(self, root: Path, content: bytes) -> None:
        manifest_of(root).write_bytes(content)
        with fastk.FastKStore.open(root) as store:
            entries = {(entry.symbol, entry.category, entry.name): entry for entry in store.list_series()}
            assert set(entries) == {KEY, NEIGHBOUR, MIXED}
            assert str(manifest_of(root)) in str(entries[KEY].problem)
            assert entries[NEIGHBOUR].problem is None
            assert store.store_stats().record_count == 6
            np.testing.assert_array_equal(store.series(NEIGHBOUR).range().ts, JANUARY["ts"])
            store.series(NEIGHBOUR).put(bars(2))
            with pytest.raises(fastk.InvalidData):
                register(store)

    def test_a_damaged_series_keeps_no_other_from_refreshing(self, root: Path) -> None:
        with fastk.FastKStore.open(root, "r") as reader, fastk.FastKStore.open(root) as writer:
            keys = (KEY, NEIGHBOUR, MIXED)
            assert [len(reader.series(key)) for key in keys] == [3, 3, 3]
            writer.series(NEIGHBOUR).put(bars(2))
            manifest_of(root).write_bytes(b"")
            with suppress(fastk.InvalidData):
                reader.refresh()
            assert len(reader.series(NEIGHBOUR)) == 6
            assert len(reader.series(KEY)) == 3

    def test_a_damaged_series_can_be_dropped(self, root: Path) -> None:
        """What cannot be read can still be put away; else only a shell could help."""
        manifest_of(root).write_bytes(b"")
        with fastk.FastKStore.open(root) as store:
            store.drop_series(KEY)
            assert len(store.list_series()) == 2
            register(store).put(JANUARY)
            np.testing.assert_array_equal(store.series(KEY).range().ts, JANUARY["ts"])

    def test_a_damaged_table_of_retired_files_hinders_nobody(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It says only what may be removed."""
        operation = by_name("spill_what_is_retired")
        operation.use_limits(monkeypatch)
        with operation.open(tmp_path / "root") as store:
            operation.prepare(store)  # type: ignore[misc]
            operation.perform(store)
        (file,) = (tmp_path / "root").rglob("retired.*.table")
        file.write_bytes(b"damaged")
        seen = picture(tmp_path / "root")
        operation.go_on(tmp_path / "root", seen, seen)

    def test_a_foreign_lock_file_hinders_nobody(self, root: Path) -> None:
        for content in (b"", b"\xff\xfe garbage", bytes(5000), b"crashes 99999999999999999999\nx", b"crashes -1\n"):
            (root / ".fastk.write.lock").write_bytes(content)
            with fastk.FastKStore.open(root) as store:
                register(store)
                assert store.series(KEY).put({name: column[:0] for name, column in JANUARY.items()}).accepted == 0


class TestVerifyOption:
    def test_open_refuses_a_chunk_with_any_damage(self, root: Path) -> None:
        file = chunk_of(root)
        content = file.read_bytes()
        file.write_bytes(content.replace(JANUARY["close"].tobytes(), bytes(JANUARY["close"].nbytes)))
        with fastk.FastKStore.open(root, "r", verify="open") as store, pytest.raises(fastk.InvalidData):
            store.series(KEY).range("2024-01-01", "2024-01-02").ts  # noqa: B018

    def test_never_still_checks_lengths_and_headers(self, root: Path) -> None:
        file = chunk_of(root)
        content = file.read_bytes()
        for damaged in (content[:-1], content + b"x", flipped(content, 100, 1)):
            file.write_bytes(damaged)
            with fastk.FastKStore.open(root, "r", verify="never") as store, pytest.raises(fastk.InvalidData):
                store.series(KEY).latest(1).ts  # noqa: B018


def test_damaged_rows_get_no_new_checksum_by_a_merge(tmp_path: Path) -> None:
    """Also where reads do not compare checksums: what is written anew must be what was once given."""
    with fastk.FastKStore.open(tmp_path / "root") as store:
        series = register(store)
        series.append(bars(1))
        series.append(bars(1, first_day=10))
        path = Path(store.root, "series", *KEY, series.chunk_inventory()[0].relative_path)
    data = bytearray(path.read_bytes())
    data[-200] ^= 1
    path.write_bytes(data)
    with fastk.FastKStore.open(tmp_path / "root", verify="never") as store:
        for change in (
            lambda: store.series(KEY).merge(),
            lambda: store.series(KEY).put(bars(1, first_day=1), on_conflict="replace"),
            lambda: store.series(KEY).delete_range(bars(1)["ts"][1], bars(1)["ts"][1]),
        ):
            with pytest.raises(fastk.InvalidData, match="damaged"):
                change()
