"""From a reference to a root that may be trusted: what the registry says, and what lies there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal

from fastk.errors import InvalidData, InvalidInput, NotFound
from fastk.format import names
from fastk.registry.digest import combined, digest_store
from fastk.registry.records import DatasetManifestRecord, DatasetRef, checked_text
from fastk.registry.registry import DatasetRegistry
from fastk.registry.versions import base_of, read_version, versioned_dataset_root

if TYPE_CHECKING:
    from fastk.io.disk import Disk
    from fastk.registry.digest import Progress
    from fastk.registry.versions import DatasetVersion

    AnyRef = DatasetRef | tuple[str, str]
    Path = str | os.PathLike[str]
    DigestPolicy = Literal["registered", "verify", "ignore"]

POLICIES = ("registered", "verify", "ignore")


def find_registered(ref: AnyRef, base: Path | None, registry: DatasetRegistry | Path | None) -> DatasetManifestRecord:
    """The row of a reference, if the registry, the reference and ``base`` agree on the root."""
    if isinstance(registry, DatasetRegistry):
        return _find(ref, base, registry)
    if registry is None:
        registry = os.path.join(_base(ref) if base is None else checked_text("base", base), names.REGISTRY_FILE)
    with DatasetRegistry.open(registry, "r") as opened:
        return _find(ref, base, opened)


def _base(ref: AnyRef) -> str:
    if not isinstance(ref, DatasetRef):
        raise InvalidInput("say where the registry is: give base= or registry=")
    return base_of(ref.fastk_root)


def _find(ref: AnyRef, base: Path | None, registry: DatasetRegistry) -> DatasetManifestRecord:
    if isinstance(ref, tuple) and len(ref) == 2:
        ref = registry.dataset_ref(*ref)
    root = registry.resolve_dataset_ref(ref)
    if base is not None and root != (expected := str(versioned_root(base, ref))):
        raise InvalidInput(f"{ref} is registered with the root {root}, not {expected}")
    record = registry.get_dataset(ref.dataset_id, ref.version)
    if record is None or record.fastk_root != root:
        raise NotFound(f"dataset not found: {ref}")  # another process has just changed it
    return record


def versioned_root(base: Path, ref: DatasetRef) -> str:
    """The absolute root of a version below a base."""
    return os.path.abspath(versioned_dataset_root(base, ref.dataset_id, ref.version))


def check_root(
    disk: Disk, record: DatasetManifestRecord, policy: DigestPolicy, progress: Progress | None = None
) -> None:
    """Errors unless the root is there and holds what is registered, as far as the policy asks.

    Rows without a checksum have nothing to compare. InvalidInput for an unknown policy, and for "verify" without a
    checksum; NotFound for a root that is gone; InvalidData for other content.
    """
    if policy not in POLICIES:
        raise InvalidInput(f"digest={policy!r} is unknown: give {', '.join(map(repr, POLICIES))}")
    if not disk.is_folder(record.fastk_root):
        raise NotFound(
            f"the root of {record.ref} is gone: {record.fastk_root}; if it was moved, register its new place with "
            f"`fastk registry adopt`"
        )
    if policy == "ignore":
        return
    if policy == "verify" and record.checksum is None:
        raise InvalidInput(f"{record.ref} is registered without a checksum, so that there is nothing to verify it by")
    if record.checksum is not None:
        found = _check_registered(disk, record)
        if policy == "verify":
            _check_content(disk, record, found, progress)


def _check_registered(disk: Disk, record: DatasetManifestRecord) -> DatasetVersion:
    """Compare what the version says of itself with its row."""
    root, found = record.fastk_root, read_version(disk, record.fastk_root)
    if found is None:
        raise InvalidData(
            f"{root} is no version of a dataset (it has no {names.DATASET_FILE}), though {record.ref} is registered "
            f"there with a checksum; restore it, or open it with digest='ignore'"
        )
    if (found.record.dataset_id, found.record.version) != (record.dataset_id, record.version):
        raise InvalidData(f"{root} holds {found.record.ref}, not {record.ref}; restore it from a copy")
    if not record.checksum == found.record.checksum == combined(found.series):
        raise InvalidData(
            f"{root} bears the digest {found.record.checksum}, but {record.ref} is registered with {record.checksum}: "
            f"one of the two was changed; restore it from a copy"
        )
    return found


def _check_content(
    disk: Disk, record: DatasetManifestRecord, version: DatasetVersion, progress: Progress | None
) -> None:
    """Digest the rows anew; the error names a series that differs."""
    found = {each.key: each for each in digest_store(disk, record.fastk_root, progress)}
    expected = {each.key: each for each in version.series}
    for key in sorted(found.keys() | expected.keys()):
        if found.get(key) != expected.get(key):
            what = "is gone" if key not in found else "was added" if key not in expected else "has other rows"
            raise InvalidData(f"{record.fastk_root}: series {key} {what}, not those that {record.ref} was made of")
