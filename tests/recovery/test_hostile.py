"""A store that somebody prepared: no link leads out of it, no size is believed before it is compared."""

import os
import shutil
import struct

import numpy as np
import pytest
from builders import JANUARY, MINUTE, bars, contents
from recovery_stores import (
    SIGNAL,
    chunk_files,
    codes,
    columns,
    flip,
    folder,
    january,
    manifest,
    mend,
    only_verdict,
    sidecar,
    verdicts,
)

import fastk
from fastk import kernels
from fastk.cli import admin
from fastk.errors import InvalidData
from fastk.format import tables
from fastk.format.chunk import LARGEST_HEADER, parse_chunk
from fastk.format.manifest import Manifest, parse_manifest
from fastk.io.disk import Disk
from fastk.recovery.listings import explain_overlaps, health, list_orphans
from fastk.recovery.repair import rebuild_manifests, repair


@pytest.fixture
def outside(folder_in_memory):
    """A folder beside the store, and what is in it before and after each test."""
    place = folder_in_memory / "outside"
    place.mkdir()
    (place / "precious").write_bytes(b"precious")
    before = contents(place)
    yield place
    assert contents(place) == before


def look_everywhere(root):
    """Every command over a store; the damage that it reports."""
    disk = Disk()
    verdicts(root, thorough=True, verbose=True)
    list_orphans(disk, str(root))
    explain_overlaps(disk, str(root))
    health(disk, str(root))
    rebuild_manifests(disk, str(root), dry_run=True)
    return repair(disk, str(root))


