"""Several processes on one store: readers see whole commits, writers take turns, and a killed one leaves no lock.

The other process is a small program that is told what to do by lines on its standard input and answers by lines, so
that nothing here waits for a time to pass.
"""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastk

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and flock are POSIX")
SYMBOL, CHANNEL = "BTCUSDT", "raw"
HOUR, START, ROWS = 3_600_000, 473_352 * 3_600_000, 40

HELPER = f"""
    import os, sys
    import numpy as np, fastk
    HOUR, START, ROWS = {HOUR}, {START}, {ROWS}

    def hours(first, count=1):
        ts = START + np.arange(first * ROWS, (first + count) * ROWS) * (HOUR // ROWS)
        return dict(ts=ts, recv_ts=ts, trade_id=ts, price=ts * 7, qty=ts % 11, side=ts % 2, flags=ts % 3)

    def tell(*words):
        print(*words, flush=True)

    store = fastk.FastKStore.open(sys.argv[1], lock_timeout=60)
    series = store.trade("{SYMBOL}", "{CHANNEL}")
"""


def hours(first: int, count: int = 1) -> dict[str, np.ndarray]:
    """Rows of some hours, as the other process makes them."""
    ts = START + np.arange(first * ROWS, (first + count) * ROWS) * (HOUR // ROWS)
    return {"ts": ts, "recv_ts": ts, "trade_id": ts, "price": ts * 7, "qty": ts % 11, "side": ts % 2, "flags": ts % 3}


class Helper:
    """Another process; ``program`` goes on from HELPER."""

    def __init__(self, root: Path, program: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", textwrap.dedent(HELPER) + textwrap.dedent(program), str(root)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def hear(self) -> str:
        """Its next line."""
        line = self.process.stdout.readline()  # type: ignore[union-attr]
        assert line, f"it ended: {self.process.communicate()[1]}"
        return str(line).strip()

    def say(self, line: str) -> None:
        self.process.stdin.write(line + "\n")  # type: ignore[union-attr]
        self.process.stdin.flush()  # type: ignore[union-attr]

    def ask(self, line: str) -> str:
        self.say(line)
        return self.hear()

    def finish(self) -> str:
        """The rest of what it says, once it has ended by itself."""
        said, errors = self.process.communicate()
        assert self.process.returncode == 0, errors
        return str(said)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()

    def __enter__(self) -> "Helper":
        return self

    def __exit__(self, *problem: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


OBEY = """
    for line in sys.stdin:
        tell(eval(line))
"""
WRITE_UNTIL_KILLED = """
    first = len(series) // ROWS
    tell("ready")
    for hour in range(first, 100_000):
        series.put(hours(hour))
        tell(hour + 1)
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    with fastk.FastKStore.open(tmp_path / "root") as store:
        store.register_trade_series(SYMBOL, CHANNEL).put(hours(0))
    return tmp_path / "root"


@pytest.fixture
def series(root: Path) -> Iterator[Any]:
    with fastk.FastKStore.open(root) as store:
        yield store.trade(SYMBOL, CHANNEL)


def check(rows: Any) -> None:
    """Whole hours from the first one on, every value where it belongs."""
    assert len(rows) % ROWS == 0
    for name, column in hours(0, len(rows) // ROWS).items():
        np.testing.assert_array_equal(rows.column(name), column)


class TestReaderAndWriter:
    def test_a_pinned_reader_sees_what_it_saw_until_it_refreshes(self, root: Path, series: Any) -> None:
        with Helper(root, OBEY) as writer:
            check(series.range())
            for hour in range(1, 4):
                assert writer.ask(f"series.put(hours({hour})).accepted") == str(ROWS)
                assert len(series) == len(series.range()) == hour * ROWS
                assert series.latest(1).ts[0] < START + hour * HOUR
                assert series.at(START + hour * HOUR) is None
                assert series.refresh()
                assert len(series) == (hour + 1) * ROWS
                check(series.range())
            assert not series.refresh()

    @pytest.mark.slow
    def test_a_writer_goes_on_from_what_another_process_committed(self, root: Path, series: Any) -> None:
        with Helper(root, OBEY) as other:
            for hour in range(1, 6):
                if hour % 2:
                    other.ask(f"series.put(hours({hour})).sequence")
                else:
                    series.put(hours(hour))
            assert other.ask("series.refresh(), len(series)").endswith(f"{6 * ROWS})")
        series.refresh()
        check(series.range())
        with pytest.raises(fastk.InvalidInput, match="overlap"):
            series.put(hours(5))

    @pytest.mark.slow
    def test_a_reader_sees_a_series_dropped_and_registered_again(self, root: Path, series: Any) -> None:
        with Helper(root, OBEY) as writer:
            rows = series.range()
            writer.ask(f"store.drop_series(('{SYMBOL}', 'trade', '{CHANNEL}'))")
            check(series.range())
            writer.ask(f"store.register_trade_series('{SYMBOL}', '{CHANNEL}').put(hours(5)).accepted")
            check(series.range())
            assert series.refresh()
            assert series.span[0] == START + 5 * HOUR
            check(rows)

    @pytest.mark.slow
    def test_a_looping_reader_sees_whole_commits_only(self, root: Path, series: Any) -> None:
        with Helper(root, "for hour in range(1, 150): series.put(hours(hour))") as writer:
            seen = []
            while len(series) < 150 * ROWS and (writer.process.poll() is None or series.refresh()):
                series.refresh()
                check(series.range())
                assert len(series.latest(100_000)) == len(series)
                seen.append(len(series))
            writer.finish()
        assert seen == sorted(seen)
        assert seen[-1] == 150 * ROWS

    @pytest.mark.slow
    def test_a_reader_needs_no_lock(self, root: Path, series: Any) -> None:
        with Helper(root, "with store._gate.hold():\n    tell('held'); sys.stdin.readline()") as holder:
            assert holder.hear() == "held"
            with fastk.FastKStore.open(root, "r", lock_timeout=0) as reader:
                check(reader.trade(SYMBOL, CHANNEL).range())
                reader.refresh()
                assert len(reader.list_series()) == 1
            holder.say("go on")
            holder.finish()


class TestLock:
    @pytest.mark.slow
    def test_the_holder_is_named_to_who_waits_in_vain(self, root: Path) -> None:
        with Helper(root, "with store._gate.hold():\n    tell('held'); sys.stdin.readline()") as holder:
            assert holder.hear() == "held"
            with (
                fastk.FastKStore.open(root, lock_timeout=0.05) as store,
                pytest.raises(fastk.LockTimeout, match=rf"pid {holder.process.pid}\b.*since 20"),
            ):
                store.trade(SYMBOL, CHANNEL).put(hours(1))
            holder.say("go on")
            holder.finish()
        with fastk.FastKStore.open(root, lock_timeout=0.05) as store:
            store.trade(SYMBOL, CHANNEL).put(hours(1))

    def test_a_killed_holder_frees_it_at_once(self, root: Path) -> None:
        with Helper(root, "with store._gate.hold():\n    tell('held'); sys.stdin.readline()") as holder:
            assert holder.hear() == "held"
            holder.kill()
        with fastk.FastKStore.open(root, lock_timeout=0) as store:
            store.trade(SYMBOL, CHANNEL).put(hours(1))

    @pytest.mark.slow
    def test_the_count_of_killed_holders_moves_on(self, root: Path) -> None:
        def crashes() -> int:
            with fastk.FastKStore.open(root, lock_timeout=0) as store, store._gate.hold():
                return store._gate.crashes

        assert crashes() == crashes() == 0
        for count in (1, 2, 3):
            with Helper(root, "with store._gate.hold():\n    tell('held'); sys.stdin.readline()") as holder:
                holder.hear()
                holder.kill()
            assert crashes() == crashes() == count

    @pytest.mark.slow
    def test_a_forked_child_does_not_keep_it(self, root: Path) -> None:
        """A child has a copy of the descriptor; what the parent releases is free all the same."""
        program = """
            with store._gate.hold():
                child = os.fork()
                if not child:
                    sys.stdin.readline()
                    os._exit(0)
            tell("released")
            os.waitpid(child, 0)
        """
        with Helper(root, program) as parent:
            assert parent.hear() == "released"
            with fastk.FastKStore.open(root, lock_timeout=0.05) as store:
                store.trade(SYMBOL, CHANNEL).put(hours(1))
            parent.say("end")
            parent.finish()

    @pytest.mark.slow
    def test_writers_contend_and_all_succeed_in_turn(self, root: Path) -> None:
        program = """
            mine = store.register_trade_series("BTCUSDT", sys.stdin.readline().strip())
            for hour in range(30):
                mine.put(hours(hour))
                while True:  # both write to the same series as well: who comes too late, tries the next hour
                    series.refresh()
                    try:
                        series.put(hours(len(series) // ROWS))
                        break
                    except fastk.InvalidInput:
                        continue
        """
        with Helper(root, program) as first, Helper(root, program) as second:
            first.say("one")
            second.say("two")
            first.finish()
            second.finish()
        with fastk.FastKStore.open(root, "r") as store:
            assert len(store.trade(SYMBOL, CHANNEL)) == 61 * ROWS
            for channel, count in (("one", 30), ("two", 30), (CHANNEL, 61)):
                series = store.trade("BTCUSDT", channel)
                assert len(series) == count * ROWS
                check(series.range())
                series.verify()


class TestKilledWriter:
    @pytest.mark.slow
    def test_loses_nothing_that_it_committed(self, root: Path) -> None:
        """Killed again and again in the middle of puts, at whatever point that is."""
        for round_number in range(8):
            with Helper(root, WRITE_UNTIL_KILLED) as writer:
                assert writer.hear() == "ready"
                committed = 0
                for _ in range(3 + round_number % 5):
                    committed = int(writer.hear())
                writer.process.send_signal(signal.SIGKILL)
                told = [int(line) for line in writer.process.communicate()[0].split()]
            committed = max([committed, *told])
            with fastk.FastKStore.open(root, lock_timeout=0) as store:
                series = store.trade(SYMBOL, CHANNEL)
                stored = len(series) // ROWS
                assert committed <= stored <= committed + 1
                check(series.range())
                series.verify()
                series.put(hours(stored))
                check(series.range())

    @pytest.mark.slow
    def test_leaves_names_that_nobody_uses_again(self, root: Path, series: Any) -> None:
        """A store object that has long been open learns of the crash by the lock file."""
        series.put(hours(1))
        program = """
            class Stop(type(store._disk)):
                def replace_unnamed(self, path, buffers, *, sync=True):
                    tell("written")
                    sys.stdin.readline()
            store._disk.__class__ = Stop
            series.put(hours(2))
        """
        with Helper(root, program) as writer:
            assert writer.hear() == "written"
            writer.kill()
        folder = root / "series" / "BTCUSDT" / "trade" / "raw"
        leftovers = set(root.rglob("*.chunk")) - {folder / meta.relative_path for meta in series.chunk_inventory()}
        assert len(leftovers) == 1
        (leftover,) = leftovers
        content, before = leftover.read_bytes(), series.sequence
        assert series.put(hours(2)).sequence == before + 2
        check(series.range())
        assert not os.path.lexists(leftover)
        assert Path(f"{leftover}.orphan").read_bytes() == content

    @pytest.mark.slow
    def test_while_it_registers_leaves_no_half_series(self, root: Path) -> None:
        program = """
            class Stop(type(store._disk)):
                def rename(self, source, target):
                    tell("written")
                    sys.stdin.readline()
            store._disk.__class__ = Stop
            store.register_trade_series("ETHUSDT", "raw")
        """
        with Helper(root, program) as writer:
            assert writer.hear() == "written"
            writer.kill()
        with fastk.FastKStore.open(root, lock_timeout=0) as store:
            assert [entry.symbol for entry in store.list_series()] == ["BTCUSDT"]
            assert not store.trade("ETHUSDT", "raw").exists
            store.register_trade_series("ETHUSDT", "raw").put(hours(0))
            check(store.trade("ETHUSDT", "raw").range())
