"""The medium gives no bytes: once, or each time; of one place of a file, or of all of it.

What fails once is no damage. A place that fails each time costs the blocks that it lies in. A file of which nothing can
be read may be sound: its series is left alone, and the report says so.
"""

import errno
import os

import pytest
from builders import MARCH, bars
from recovery_stores import (
    BLOCK,
    KEY,
    ROWS,
    SIGNAL,
    TRADES,
    append_and_merge,
    assert_sound,
    chunk_files,
    columns,
    flip_value,
    folder,
    header_of,
    january,
    manifest,
    offset_of,
    quarantined,
    rebuild,
    sidecar,
    verdicts,
    without,
    write_commit,
)
from support.disks import FailingSystem, read_image

import fastk.io.disk
import fastk.recovery.repair
from fastk.io.disk import Disk
from fastk.recovery.repair import rebuild_manifests, repair

HOW = {"repair": repair, "rebuild": rebuild_manifests}


class BadSectors(Disk):
    """A medium that lost some bytes: (path, first byte, stop). ``times`` is how often it says so."""

    def __init__(self, *sectors, times=10**9, code=errno.EIO):
        super().__init__()
        self.sectors, self.times, self.code = [(str(path), *place) for path, *place in sectors], times, code

    def pieces(self, path, offset, length, size):
        for piece in super().pieces(path, offset, length, size):
            self.check(path, offset, offset + piece.size)
            offset += piece.size
            yield piece

    def map(self, path, length=None):
        self.check(path, 0, 0)
        return super().map(path, length)

    def read(self, path):
        self.check(path, 0, 10**9)
        return super().read(path)

    def check(self, path, start, stop):
        for bad, low, high in self.sectors:
            if path == bad and ((start < high and low < stop) or high == ALL) and self.times:
                self.times -= 1
                raise OSError(self.code, os.strerror(self.code), path)


ALL = 10**12


def all_columns(root):
    return {key: columns(root, key) for key in (KEY, SIGNAL, TRADES)}


@pytest.fixture
def before(root):
    return all_columns(root)


class TestOnce:
    @pytest.mark.slow
    @pytest.mark.parametrize("how", HOW)
    @pytest.mark.parametrize("code", [errno.EIO, errno.EACCES, errno.ENOMEM])
    def test_a_call_that_fails_once_costs_a_sound_store_nothing(self, root, before, how, code, monkeypatch):
        """Every call of a repair in turn: none makes it throw a sound file away."""
        number = 0
        while True:
            system = FailingSystem(number, OSError(code, os.strerror(code)))
            with monkeypatch.context() as patch:
                patch.setattr(fastk.io.disk, "os", system)
                try:
                    report = HOW[how](Disk(), str(root))
                except OSError:
                    report = None
            if number >= len(system.calls):
                break
            assert report is None or not report.lost_rows, system.calls[number]
            assert all_columns(root) == before, system.calls[number]
            number += 1 if how == "repair" else 3
        assert number > 30
        assert not [name for name in quarantined(root) if name.endswith(".chunk")]
        assert_sound(root)

    def test_a_block_that_fails_twice_is_read_a_third_time(self, root, before):
        place = offset_of(january(root), "close", BLOCK + 1)
        disk = BadSectors((january(root), place, place + 1), times=2)
        assert repair(disk, str(root)).changes_nothing
        assert disk.times == 0
        assert all_columns(root) == before

    def test_a_failing_read_beside_real_damage_adds_nothing_to_it(self, root):
        flip_value(january(root), "close", 0)
        place = offset_of(january(root), "low", BLOCK + 1)
        report = repair(BadSectors((january(root), place, place + 1), times=1), str(root))
        assert [each.rows for each in report.lost_rows] == [BLOCK]


