"""A repair whose system says no once, at every call in turn: no room, a broken medium, no permission.

It raises, or its report is about what it did; each series reads as before or as after; and the next repair ends where
an undisturbed one does, to the row.
"""

import errno
import os
import shutil

import pytest
from recovery_stores import (
    KEY,
    SIGNAL,
    TRADES,
    append_and_merge,
    assert_sound,
    columns,
    cut,
    flip,
    flip_value,
    january,
    make_store,
    manifest,
    sidecar,
)
from support.disks import FailingSystem, read_image, write_image

import fastk
import fastk.io.disk
import fastk.io.lock
from fastk.io.disk import Disk
from fastk.recovery.repair import rebuild_manifests, repair


def _sources(root):
    flip_value(append_and_merge(root), "close", 3)


STORIES = {
    "salvage": (repair, lambda root: flip_value(january(root), "close", 5_000)),
    "lost manifest": (repair, lambda root: manifest(root).unlink()),
    "damaged manifest": (repair, lambda root: cut(manifest(root), 50)),
    "sources": (repair, _sources),
    "sidecar": (repair, lambda root: flip(sidecar(root, ".vix"), 200)),
    "store file": (repair, lambda root: (root / "fastk.store").write_text("?")),
    "sound": (rebuild_manifests, lambda root: None),
}
READS = ("open", "fstat", "read", "pread", "preadv", "listdir", "scandir", "lstat")
CODES = (errno.EIO, errno.EACCES, errno.ENOSPC)


def rows(root):
    """The rows of each series, or why it gives none."""
    found = {}
    for key in (KEY, SIGNAL, TRADES):
        try:
            found[key] = columns(root, key)
        except fastk.FastKError as error:
            found[key] = type(error)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("story", STORIES)
def test_one_failing_call_of_a_repair_costs_no_row(folder_in_memory, story, monkeypatch):
    mend, damage = STORIES[story]
    base = folder_in_memory / "base"
    make_store(base / "store").close()
    root = base / "store"
    damage(root)
    start, before = read_image(base), rows(root)
    calls = run(root, mend, FailingSystem(), monkeypatch)[1]
    after = rows(root)
    for number, call in _chosen(calls):
        _restore(base, start)
        code = CODES[number % len(CODES)]
        report, _ = run(root, mend, FailingSystem(number, OSError(code, os.strerror(code))), monkeypatch)
        seen = rows(root)
        assert all(seen[key] in (before[key], after[key]) for key in seen), (number, call)
        assert report is None or report.unrepaired or seen == after, (number, call, report)
        repair(Disk(), str(root))
        assert rows(root) == after, (number, call, report)
    assert_sound(root)


def _chosen(calls):
    """Every call that changes something, and some of those that read."""
    return [(number, call) for number, call in enumerate(calls) if call not in READS or number % 7 == 0]


def run(root, mend, system, monkeypatch):
    """What a repair reports, None if it raises an error that names a path; and the calls that it makes."""
    with monkeypatch.context() as patch:
        patch.setattr(fastk.io.disk, "os", system)
        patch.setattr(fastk.io.lock, "os", system)
        try:
            return mend(Disk(), str(root)), system.calls
        except OSError as error:
            if str(root) not in str(error):
                raise
            return None, system.calls


def _restore(base, image):
    shutil.rmtree(base)
    write_image(image, base)
