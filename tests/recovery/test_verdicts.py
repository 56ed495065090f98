"""Each kind of damage gets its own verdict: the code, the file, the byte, the rows at risk. Nothing else is touched."""

import os
import shutil

import numpy as np
import pytest
from builders import FEBRUARY, JANUARY, MINUTE, bars, contents
from recovery_stores import (
    BLOCK,
    KEY,
    ROWS,
    SIGNAL,
    TRADES,
    as_newer_format,
    chunk_files,
    codes,
    columns,
    cut,
    flip,
    flip_value,
    folder,
    header_of,
    january,
    make_store,
    manifest,
    mend,
    offset_of,
    only_verdict,
    settings_of,
    sidecar,
    verdicts,
    write_commit,
)
from support.disks import ForbiddenDisk

import fastk
from fastk.format import chunk_tables, retired
from fastk.format.manifest import Manifest, parse_manifest
from fastk.format.sidecars import SidecarOwner, encode_value_index
from fastk.io.disk import Disk
from fastk.recovery.listings import health
from fastk.recovery.verdicts import Code, Severity

WHOLE_JANUARY = (JANUARY, JANUARY + (ROWS - 1) * MINUTE, ROWS)


def risk(verdict):
    return verdict.start_ts, verdict.end_ts, verdict.rows_at_risk


def test_a_sound_store_has_none(root):
    assert verdicts(root, verbose=True) == verdicts(root, thorough=True, verbose=True) == []


def test_looking_changes_nothing(root):
    flip_value(january(root), "close", 5)
    before = contents(root)
    verdicts(root, thorough=True, verbose=True, disk=ForbiddenDisk())
    assert contents(root) == before


class TestChunks:
    @pytest.mark.parametrize("size", [0, 7, 50, 500, 50_000])
    def test_a_torn_tail(self, root, size):
        cut(january(root), size)
        found = only_verdict(root)
        assert (found.code, found.offset, found.path) == ("torn_tail", size, str(january(root).relative_to(root)))
        assert (found.severity, found.series, risk(found)) == (Severity.DAMAGE, "BTCUSDT/kline/1m", WHOLE_JANUARY)

    def test_a_trailer_that_was_never_written(self, root):
        file = january(root)
        size = file.stat().st_size
        file.write_bytes(file.read_bytes()[:-16] + bytes(16))
        found = only_verdict(root)
        assert (found.code, found.offset) == ("torn_tail", size - 16)

    def test_bytes_behind_the_end(self, root):
        file = january(root)
        size = file.stat().st_size
        with file.open("ab") as opened:
            opened.write(b"more")
        found = only_verdict(root)
        assert (found.code, found.offset, risk(found)) == ("excess_tail", size, WHOLE_JANUARY)

    @pytest.mark.parametrize("place", [0, 20, 200, 1_000])
    def test_a_corrupt_header(self, root, place):
        flip(january(root), place)
        found = only_verdict(root)
        assert (found.code, found.offset, risk(found)) == ("corrupt_header", 0, WHOLE_JANUARY)

    def test_a_corrupt_block_is_found_by_scrub_alone(self, root):
        flip_value(january(root), "volume", BLOCK + 7)
        assert verdicts(root) == []
        found = only_verdict(root, thorough=True)
        assert found.code == "corrupt_block"
        assert found.offset == offset_of(january(root), "volume", BLOCK)
        assert risk(found) == (JANUARY + BLOCK * MINUTE, JANUARY + (2 * BLOCK - 1) * MINUTE, BLOCK)
        assert "'volume' is damaged in rows 4,096 to 8,191" in found.detail

    def test_neighbouring_blocks_are_one_verdict_and_others_are_not(self, root):
        for row in (1, BLOCK, ROWS - 1):
            flip_value(january(root), "open", row)
        flip_value(january(root), "ts", ROWS - 1)
        found = verdicts(root, thorough=True)
        assert [risk(each) for each in found] == [
            (JANUARY + 2 * BLOCK * MINUTE, JANUARY + (ROWS - 1) * MINUTE, ROWS - 2 * BLOCK),
            WHOLE_JANUARY,
        ]

    def test_where_times_are_damaged_the_block_index_bounds_the_rows(self, root):
        flip_value(january(root), "ts", 3)
        assert risk(only_verdict(root, thorough=True)) == (JANUARY, JANUARY + BLOCK * MINUTE - 1, BLOCK)

    def test_a_missing_file(self, root):
        january(root).unlink()
        found = only_verdict(root)
        assert (found.code, found.offset, risk(found)) == ("missing_file", None, WHOLE_JANUARY)

    def test_a_chunk_of_another_series_under_this_name(self, root):
        shutil.copy(chunk_files(root, TRADES)[0], january(root))
        found = only_verdict(root)
        assert (found.code, risk(found)) == ("foreign_file", WHOLE_JANUARY)
        assert "ETHUSDT/trade/raw" in found.detail

    def test_a_chunk_of_another_commit_under_this_name(self, root):
        january_file, february = chunk_files(root)
        shutil.copy(february, january_file)
        found = only_verdict(root)
        assert found.code == "foreign_file"
        assert february.name in found.detail

    def test_another_content_of_the_very_chunk(self, root):
        header = header_of(january(root))
        (file,) = write_commit(root, 99, 1, {"2024-01": bars(JANUARY, 10)})
        content = bytearray(file.read_bytes())
        file.rename(january(root))
        assert bytes(content) != header.settings
        assert only_verdict(root).code == "foreign_file"

    def test_a_folder_in_the_place_of_a_file(self, root):
        file = january(root)
        file.unlink()
        file.mkdir()
        assert only_verdict(root).code == "foreign_file"

    def test_a_newer_format(self, root):
        as_newer_format(january(root))
        found = only_verdict(root)
        assert (found.code, found.severity) == ("newer_format", "damage")
        assert "format 4" in found.detail

    def test_a_manifest_that_says_something_else_than_the_header(self, root):
        stored = parse_manifest(manifest(root).read_bytes(), "")
        items = stored.chunks.copy()
        items["rows"][0] += 1
        manifest(root).write_bytes(Manifest(stored.settings, 3, 3, 0, chunks=items).encode())
        found = only_verdict(root)
        assert found.code == "metadata_mismatch"
        assert "rows" in found.detail

    def test_chunks_that_interleave(self, root):
        stored = parse_manifest(manifest(root).read_bytes(), "")
        items = stored.chunks.copy()
        items["start_ts"][1] = JANUARY + 5
        manifest(root).write_bytes(Manifest(stored.settings, 3, 3, 0, chunks=items).encode())
        assert codes(root) == ["overlap", "metadata_mismatch"]