class TestLinks:
    @pytest.mark.parametrize("levels", [0, 1, 2, 3])
    def test_a_folder_is_not_followed(self, root, outside, levels):
        place = root / "series"
        for part in ("BTCUSDT", "kline", "1m")[:levels]:
            place /= part
        moved = outside / "moved"
        place.rename(moved)
        try:
            place.symlink_to(moved)
            assert "symbolic_link" in codes(root)
            assert "link" in rebuild_manifests(Disk(), str(root)).unrepaired[0]
            assert "link" in look_everywhere(root).unrepaired[0]
            assert place.is_symlink()
        finally:
            place.unlink()
            moved.rename(place)

    @pytest.mark.parametrize("name", ["series.meta", "chunks"])
    def test_parts_of_a_series_are_not_followed(self, root, outside, name):
        place, moved = folder(root) / name, outside / "moved"
        place.rename(moved)
        try:
            place.symlink_to(moved)
            assert codes(root) == ["symbolic_link"]
            assert look_everywhere(root).unrepaired
            assert place.is_symlink()
        finally:
            place.unlink()
            moved.rename(place)

    def test_a_chunk_is_not_followed_and_its_series_left_alone(self, root, outside):
        file, moved = january(root), outside / "moved"
        file.rename(moved)
        try:
            file.symlink_to(moved)
            assert codes(root) == ["symbolic_link"]
            report = look_everywhere(root)
            assert (len(report.unrepaired), report.lost_rows) == (1, [])
        finally:
            moved.rename(file)

    def test_a_store_file_is_written_anew(self, root, outside):
        (root / "fastk.store").unlink()
        (root / "fastk.store").symlink_to(outside / "precious")
        assert codes(root) == ["corrupt_store_file"]
        mend(root)
        assert not (root / "fastk.store").is_symlink()

    @pytest.mark.parametrize("is_dry_run", [False, True])
    def test_a_quarantine_is_refused_before_anything_is_changed(self, root, outside, capsys, is_dry_run):
        flip(manifest(root), 99)
        (root / ".fastk.quarantine").symlink_to(outside)
        before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
        assert "symbolic_link" in codes(root)
        options = ["--dry-run"] if is_dry_run else []
        assert admin.main(["repair", "--root", str(root), *options]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert ".fastk.quarantine is a symbolic link" in line
        assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before
        (root / ".fastk.quarantine").unlink()
        mend(root)

    def test_a_lock_is_a_verdict_and_refused(self, root, outside):
        (root / ".fastk.write.lock").unlink()
        (root / ".fastk.write.lock").symlink_to(outside / "precious")
        assert only_verdict(root).code == "symbolic_link"
        with pytest.raises(InvalidData, match="remove the link"):
            repair(Disk(), str(root))

    def test_nothing_is_written_through_a_temporary_file(self, root, outside):
        flip(manifest(root), 99)
        (folder(root) / "series.meta.tmp").symlink_to(outside / "precious")
        mend(root)

    def test_a_folder_of_dropped_series_is_a_verdict(self, root, outside):
        (root / ".fastk.dropped").symlink_to(outside)
        assert only_verdict(root).code == "symbolic_link"
        assert "no gc follows" in look_everywhere(root).unrepaired[0]

    def test_a_sidecar_is_replaced_and_not_followed(self, root, outside):
        file = sidecar(root, ".vix")
        file.unlink()
        file.symlink_to(outside / "precious")
        assert codes(root) == ["damaged_sidecar"]
        mend(root)
        assert not file.is_symlink()


class TestStrangeFiles:
    """A pipe would keep whoever opens it waiting for ever."""

    @pytest.mark.parametrize("place", ["manifest", "chunk", "sidecar", "store file"])
    def test_a_pipe_is_not_opened(self, root, place):
        file = {
            "manifest": manifest(root),
            "chunk": january(root),
            "sidecar": sidecar(root, ".zmap"),
            "store file": root / "fastk.store",
        }[place]
        file.unlink()
        os.mkfifo(file)
        assert len(codes(root)) == 1
        mend(root)

    @pytest.mark.parametrize("manifest_is_sound", [True, False])
    @pytest.mark.parametrize("kind", ["folder", "link", "pipe"])
    def test_what_keeps_writers_from_the_next_manifest_is_damage_and_moved_away(self, root, kind, manifest_is_sound):
        place, before = folder(root) / "series.meta.tmp", columns(root)
        {"folder": place.mkdir, "link": lambda: place.symlink_to("nowhere"), "pipe": lambda: os.mkfifo(place)}[kind]()
        if not manifest_is_sound:
            flip(manifest(root), 99)
        assert ("symbolic_link" if kind == "link" else "foreign_file") in codes(root)
        report = mend(root)
        assert f"series/BTCUSDT/kline/1m/{place.name}" in report.quarantined_paths
        assert report.rebuilt_manifests == (not manifest_is_sound)
        assert columns(root) == before
        with fastk.open(root) as store:
            assert store.kline("BTCUSDT", "1m").delete_range().deleted

    @pytest.mark.parametrize("name", [".fastk.write.lock", ".fastk.dropped", ".fastk.quarantine"])
    def test_what_keeps_writers_from_the_root_is_damage(self, root, name):
        place = root / name
        place.unlink(missing_ok=True)
        place.mkdir() if name.endswith("lock") else place.write_bytes(b"")
        found = only_verdict(root)
        assert (found.code, found.severity, found.path) == ("foreign_file", "damage", name)


def resealed(content: bytes) -> bytes:
    body = content[:-4]
    return body + struct.pack("<I", kernels.crc32c(body))


class TestSizes:
    """Numbers that their checksum vouches for, and that are absurd all the same."""

    def test_of_a_manifest(self, root):
        content = bytearray(manifest(root).read_bytes())
        for place in range(48, 68, 4):
            changed = bytearray(content)
            changed[place : place + 4] = b"\xff\xff\xff\xff"
            manifest(root).write_bytes(resealed(bytes(changed)))
            assert codes(root) == ["corrupt_manifest"]
        mend(root)

    def test_of_a_manifest_of_many_gigabytes(self, root):
        with manifest(root).open("r+b") as opened:
            opened.truncate(1 << 40)
        assert codes(root) == ["corrupt_manifest"]
        report = repair(Disk(), str(root))
        assert report.rebuilt_manifests == 1
        assert codes(root) == []

    @pytest.mark.parametrize("place", [72, 96, 100, 104, 108])
    def test_of_a_chunk_header(self, root, place):
        file = january(root)
        content = bytearray(file.read_bytes())
        length = int.from_bytes(content[12:16], "little")
        content[place : place + 4] = b"\xff\xff\xff\xff"
        file.write_bytes(resealed(bytes(content[:length])) + bytes(content[length:]))
        assert set(codes(root, thorough=True)) <= {"corrupt_header", "foreign_file"}
        mend(root)

    def test_of_a_chunk_header_in_a_file_of_gigabytes(self, root):
        """The length of the header is what is read before its checksum is compared."""
        read = []

        class Counting(Disk):
            def pieces(self, path, offset, length, size):
                read.append(length)
                return super().pieces(path, offset, length, size)

        with january(root).open("r+b") as opened:
            opened.seek(12)
            opened.write(struct.pack("<I", LARGEST_HEADER + 64))
            opened.truncate(1 << 40)
        assert codes(root, disk=Counting()) == ["corrupt_header"]
        assert max(read) < 1 << 20
        with pytest.raises(InvalidData, match="cannot hold its header"):
            parse_chunk(Disk().map(str(january(root))), str(january(root)))

    @pytest.mark.parametrize("field", ["partition", "kind", "rows", "start_ts", "file_length"])
    def test_of_a_chunk_item(self, root, field):
        stored = parse_manifest(manifest(root).read_bytes(), "")
        before = columns(root)
        items = stored.chunks.copy()
        items[field][0] = np.iinfo(items[field].dtype).max - 1
        manifest(root).write_bytes(Manifest(stored.settings, 3, 3, 0, chunks=items).encode())
        assert codes(root)
        mend(root)
        assert columns(root) == before

    def test_of_a_leaf_reference(self, root):
        stored = parse_manifest(manifest(root).read_bytes(), "")
        leaf = np.zeros(3, tables.LEAF)
        leaf["chunks"] = leaf["rows"] = 2**32 - 1
        manifest(root).write_bytes(Manifest(stored.settings, 3, 3, 0, leaves=leaf).encode())
        assert codes(root) == ["missing_file"] * 3
        before = len(chunk_files(root))
        repair(Disk(), str(root))
        assert (codes(root), len(chunk_files(root))) == ([], before)

    def test_settings_nested_without_end(self, root):
        stored = manifest(root).read_bytes()
        length = int.from_bytes(stored[12:16], "little")
        nested = (b"[" * length)[:length]
        manifest(root).write_bytes(resealed(stored[:72] + nested + stored[72 + length :]))
        assert codes(root) == ["corrupt_manifest"]
        mend(root)


@pytest.mark.parametrize("step", [151, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", ["manifest", "chunk"])
def test_any_flipped_byte_is_found_mended_and_costs_no_other_row(folder_in_memory, kind, step):
    """Whatever byte of a small store it is: a repair leaves rows that were there, and says which ones are not."""
    root = folder_in_memory / "small"
    with fastk.open(root) as store:
        store.register_kline_series("BTCUSDT", "1m", MINUTE).put(bars(JANUARY, 5))
    before, picture = columns(root), contents(root)
    name = next(path for path in picture if path.endswith({"manifest": "series.meta", "chunk": ".chunk"}[kind]))
    for place in range(0, len(picture[name]), step):
        flip(root / name, place, 1 << place % 8)
        is_damage = any(each.severity == "damage" for each in verdicts(root, thorough=True))
        report = repair(Disk(), str(root))
        is_newer = place in range(5, 8) and bool(report.unrepaired)
        assert is_damage or kind == "chunk", place  # bytes that fill a chunk up to alignment mean nothing
        assert codes(root, thorough=True) == [] or is_newer, place
        if not is_newer:
            lost = sum(each.rows for each in report.lost_rows)
            assert len(columns(root)["ts"]) == 5 - lost, place
            assert lost or columns(root) == before, place
        shutil.rmtree(root)
        for path, content in picture.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).mkdir(exist_ok=True) if content is None else (root / path).write_bytes(content)


@pytest.mark.parametrize("step", [97, pytest.param(7, marks=pytest.mark.slow)])
def test_any_truncation_is_found_and_mended(root, step):
    before = columns(root, SIGNAL)
    file = chunk_files(root, SIGNAL)[0]
    content, kept = file.read_bytes(), contents(root)
    for size in range(0, len(content), step * 11):
        file.write_bytes(content[:size])
        assert codes(root) == ["torn_tail"], size
        report = repair(Disk(), str(root), dry_run=True)
        assert sum(each.rows for each in report.lost_rows) == 600
    file.write_bytes(content)
    assert (columns(root, SIGNAL), contents(root)) == (before, kept)
