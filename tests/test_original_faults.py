"""Each fault of the engine that this one re-creates, told as the story in which it did its harm, with a good end.

Most have a deeper test elsewhere; here they stand together, so that none is forgotten.
"""

import errno
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.disks import ForbiddenDisk, Journal, RecordingDisk, read_image
from support.operations import FEBRUARY, JANUARY, KEY, NEIGHBOUR, REST_OF_FEBRUARY, SPRING, by_name, columns, register

import fastk
from fastk.format.chunk import parse_chunk
from fastk.schema.settings import SeriesSettings

DAY = 86_400_000
FIRST = 1_704_067_200_000
RSI = fastk.indicator_series_key("BTCUSDT", "1d", "rsi_14")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.fixture
def store(root: Path) -> Iterator[fastk.FastKStore]:
    with fastk.FastKStore.open(root) as store:
        register(store).put(JANUARY)
        yield store


def values(*days: int) -> dict[str, np.ndarray]:
    return {"ts": FIRST + np.array(days) * DAY, "value": np.array(days) * 10}


class TestAppends:
    def test_a_scalar_append_to_a_stored_month_keeps_the_earlier_rows(self, store: fastk.FastKStore) -> None:
        store.register_scalar_series(RSI, DAY)
        store.put_scalar_chunk(RSI, DAY, values(0, 1, 2))
        store.put_scalar_chunk(RSI, DAY, values(3, 4))
        assert store.get_scalar_range(RSI, None, None).value.tolist() == [0, 10, 20, 30, 40]

    def test_an_indicator_append_to_a_stored_month_keeps_the_earlier_rows(self, store: fastk.FastKStore) -> None:
        store.register_indicator_series("BTCUSDT", "1d", "rsi_14")
        store.put_indicator_chunk("BTCUSDT", "1d", "rsi_14", values(0, 1))
        store.put_indicator_chunk("BTCUSDT", "1d", "rsi_14", values(2))
        assert store.get_indicator_range("BTCUSDT", "1d", "rsi_14", None, None).value.tolist() == [0, 10, 20]

    def test_deltas_are_read_as_all_other_rows_are(self, store: fastk.FastKStore) -> None:
        series = store.series(KEY)
        series.put(FEBRUARY)
        series.append(REST_OF_FEBRUARY)
        assert [meta.state.name for meta in series.chunk_inventory()] == ["SEALED", "SEALED", "ACTIVE"]
        both = np.concatenate([FEBRUARY["close"], REST_OF_FEBRUARY["close"]])
        assert series.range("2024-02-01", None).close.tolist() == both.tolist()
        assert series.latest(6).close.tolist() == both.tolist()
        assert series.at(int(REST_OF_FEBRUARY["ts"][1])).close == REST_OF_FEBRUARY["close"][1]
        assert series.at_many(REST_OF_FEBRUARY["ts"]).found.all()

    def test_a_put_over_many_months_is_all_or_nothing_and_can_be_repeated(
        self, store: fastk.FastKStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        create, calls = store._disk.create, []

        def full(path: str, buffers: Any, **options: Any) -> None:
            calls.append(path)
            if len(calls) == 3:
                raise OSError(errno.ENOSPC, "No space left on device", path)
            create(path, buffers, **options)

        before = read_image(Path(store.root))
        monkeypatch.setattr(store._disk, "create", full)
        with pytest.raises(OSError, match="No space left"):
            store.series(KEY).put(SPRING)
        assert len(store.series(KEY)) == 3
        changed = {path for path, data in read_image(Path(store.root)).items() if before.get(path) != data}
        assert changed <= {".fastk.write.lock"}
        store.series(KEY).put(SPRING)
        assert len(store.series(KEY)) == 12

    def test_a_put_that_overlaps_in_its_last_month_writes_none(self, store: fastk.FastKStore) -> None:
        series = store.series(KEY)
        series.put({name: column[3:6] for name, column in SPRING.items()})  # April
        with pytest.raises(fastk.InvalidInput, match="overlap"):
            series.put({name: column[:6] for name, column in SPRING.items()})  # March and April
        assert len(series) == 6


class TestDurability:
    def test_files_are_removed_only_when_a_manifest_without_them_is_durable(self, tmp_path: Path) -> None:
        """What a commit takes out is removed by a later one, even where no grace is given."""
        journal = Journal(tmp_path)
        with fastk.FastKStore.open(tmp_path / "root", disk=RecordingDisk(journal), grace_seconds=0) as store:
            series = register(store)
            series.put(JANUARY)
            (replaced,) = series.chunk_inventory()
            series.delete_range(JANUARY["ts"][0], JANUARY["ts"][0])
            assert not [effect for effect in journal.effects if effect.kind == "remove"]
            assert journal.effects[-1].kind == "sync_folder"  # that of the series: the new manifest is durable
            series.put(FEBRUARY)
        removed = [effect.path for effect in journal.effects if effect.kind == "remove"]
        assert removed == [os.path.join("root", "series", *KEY, replaced.relative_path)]

    def test_all_that_a_manifest_names_is_durable_before_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("put_many_partitions", "spill_what_is_retired", "register_in_a_missing_root"):
            (tmp_path / name).mkdir()
            effects = self.effects_of(name, tmp_path / name, monkeypatch)
            renamed = next(place for place, effect in enumerate(effects) if effect.target.endswith("series.meta"))
            before = effects[:renamed]
            synced = {effect.path for effect in before if effect.kind == "sync"}
            folders = [(place, effect.path) for place, effect in enumerate(before) if effect.kind == "sync_folder"]
            for place, effect in enumerate(before):
                if effect.kind == "create" and not effect.path.endswith(".lock"):
                    assert effect.path in synced
                if effect.kind in ("create", "make") and not effect.path.endswith((".tmp", ".lock")):
                    parent = os.path.dirname(effect.path)
                    assert any(later > place and folder == parent for later, folder in folders), effect

    @staticmethod
    def effects_of(name: str, base: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
        operation = by_name(name)
        operation.use_limits(monkeypatch)
        operation.make_old_state(base / "root")
        journal = Journal(base)
        with operation.open(base / "root", RecordingDisk(journal)) as store:
            operation.perform(store)
        return journal.effects


class TestLockAndRecovery:
    @pytest.mark.slow
    def test_a_killed_writer_blocks_nobody(self, store: fastk.FastKStore) -> None:
        program = """
            import sys, fastk
            with fastk.FastKStore.open(sys.argv[1])._gate.hold():
                print("held", flush=True)
                sys.stdin.read()
        """
        holder = subprocess.Popen(
            [sys.executable, "-c", "\n".join(line[12:] for line in program.splitlines()), store.root],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        holder.send_signal(signal.SIGKILL)
        holder.communicate()
        with fastk.FastKStore.open(store.root, lock_timeout=0) as other:
            other.series(KEY).put(FEBRUARY)

    def test_opening_and_reading_change_nothing(self, store: fastk.FastKStore, root: Path) -> None:
        (root / "mine.tmp").write_text("mine")
        (root / "series" / "BTCUSDT" / "kline" / "1d" / "series.meta.tmp").write_text("of a live writer")
        before = read_image(root)
        for mode in ("rw", "r"):
            with fastk.FastKStore.open(root, mode, disk=ForbiddenDisk()) as reader:
                reader.series(KEY).range().close.sum()
                reader.series(KEY).verify()
                reader.list_series()
                reader.store_stats()
                reader.refresh()
        with fastk.FastKStore.open(root, disk=ForbiddenDisk()) as writer:
            writer.init()
        assert read_image(root) == before

    def test_files_of_the_user_survive_writes(self, store: fastk.FastKStore, root: Path) -> None:
        series_folder = root / "series" / "BTCUSDT" / "kline" / "1d"
        mine = [folder / "notes.tmp" for folder in (root, root / "series", series_folder, series_folder / "chunks")]
        for path in mine:
            path.write_text("mine")
        store.series(KEY).put(FEBRUARY)
        register(store, NEIGHBOUR)
        assert [path.read_text() for path in mine] == ["mine"] * 4


class TestDamage:
    def test_a_flipped_byte_is_never_returned_as_data(self, store: fastk.FastKStore, root: Path) -> None:
        (file,) = root.rglob("*.chunk")
        content = file.read_bytes()
        place = content.index(JANUARY["close"].tobytes())
        file.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
        with fastk.FastKStore.open(root, "r") as reader, pytest.raises(fastk.InvalidData, match="checksum"):
            reader.series(KEY).range().close  # noqa: B018

    def test_a_bad_chunk_header_fails_the_reads_of_its_rows_alone(self, store: fastk.FastKStore, root: Path) -> None:
        store.series(KEY).put(FEBRUARY)
        register(store, NEIGHBOUR).put(JANUARY)
        first = min((root / "series" / "BTCUSDT").rglob("*.chunk"))
        first.write_bytes(b"X" + first.read_bytes()[1:])
        with fastk.FastKStore.open(root) as again:
            assert again.series(KEY).latest(3).close.tolist() == FEBRUARY["close"].tolist()
            assert len(again.series(NEIGHBOUR).range()) == 3
            assert [entry.problem for entry in again.list_series()] == [None, None]
            with pytest.raises(fastk.InvalidData, match=r"2024-01\..*\.chunk"):
                again.series(KEY).at(FIRST)
            again.series(KEY).put(SPRING)
            assert len(again.series(KEY).range("2024-02-01", None)) == 12


class TestReads:
    def test_threads_that_share_a_store_read_their_own_rows(self, store: fastk.FastKStore) -> None:
        series = store.series(KEY)
        series.put(SPRING)
        wrong: list[Any] = []

        def read(first: int) -> None:
            for _ in range(200):
                row = series.at(int(SPRING["ts"][first]))
                part = series.range(int(SPRING["ts"][first]), int(SPRING["ts"][first]))
                if row.close != SPRING["close"][first] or part.close.tolist() != [SPRING["close"][first]]:
                    wrong.append(row)

        threads = [threading.Thread(target=read, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong

    @pytest.mark.parametrize("kind", ["trade", "book_delta"])
    def test_a_range_from_a_repeated_ts_holds_every_row_of_it(self, store: fastk.FastKStore, kind: str) -> None:
        """Also far inside a chunk, and where the repetition goes on in the next put and in the next hour."""
        series = getattr(store, f"register_{kind}_series")("BTCUSDT", "raw")
        ts = FIRST + np.repeat(np.arange(200), 5)
        names = series.schema.names
        sequence = {str(series.schema.sequence_field): np.arange(1000)}
        rows = {name: np.zeros(1000, int) for name in names} | {"ts": ts} | sequence
        series.put({name: column[:777] for name, column in rows.items()})
        series.put({name: column[777:] for name, column in rows.items()})
        for moment in (0, 1, 127, 154, 155, 156, 199):
            found = series.range(FIRST + moment, None)
            assert len(found) == 1000 - 5 * moment
            assert len(series.range(FIRST + moment, FIRST + moment)) == 5
            assert series.at(FIRST + moment)[str(series.schema.sequence_field)] == 5 * moment

    @pytest.mark.parametrize("kind", ["trade", "book_delta"])
    def test_a_later_put_may_start_at_the_last_stored_ts(self, store: fastk.FastKStore, kind: str) -> None:
        series = getattr(store, f"register_{kind}_series")("BTCUSDT", "raw")
        sequence = str(series.schema.sequence_field)
        row = {name: np.zeros(2, int) for name in series.schema.names} | {"ts": np.array([FIRST, FIRST])}
        series.put(row | {sequence: np.array([1, 2])})
        series.put(row | {sequence: np.array([3, 4])})
        assert series.range(FIRST, FIRST).column(sequence).tolist() == [1, 2, 3, 4]
        with pytest.raises(fastk.InvalidInput, match="stored already"):
            series.put(row | {sequence: np.array([4, 5])})


class TestNames:
    @pytest.mark.parametrize("symbol", ["../../x", "..", ".", "/etc", "a/b", "..\\x", "chunks", "series", "CON"])
    def test_nothing_outside_the_root_is_written_and_nothing_inside_hidden(
        self, store: fastk.FastKStore, root: Path, symbol: str
    ) -> None:
        outside = {path for path in root.parent.rglob("*") if root not in path.parents}
        key = (symbol, "kline", "1d")
        register(store, key).put(FEBRUARY)
        assert {path for path in root.parent.rglob("*") if root not in path.parents} == outside
        with fastk.FastKStore.open(root, "r") as again:
            assert sorted(entry.symbol for entry in again.list_series()) == sorted(["BTCUSDT", symbol])
            assert columns(again.series(KEY))["ts"] == JANUARY["ts"].tolist()
            assert columns(again.series(key))["ts"] == FEBRUARY["ts"].tolist()


class TestSettings:
    def test_every_chunk_holds_the_settings_so_that_a_lost_manifest_loses_none(
        self, store: fastk.FastKStore, root: Path
    ) -> None:
        store.register_trade_series_with_partition("BTCUSDT", "raw", 0, "day", price_scale=100, volume_scale=10**8)
        series = store.trade("BTCUSDT", "raw")
        series.put({name: np.array([1]) for name in series.schema.names})
        for key in (KEY, tuple(series.key)):
            for file in (root / "series" / "/".join(key)).rglob("*.chunk"):
                header = parse_chunk(np.fromfile(file, np.uint8), str(file))
                assert SeriesSettings.from_json(header.settings) == store.series(key).settings

    def test_a_write_with_another_scale_is_refused(self, store: fastk.FastKStore) -> None:
        with pytest.raises(fastk.InvalidInput, match="price_scale"):
            store.register_kline_series("BTCUSDT", "1d", DAY, price_scale=1000)
        other = store.register_kline_series("XRPUSDT", "1d", DAY, price_scale=1000)
        other.put(FEBRUARY)
        with pytest.raises(fastk.InvalidInput, match="scales"):
            store.series(KEY).put(other.range())
        assert len(store.series(KEY)) == 3
        assert dict(store.series(KEY).settings.scales) == {"price_scale": 100, "volume_scale": 1}