class TestManifests:
    def test_a_missing_one_puts_all_rows_at_risk(self, root):
        manifest(root).unlink()
        found = only_verdict(root)
        assert (found.code, found.path) == ("missing_manifest", "series/BTCUSDT/kline/1m/series.meta")
        assert risk(found) == (JANUARY, FEBRUARY + 49 * MINUTE, ROWS + 50)

    @pytest.mark.parametrize(
        "damage", [lambda file: cut(file, 0), lambda file: cut(file, 200), lambda file: flip(file, 150)]
    )
    def test_a_corrupt_one(self, root, damage):
        damage(manifest(root))
        found = only_verdict(root)
        assert (found.code, found.rows_at_risk) == ("corrupt_manifest", ROWS + 50)

    def test_one_of_another_series(self, root):
        shutil.copy(manifest(root, TRADES), manifest(root))
        found = only_verdict(root)
        assert found.code == "foreign_file"
        assert "ETHUSDT/trade/raw" in found.detail

    def test_one_of_a_newer_format(self, root):
        as_newer_format(manifest(root))
        assert codes(root) == ["newer_format"]

    def test_one_of_which_a_digit_of_the_format_is_damaged(self, root):
        before = columns(root)
        flip(manifest(root), 7, 4)
        assert codes(root) == ["corrupt_manifest"]
        mend(root)
        assert columns(root) == before

    def test_an_old_copy(self, root):
        old = manifest(root).read_bytes()
        with fastk.open(root) as store:
            for minute in (60, 70):
                store.series(KEY).put(bars(FEBRUARY + minute * MINUTE, 2))
        manifest(root).write_bytes(old)
        assert codes(root) == ["stale_manifest"]

    def test_a_folder_without_a_series_is_said_and_is_no_damage(self, root):
        (root / "series/XRPUSDT/kline/1m/chunks").mkdir(parents=True)
        found = only_verdict(root)
        assert (found.code, found.severity, found.path) == ("unregistered", "note", "series/XRPUSDT/kline/1m")
        assert health(Disk(), str(root)).series_count == 3


