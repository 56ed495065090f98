"""An append goes a short way where it can. What it leaves on disk is what the long way leaves, byte for byte."""

from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from builders import DAY, HOUR, JANUARY, MINUTE, bars, contents, temporary_folder
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from support import operations
from support.crashes import Effort, Story, killed_writers, power_cuts
from support.failures import FailingStory

import fastk
from fastk.arrays import read_only
from fastk.engine.edit import SeriesEdit
from fastk.engine.snapshot import LastPartition
from fastk.format import chunk
from fastk.format.chunk import ChunkIdentity, encode_chunk
from fastk.schema.schema import BUILT_IN_SCHEMAS, Schema

IDENTITY = ChunkIdentity(7, 5 << 20, 4, 0, 1, 3, 1, 648)
MIXED = Schema(
    "mixed", [("ts", "i8"), ("a", "f8"), ("b", "f8"), ("c", "S3"), ("d", "S3"), ("e", "?"), ("f", "?"), ("g", "f4")]
)
KEY = ("BTC", "kline", "1m")
CHANGES = (
    "append",
    "append",
    "leave a gap",
    "next day",
    "over midnight",
    "put before",
    "put",
    "delete the end",
    "merge",
    "batch",
    "reopen",
)


# Plans


def change(store, what, after):
    """One change of the series, whose last ts was ``after``; the last ts that it may have now."""
    series = store.series(KEY)
    start = after + {"leave a gap": HOUR, "next day": DAY}.get(what, MINUTE)
    if what == "over midnight":
        start = -(-(start + MINUTE) // DAY) * DAY - MINUTE
    if what in ("append", "leave a gap", "next day", "over midnight"):
        series.append(bars(start, 3))
    elif what == "put":
        series.put(bars(start, 3))
    elif what == "put before":
        series.put(bars(JANUARY, 2), on_conflict="replace")
        return after
    elif what == "delete the end":
        series.delete_range(after, None)
        return after
    elif what == "merge":
        series.merge()
        return after
    elif what == "reopen":
        series.refresh()
        return after
    else:
        with store.batch():
            series.append(bars(start, 2))
            series.append(bars(start + 2 * MINUTE, 1))
    return start + 2 * MINUTE


def files_behind(root, changes):
    """What lies on disk behind some changes; all of them take place at one time."""
    with (
        mock.patch("time.time_ns", return_value=JANUARY * 1_000_000),
        mock.patch("os.urandom", return_value=bytes(8)),
        fastk.FastKStore.open(root) as store,
    ):
        store.register_series(KEY, fastk.KLINE, timeframe_ms=MINUTE, partition="day")
        after = JANUARY + HOUR
        for what in changes:
            after = change(store, what, after)
        return contents(root)


@pytest.mark.slow
@given(st.lists(st.sampled_from(CHANGES), max_size=9))
@example(["append", "append", "merge", "append", "delete the end", "append", "next day", "append"])
@settings(deadline=None, max_examples=40)
def test_appends_leave_what_planned_ones_leave(tmp_path_factory, changes):
    short, long = (tmp_path_factory.mktemp(name) for name in ("short", "long"))
    found = files_behind(short, changes)
    with mock.patch.object(SeriesEdit, "append_behind", return_value=False):
        assert files_behind(long, changes) == found


def test_the_second_append_to_a_partition_goes_the_short_way(tmp_path):
    taken = []
    original = SeriesEdit.append_behind

    def watched(edit, columns):
        taken.append(original(edit, columns))
        return taken[-1]

    with mock.patch.object(SeriesEdit, "append_behind", watched):
        files_behind(
            tmp_path,
            [
                "append",
                "append",
                "leave a gap",
                "next day",
                "append",
                "over midnight",
                "append",
                "put before",
                "append",
            ],
        )
    assert taken == [False, True, True, False, True, False, True, False]


@pytest.fixture
def series(tmp_path):
    """A series whose next append goes the short way."""
    with fastk.FastKStore.open(tmp_path / "store") as store:
        series = store.register_series(KEY, fastk.KLINE, timeframe_ms=MINUTE)
        series.append(bars(JANUARY, 3))
        yield series


def test_a_manifest_that_is_damaged_between_two_appends_is_refused(series):
    path = Path(series._reader.files.manifest)
    sound = path.read_bytes()
    for place in range(0, len(sound), 3):
        path.write_bytes(sound[:place] + bytes([sound[place] ^ 1]) + sound[place + 1 :])
        with pytest.raises((fastk.InvalidData, fastk.UnsupportedVersion)):
            series.append(bars(JANUARY + HOUR, 1))
    path.write_bytes(sound)
    assert series.append(bars(JANUARY + HOUR, 1)).chunks == 1


@pytest.mark.parametrize("depth", range(5))
def test_a_link_that_is_planted_between_two_appends_is_refused(series, tmp_path, depth):
    place = Path(series._reader.files.chunks)
    for _ in range(depth):
        place = place.parent
    place.rename(tmp_path / "outside")
    place.symlink_to(tmp_path / "outside")
    before = contents(tmp_path / "outside")
    with pytest.raises(fastk.InvalidData, match=f"{place} is a symbolic link"):
        series.append(bars(JANUARY + HOUR, 1))
    assert contents(tmp_path / "outside") == before


def test_rows_that_another_writer_appended_in_between_are_in_the_way(series, tmp_path):
    with fastk.FastKStore.open(tmp_path / "store") as other:
        other.series(KEY).append(bars(JANUARY + HOUR, 1))
    with pytest.raises(fastk.InvalidInput, match="overlap"):
        series.append(bars(JANUARY + HOUR, 1))
    assert series.append(bars(JANUARY + 2 * HOUR, 1)).chunks == 1
    assert len(series) == 5


def append_behind_the_last(store):
    """What an append does that follows one of the same store object; that one is no part of the story."""
    series = store.series(operations.KEY)
    snapshot = series._reader.snapshot
    last = snapshot.table[-1]
    snapshot.last_partition = LastPartition(int(last["partition"]), int(last["generation"]))
    assert series.append(operations.REST_OF_FEBRUARY).chunks == 1


@pytest.mark.slow
def test_such_an_append_survives_power_cuts_kills_failures_and_interrupts():
    def prepare(store):
        operations.register(store).put(operations.FEBRUARY)

    story_of = operations.Operation("append_behind", prepare, append_behind_the_last)
    with temporary_folder() as folder, story_of.limits():
        story = Story(story_of, folder)
        tally = power_cuts(story, Effort.wanted())
        assert tally.points == len(story.journal.effects) + 1
        assert tally.outcomes["old"] > 1
        assert tally.outcomes["new"] > 1
        assert killed_writers(story, Effort.wanted()).points == len(story.journal.effects)
        failing = FailingStory(story)
        for found in (
            failing.fail(each=True),
            failing.interrupt(each=True),
            failing.interrupt_effects(),
            failing.write_short(7),
        ):
            assert not found.problems, found.problems


# Chunks


@st.composite
def columns_of(draw):
    """A schema, and up to 30 rows of it."""
    schema = draw(st.sampled_from([*BUILT_IN_SCHEMAS.values(), MIXED]))
    rows = draw(st.integers(0, 30))
    columns = [draw(arrays.arrays(field.dtype, rows)) for field in schema.fields]
    for column in columns:
        if column.dtype.kind == "f":  # of two zeros either may be a zone, and NaN have many forms
            column[(column == 0) | np.isnan(column)] = np.nan
    return schema, [np.sort(columns[0]), *columns[1:]]


@given(columns_of(), st.integers(1, 40), st.lists(st.integers(0, 9), max_size=2))
@settings(deadline=None, max_examples=100)
def test_a_chunk_of_few_rows_is_laid_out_like_any_other(drawn, block_rows, superseded):
    schema, columns = drawn
    given_ = b'{"key":1}', schema, [read_only(column) for column in columns], IDENTITY, superseded, block_rows
    small = encode_chunk(*given_)
    with mock.patch.object(chunk, "SMALL_ROWS", 0):
        large = encode_chunk(*given_)
    assert b"".join(small.buffers) == b"".join(large.buffers)
    assert small[1:] == large[1:] == (small.header_crc, len(b"".join(small.buffers)))
