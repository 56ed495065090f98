"""Prewarming maps, verifies and loads all that is attached, and says what that was."""

import sys
import threading

import pytest
from builders import MINUTE, bars, temporary_store
from session_calls import FEATURE, KEYS, KLINE, OTHER, fill, shown

import fastk
from fastk import InvalidData
from fastk.engine.mapped import MappedChunk
from fastk.io.disk import Disk


class Counting(Disk):
    """Counts the files that are opened."""

    opened = 0

    def read(self, path):
        self.opened += 1
        return super().read(path)

    def map(self, path, length=None):
        self.opened += 1
        return super().map(path, length)


def test_reads_after_it_touch_no_file_and_verify_nothing(market, monkeypatch):
    disk, expected = Counting(), shown(market)
    with fastk.open(market.root, "r", disk=disk) as store:
        session = store.read_session().attach(*KEYS)
        attached = disk.opened
        session.prewarm()
        assert disk.opened > attached
        opened = disk.opened
        monkeypatch.setattr(MappedChunk, "_verify_blocks", None)
        assert shown(session) == expected
        assert disk.opened == opened


@pytest.mark.skipif(sys.platform != "linux", reason="faults are counted by getrusage")
def test_pages_are_faulted_in_also_of_what_was_verified_before(store):
    """A page without an entry in the process's table costs a fault; the system maps up to 16 pages at each."""
    import resource

    series = store.register_kline_series("BIG", "1m", MINUTE)
    series.put(bars(count=500_000, step=1))
    series.verify()
    session = store.read_session().attach(series)
    session.reset("Logical")
    session.prewarm()
    columns = [series.range()[name] for name in series.schema.names]
    columns[0].sum()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    total = sum(int(column[::512].sum()) for column in columns)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before < 60  # without it 6 x 977 / 16
    assert total


def test_the_report_counts_what_there_is(market):
    session = market.read_session().attach(*KEYS)
    report = session.prewarm()
    chunks = [chunk for key in KEYS for chunk in market.series(key).chunk_inventory()]
    assert (report.series, report.chunks, report.mapped_chunks) == (4, len(chunks), len(chunks))
    assert report.bytes == sum(chunk.file_length for chunk in chunks) == session.cache_summary().mapped_bytes
    assert report.sidecars == market.series(FEATURE).chunk_inventory()[0].sidecar_count == 2
    assert report.seconds > 0


def test_chunks_of_other_states_are_not_counted_as_mapped(market):
    session = market.read_session().attach(KLINE)
    report = session.prewarm()
    market.kline("BTC", "1m").put(bars(count=3), on_conflict="replace")
    market.kline("BTC", "1m").range()["close"].sum()
    summary = session.cache_summary()
    assert (summary.mapped_chunk_count, summary.mapped_bytes) == (report.chunks, report.bytes)


def test_progress_is_told_bytes_in_the_callers_thread(market):
    told = []
    report = (
        market.read_session()
        .attach(*KEYS)
        .prewarm(lambda done, total: told.append((done, total, threading.get_ident())), threads=3)
    )
    done = [each[0] for each in told]
    assert done == sorted(done)
    assert (done[0], done[-1]) == (0, report.bytes)
    assert {each[1] for each in told} == {report.bytes}
    assert {each[2] for each in told} == {threading.get_ident()}


def test_nothing_attached_is_warm_already(market):
    report = market.read_session().prewarm()
    assert (report.series, report.chunks, report.bytes) == (0, 0, 0)


def test_twice_is_as_good_as_once(market):
    session = market.read_session().attach(KLINE)
    first = session.prewarm()
    session.attach(OTHER)
    second = session.prewarm()
    assert second.bytes == 2 * first.bytes


def test_damage_is_found_and_names_the_file(market):
    path = market._reader_of(fastk.SeriesKey(*OTHER)).files
    chunk = market.series(OTHER).chunk_inventory()[1].relative_path
    with open(f"{path.folder}/{chunk}", "r+b") as file:
        file.seek(-20, 2)
        file.write(b"??")
    with fastk.open(market.root, "r") as store:
        session = store.read_session().attach(KLINE, OTHER)
        with pytest.raises(InvalidData, match="ETH"):
            session.prewarm()
        assert len(session.kline("BTC", "1m").range().close) == 80


def test_damaged_sidecars_are_left_out_and_change_no_answer(market):
    folder = market._reader_of(FEATURE.series_key).files.chunks
    for chunk in market.series(FEATURE).chunk_inventory():
        name = chunk.relative_path.split("/")[-1]
        with open(f"{folder}/{name}.vix", "r+b") as file:
            file.seek(-9, 2)
            file.write(b"?")
    with fastk.open(market.root, "r") as store:
        session = store.read_session().attach(*KEYS)
        assert session.prewarm().sidecars == 1
        assert shown(session) == shown(market)


def test_more_chunks_than_may_stay_mapped_are_verified_all_the_same(monkeypatch):
    with temporary_store(max_maps=3) as store:
        session = fill(store).read_session().attach(*KEYS)
        report = session.prewarm()
        assert report.mapped_chunks < report.chunks
        before = shown(store)
        monkeypatch.setattr(MappedChunk, "_verify_blocks", None)
        assert shown(session) == before


@pytest.mark.parametrize("name", ["plain", "compiled"])
def test_it_loads_the_kernels_unless_they_are_never_wanted(market, name, monkeypatch):
    from builders import use_kernels

    from fastk import kernels

    use_kernels(monkeypatch, "plain")
    monkeypatch.setenv("FASTK_KERNELS", "never" if name == "plain" else "lazy")
    market.read_session().attach(KLINE).prewarm()
    assert kernels.loaded() == (name == "compiled")