class TestTables:
    @pytest.fixture
    def root(self, folder_in_memory, monkeypatch):
        monkeypatch.setattr(chunk_tables, "INLINE_MAX", 1)
        monkeypatch.setattr(retired, "INLINE_MAX", 0)
        make_store(folder_in_memory / "store").close()
        return folder_in_memory / "store"

    def test_a_sound_one_is_part_of_a_sound_store(self, root):
        assert codes(root, thorough=True) == []
        assert len(list(folder(root).glob("chunks.*.table"))) == 1

    def test_a_corrupt_one(self, root):
        (file,) = folder(root).glob("chunks.*.table")
        flip(file, 60)
        found = only_verdict(root)
        assert (found.code, found.path) == ("corrupt_table", str(file.relative_to(root)))
        assert risk(found) == (JANUARY, FEBRUARY + 49 * MINUTE, ROWS + 50)

    def test_a_missing_one(self, root):
        (file,) = folder(root).glob("chunks.*.table")
        file.unlink()
        found = only_verdict(root)
        assert (found.code, found.rows_at_risk) == ("missing_file", ROWS + 50)

    def test_one_of_retired_files(self, root):
        with fastk.open(root) as store:
            for minute in (60, 70):
                store.series(KEY).put(bars(FEBRUARY + minute * MINUTE, 2))
        *_, file = sorted(folder(root).glob("retired.*.table"))
        assert codes(root) == []
        flip(file, 60)
        found = only_verdict(root)
        assert (found.code, found.path) == ("corrupt_table", str(file.relative_to(root)))


class TestSidecars:
    """They change no answer, and a power loss may leave them torn: all that is wrong with one is a note."""

    def test_a_missing_one(self, root):
        sidecar(root, ".vix").unlink()
        found = only_verdict(root)
        assert (found.code, found.severity) == ("missing_sidecar", "note")

    @pytest.mark.parametrize("size", [0, 10, 100])
    def test_a_torn_one(self, root, size):
        cut(sidecar(root, ".zmap"), size)
        found = only_verdict(root)
        assert (found.code, found.severity) == ("damaged_sidecar", "note")

    def test_a_flipped_byte_is_found_by_scrub(self, root):
        flip(sidecar(root, ".vix"), 200)
        assert codes(root) == []
        assert codes(root, thorough=True) == ["damaged_sidecar"]

    def test_a_damaged_owner_is_no_other_owner(self, root):
        flip(sidecar(root, ".vix"), 13)
        assert codes(root) == ["damaged_sidecar"]

    @pytest.mark.parametrize("place", [7, 8])
    def test_a_flipped_digit_of_its_format_is_damage(self, root, place):
        flip(sidecar(root, ".vix"), place, 4)
        assert codes(root, thorough=True) == ["damaged_sidecar"]
        mend(root)

    def test_one_of_a_newer_format(self, root):
        as_newer_format(sidecar(root, ".vix"))
        found = only_verdict(root)
        assert (found.code, found.severity) == ("newer_format", "note")

    @pytest.mark.parametrize("suffix", [".zmap", ".vix"])
    def test_one_of_terabytes_is_not_read(self, root, suffix):
        """Its head says how long it was."""
        with sidecar(root, suffix).open("r+b") as opened:
            opened.truncate(1 << 40)
        assert codes(root, thorough=True) == ["damaged_sidecar"]
        with fastk.open(root, "r") as store:
            assert len(store.series(SIGNAL).where("value", fastk.Eq(5))) == 6
        mend(root)

    def test_one_of_another_chunk(self, root):
        with fastk.open(root) as store:
            store.series(SIGNAL).put({"ts": [FEBRUARY], "value": [1]})
        first, second = sorted((folder(root, SIGNAL) / "chunks").glob("*.vix"))
        shutil.copy(second, first)
        found = only_verdict(root)
        assert (found.code, found.severity) == ("foreign_file", "note")

    def test_one_of_an_earlier_content_of_its_chunk(self, root, folder_in_memory):
        """As it comes about when a chunk is restored from another copy of the store."""
        settings = settings_of(root, SIGNAL)
        ordinal = {"2024-03": {"ts": np.array([FEBRUARY + 40 * 86_400_000]), "value": np.array([1])}}
        (file,) = write_commit(root, 50, 2, ordinal, key=SIGNAL)
        header = header_of(file)
        file.unlink()
        owner = SidecarOwner.of(header_of(chunk_files(root, SIGNAL)[0]))._replace(header_crc=header.crc, rows=1)
        buffers = encode_value_index(owner, settings.schema, [np.array([1]), np.array([1])])
        sidecar(root, ".vix").write_bytes(b"".join(bytes(memoryview(each)) for each in buffers))
        found = only_verdict(root)
        assert (found.code, found.severity) == ("stale_sidecar", "note")


