"""What a version of a dataset is on disk: a store at ``base/datasets/ID/VERSION`` with a file that describes it.

The file ``fastk.dataset`` says which version it is, and the digest of each series. It also says that the store never
changes: nothing of FastK writes where it lies.
"""

from __future__ import annotations

import json
import os.path
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastk.errors import InvalidData, UnsupportedVersion
from fastk.format import names
from fastk.keys import SeriesKey
from fastk.registry.records import DatasetManifestRecord, checked_text

if TYPE_CHECKING:
    from fastk.io.disk import Disk

_FORMAT = "fastk-dataset"
_VERSION = 1


def versioned_dataset_root(base: str | os.PathLike[str], dataset_id: str, version: str) -> Path:
    """Where a version of a dataset lies: ``base/datasets/ID/VERSION``.

    Characters of the two that a folder name should not have are percent-encoded, so that the root is always below
    ``base``. InvalidInput for blank ones, and for those with control characters or more than 240 encoded bytes.
    """
    return Path(checked_text("base", base), names.DATASETS_FOLDER, *names.dataset_path(dataset_id, version))


def base_of(root: str) -> str:
    """The base of a versioned root."""
    return os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(root))))


@dataclass(frozen=True, slots=True)
class SeriesDigest:
    """The digest of one series: ``sha256:`` and 64 hexadecimal digits; of the same rows always the same."""

    symbol: str
    category: str
    name: str
    rows: int
    digest: str

    @property
    def key(self) -> SeriesKey:
        """The series."""
        return SeriesKey(self.symbol, self.category, self.name)


@dataclass(frozen=True)
class DatasetVersion:
    """What the file ``fastk.dataset`` says."""

    record: DatasetManifestRecord
    series: tuple[SeriesDigest, ...]

    def encode(self) -> bytes:
        """The content of the file."""
        content = {
            "format": _FORMAT,
            "version": _VERSION,
            "dataset": asdict(self.record),
            "series": [asdict(each) for each in self.series],
        }
        return json.dumps(content, indent=1, ensure_ascii=False).encode() + b"\n"


def read_version(disk: Disk, root: str) -> DatasetVersion | None:
    """What a root says of itself; None where it is no version, InvalidData where that cannot be read."""
    path = os.path.join(root, names.DATASET_FILE)
    try:
        data = disk.read(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        return _parse(json.loads(data), path)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InvalidData(f"{path} is damaged ({error}); restore it from a copy") from error


def _parse(content: Any, path: str) -> DatasetVersion:
    if content["format"] != _FORMAT:
        raise ValueError("it is another program's")
    if content["version"] != _VERSION:
        raise UnsupportedVersion(f"{path} is of version {content['version']!r}; this library reads {_VERSION}")
    series = tuple(SeriesDigest(**each) for each in content["series"])
    return DatasetVersion(DatasetManifestRecord(**content["dataset"]), series)
