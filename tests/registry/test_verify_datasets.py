"""Verification of a registry: what it names is there and unchanged, and what lies beside it is told."""

import os
import shutil
from pathlib import Path

import pytest
from builders import contents, temporary_folder
from dataset_stories import dataset, fill
from support.disks import ForbiddenDisk

import fastk
from fastk import DatasetRegistry


@pytest.fixture
def place():
    with temporary_folder() as folder:
        yield folder


@pytest.fixture
def versions(place):
    with fastk.open(place / "live") as live:
        fill(live)
        yield [live.snapshot("crypto", str(number), place / "base") for number in range(3)]


@pytest.fixture
def registry(versions, place):
    with DatasetRegistry.open(place / "base" / "registry.sqlite") as opened:
        yield opened


def states(report):
    return {check.version: check.state for check in report.datasets}


def test_sound_versions(registry, place):
    before = contents(place / "base" / "datasets")
    report = fastk.verify_datasets(registry, disk=ForbiddenDisk())
    assert report.is_sound
    assert states(report) == {"0": "sound", "1": "sound", "2": "sound"}
    assert (report.unregistered, report.abandoned) == ((), ())
    assert contents(place / "base" / "datasets") == before


def test_without_reading(registry, versions):
    chunk = next(Path(versions[1].ref.fastk_root).rglob("*.chunk"))
    chunk.unlink()
    assert states(fastk.verify_datasets(registry, read=False)) == dict.fromkeys("012", "unchecked")


def test_each_of_many_faults_is_told_and_hides_no_other(registry, versions):
    roots = [Path(version.ref.fastk_root) for version in versions]
    shutil.rmtree(roots[0])
    next(roots[1].rglob("*.chunk")).unlink()
    report = fastk.verify_datasets(registry)
    assert states(report) == {"0": "missing", "1": "altered", "2": "sound"}
    assert [check.version for check in report.wrong] == ["0", "1"]
    assert not report.is_sound
    assert "is gone" in report.datasets[0].detail
    assert "is missing, though the manifest names it" in report.datasets[1].detail


def test_a_changed_description_is_told(registry, versions):
    (Path(versions[2].ref.fastk_root) / "fastk.dataset").unlink()
    assert states(fastk.verify_datasets(registry, read=False))["2"] == "altered"


def test_stores_without_a_checksum_are_not_checked(registry, place):
    registry.upsert_dataset(dataset("live", "now", fastk_root=place / "live"))
    registry.upsert_dataset(dataset("live", "gone", fastk_root=place / "gone"))
    found = states(fastk.verify_datasets(registry))
    assert (found["now"], found["gone"]) == ("unchecked", "missing")


def test_what_no_row_names(registry, versions, place):
    shutil.copytree(versions[0].ref.fastk_root, place / "base/datasets/other/9")
    shutil.copytree(versions[0].ref.fastk_root, place / "elsewhere/datasets/other/8")
    (place / "base/datasets/.fastk.building-0123").mkdir()
    (place / "base/datasets/notes/mine").mkdir(parents=True)
    report = fastk.verify_datasets(registry, place / "elsewhere")
    assert report.is_sound
    assert report.unregistered == (
        str(place / "base/datasets/other/9"),
        str(place / "elsewhere/datasets/other/8"),
    )
    assert report.abandoned == (str(place / "base/datasets/.fastk.building-0123"),)


@pytest.mark.slow
def test_a_snapshot_under_way_is_not_abandoned(registry, place):
    reports = []
    with fastk.open(place / "live") as live:
        live.snapshot(
            "crypto", "9", place / "base", registry, progress=lambda *_: reports.append(fastk.verify_datasets(registry))
        )
    assert len(list((place / "base/datasets").glob(".fastk.building-*"))) == 0
    assert [report.abandoned for report in reports] == [()] * len(reports)
    assert states(reports[0]) == dict.fromkeys("012", "sound")


def test_the_next_snapshot_removes_what_a_killed_one_left(registry, place):
    left = place / "base/datasets/.fastk.building-0123"
    (left / "series").mkdir(parents=True)
    (left / "series" / "file").write_bytes(b"x")
    (left / "link").symlink_to(place / "live")
    with fastk.open(place / "live") as live:
        result = live.snapshot("crypto", "9", place / "base", registry)
    assert result.removed_folders == (str(left),)
    assert not left.exists()
    assert (place / "live" / "fastk.store").exists(), "links are not followed"


def test_progress_is_told(registry):
    told = []
    fastk.verify_datasets(registry, progress=lambda done, total: told.append((done, total)))
    assert told.count((told[-1][1], told[-1][1])) == 3


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="the superuser may read everything")
def test_a_root_that_may_not_be_read_is_told(registry, versions):
    root = Path(versions[0].ref.fastk_root)
    root.chmod(0)
    try:
        assert states(fastk.verify_datasets(registry))["0"] == "unreadable"
    finally:
        root.chmod(0o755)