class TestNotes:
    """Files that no committed state needs are reported when asked for, and never make a validation fail."""

    def test_a_commit_that_was_never_finished(self, root):
        (file,) = write_commit(root, 9, 3, {"2024-03": bars(FEBRUARY + 35 * 86_400_000, 3)})
        assert codes(root) == ["unnamed_commit"]
        _, found = verdicts(root, verbose=True)
        assert (found.code, found.severity, found.path) == ("orphan", "note", str(file.relative_to(root)))
        assert "commit 9, which was never finished" in found.detail

    def test_files_that_a_writer_set_aside(self, root):
        (file,) = write_commit(root, 9, 3, {"2024-03": bars(FEBRUARY + 35 * 86_400_000, 3)})
        file.rename(f"{file}.orphan")
        assert codes(root, verbose=True) == ["orphan"]

    def test_temporary_files(self, root):
        (folder(root) / "series.meta.tmp").write_bytes(b"torn")
        (root / "fastk.store.tmp").write_bytes(b"")
        assert codes(root, verbose=True) == ["leftover", "leftover"]

    def test_files_of_others(self, root):
        for place in (root, root / "series", folder(root), folder(root) / "chunks"):
            (place / "desktop.ini").touch()
        assert codes(root) == []
        assert codes(root, verbose=True) == ["unknown_file"] * 4

    def test_tables_that_nothing_names(self, root):
        (folder(root) / "chunks.00000009-0000.table").touch()
        assert codes(root, verbose=True) == ["orphan"]

    def test_sidecars_without_a_chunk(self, root):
        (folder(root) / "chunks/2024-05.00000009-0000.chunk.zmap").touch()
        assert codes(root, verbose=True) == ["orphan"]

    def test_retired_tables(self, folder_in_memory, monkeypatch):
        monkeypatch.setattr(chunk_tables, "INLINE_MAX", 1)
        with make_store(folder_in_memory / "store") as store:
            for minute in (60, 70, 80):
                store.series(KEY).put(bars(FEBRUARY + minute * MINUTE, 2))
        assert set(codes(folder_in_memory / "store", verbose=True)) == {"retired"}


class TestTheRoot:
    def test_a_missing_store_file(self, root):
        (root / "fastk.store").unlink()
        found = only_verdict(root)
        assert (found.code, found.path) == ("missing_store_file", "fastk.store")

    def test_a_corrupt_store_file_hides_no_series(self, root):
        (root / "fastk.store").write_text("{}")
        january(root).unlink()
        assert codes(root) == ["corrupt_store_file", "missing_file"]

    def test_a_store_of_a_newer_format(self, root):
        (root / "fastk.store").write_text('{"format": "fastk", "version": 4}\n')
        assert codes(root) == ["newer_format"]


def test_every_code_has_a_severity_and_a_plain_name():
    notes = {code for code in Code if code.severity is Severity.NOTE}
    of_sidecars, of_others = {"stale_sidecar", "damaged_sidecar", "missing_sidecar"}, {"unknown_file", "unregistered"}
    expected = of_sidecars | of_others | {"orphan", "retired", "leftover", "unnamed_commit"}
    assert {str(code) for code in notes} == expected


class TestContainment:
    def test_one_damaged_series_hides_no_other(self, root):
        manifest(root).write_bytes(os.urandom(500))
        january_of_trades = chunk_files(root, TRADES)[0]
        cut(january_of_trades, 100)
        assert codes(root) == ["corrupt_manifest", "torn_tail"]

    def test_one_damaged_chunk_hides_no_other(self, root):
        first, second = chunk_files(root)
        cut(first, 10)
        flip(second, 20)
        assert codes(root) == ["torn_tail", "corrupt_header"]