class TestOnePlace:
    def test_costs_the_blocks_that_it_lies_in_and_no_others(self, root, before):
        file = january(root)
        place = offset_of(file, "low", BLOCK + 100)
        disk = BadSectors((file, place, place + 512))
        (found,) = verdicts(root, thorough=True, disk=disk)
        assert (found.code, found.offset, found.rows_at_risk) == (
            "unreadable_block",
            offset_of(file, "low", BLOCK),
            BLOCK,
        )
        assert "column 'low' cannot be read in rows 4,096 to 8,191 of 10,000" in found.detail
        assert "Input/output error" in found.detail
        report = repair(disk, str(root))
        assert [(each.rows, each.reason) for each in report.lost_rows] == [(BLOCK, "unreadable_block")]
        assert report.salvaged_rows == ROWS - BLOCK
        assert columns(root) == without(before[KEY], (BLOCK, 2 * BLOCK))
        assert quarantined(root) == [file.name, f"{file.name}.zmap"]
        assert_sound(root)

    def test_beside_other_damage_is_told_apart_from_it(self, root):
        flip_value(january(root), "low", 0)
        place = offset_of(january(root), "low", 2 * BLOCK)
        found = verdicts(root, thorough=True, disk=BadSectors((january(root), place, place + 512)))
        assert [(each.code, each.rows_at_risk) for each in found] == [
            ("corrupt_block", BLOCK),
            ("unreadable_block", ROWS - 2 * BLOCK),
        ]

    def test_of_the_end_of_a_file_costs_no_row(self, root, before):
        size = january(root).stat().st_size
        disk = BadSectors((january(root), size - 4, size))
        assert [each.code for each in verdicts(root, disk=disk)] == ["unreadable_block"]
        report = repair(disk, str(root))
        assert (report.lost_rows, report.salvaged_rows) == ([], ROWS)
        assert all_columns(root) == before

    def test_is_filled_from_the_chunks_that_a_merge_left_behind(self, root):
        merged = append_and_merge(root)
        expected = columns(root)
        place = offset_of(merged, "close", 3)
        report = repair(BadSectors((merged, place, place + 1)), str(root))
        assert (report.lost_rows, columns(root)) == ([], expected)

    def test_that_gives_less_when_it_counts_stops_the_repair(self, root):
        """The plan says what is lost; a commit that loses more would lose it in silence."""
        flip_value(january(root), "close", 0)
        image = read_image(root)
        place = offset_of(january(root), "low", BLOCK + 1)

        class Worse(BadSectors):
            def check(self, path, start, stop):
                if self.is_planned:
                    super().check(path, start, stop)

            is_planned = False

        disk = Worse((january(root), place, place + 1))

        original = fastk.recovery.repair.carry_out

        def carry_out(*arguments):
            disk.is_planned = True
            original(*arguments)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(fastk.recovery.repair, "carry_out", carry_out)
            with pytest.raises(OSError, match="other bytes than a moment ago"):
                repair(disk, str(root))
        after = read_image(root)
        assert {path: after[path] for path in image} == image


class TestAFile:
    """Nothing of it can be read, each time: it may be sound, and somebody may read it on another day."""

    @pytest.mark.parametrize("how", HOW)
    @pytest.mark.parametrize("lost_bytes", ["header", "columns", "all"])
    def test_hinders_the_repair_of_its_series(self, root, before, how, lost_bytes):
        size = january(root).stat().st_size
        columns_at = header_of(january(root)).length
        place = {"header": (0, 512), "columns": (columns_at, size - 100), "all": (0, ALL)}[lost_bytes]
        self.check_is_left_alone(root, HOW[how], BadSectors((january(root), *place)))
        assert all_columns(root) == before

    def test_hinders_the_repair_of_other_damage_in_its_series(self, root):
        flip_value(chunk_files(root)[1], "close", 0)
        self.check_is_left_alone(root, repair, BadSectors((january(root), 0, 512)))

    def test_hinders_the_rebuilding_of_a_lost_manifest(self, root, before):
        manifest(root).unlink()
        self.check_is_left_alone(root, repair, BadSectors((january(root), 0, 512)))
        rebuild(root)
        assert all_columns(root) == before

    def test_hinders_it_also_where_it_is_the_only_one(self, root, before):
        manifest(root, TRADES).unlink()
        (root.parent / "kept").mkdir()
        for file in chunk_files(root, TRADES)[1:]:
            file.rename(root.parent / "kept" / file.name)
        self.check_is_left_alone(root, repair, BadSectors((chunk_files(root, TRADES)[0], 0, 512)), TRADES)

    def test_that_may_hold_lost_rows_hinders_their_loss(self, root):
        merged = append_and_merge(root)
        source = next(file for file in chunk_files(root) if file != merged and "2024-02" in file.name)
        expected = columns(root)
        flip_value(merged, "close", 3)
        self.check_is_left_alone(root, repair, BadSectors((source, 0, 512)))
        assert not repair(Disk(), str(root)).lost_rows
        assert columns(root) == expected

    def test_of_a_later_commit_hinders_a_commit_of_the_repair(self, root):
        (later,) = write_commit(root, 9, 8, {"2024-03": bars(MARCH, 3)})
        flip_value(january(root), "close", 0)
        self.check_is_left_alone(root, repair, BadSectors((later, 0, 512)))

    def test_of_a_sidecar_is_made_anew(self, root, before):
        report = repair(BadSectors((sidecar(root, ".vix"), 0, ALL)), str(root))
        assert len(report.rebuilt_sidecar_paths) == 1
        assert all_columns(root) == before
        assert_sound(root)

    def test_of_the_manifest_hinders_a_rebuild(self, root):
        self.check_is_left_alone(root, rebuild_manifests, BadSectors((manifest(root), 0, 512)))

    @staticmethod
    def check_is_left_alone(root, mend, disk, key=KEY):
        image = read_image(folder(root, key))
        report = mend(disk, str(root))
        (why,) = report.unrepaired
        assert os.path.relpath(folder(root, key), root) in why
        assert "cannot be read: Input/output error; its medium may be failing: copy the file away and" in why
        assert not report.lost_rows
        assert read_image(folder(root, key)) == image
