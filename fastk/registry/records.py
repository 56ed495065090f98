"""Rows of the registry as values: checked when they are made, frozen afterwards. Times are ms since 1970, UTC."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from fastk.arrays import is_integer
from fastk.errors import InvalidInput
from fastk.format import names
from fastk.keys import ScalarSeriesKey
from fastk.times import INT64_MAX, INT64_MIN

if TYPE_CHECKING:
    from collections.abc import Callable


def now_ms() -> int:
    """Wall-clock time in ms."""
    return time.time_ns() // 1_000_000


class _Checked:
    """Checks each field by its annotation, and names the field in the refusal."""

    def __post_init__(self) -> None:
        for each in fields(self):  # type: ignore[arg-type]
            value = _CHECKS[str(each.type)](each.name, getattr(self, each.name))
            object.__setattr__(self, each.name, value)


@dataclass(frozen=True)
class DatasetRef(_Checked):
    """One version of a dataset, and the root of its store."""

    dataset_id: str
    version: str
    fastk_root: str

    def __post_init__(self) -> None:
        super().__post_init__()
        names.dataset_path(self.dataset_id, self.version)

    def __str__(self) -> str:
        return f"{self.dataset_id}@{self.version}"


@dataclass(frozen=True)
class DatasetManifestRecord(_Checked):
    """A version of a dataset: which store holds it, and where it comes from. The key is (dataset_id, version).

    ``checksum`` is the digest of a version made by :meth:`fastk.FastKStore.snapshot`, or free text as ``status`` and
    ``schema_version`` are.
    """

    dataset_id: str
    version: str
    fastk_root: str
    source: str
    market: str
    start_ts: int
    end_ts: int
    schema_version: str
    checksum: str | None = None
    status: str = "active"
    created_at: int = field(default_factory=now_ms)

    def __post_init__(self) -> None:
        super().__post_init__()
        names.dataset_path(self.dataset_id, self.version)
        if self.start_ts > self.end_ts:
            raise InvalidInput(f"start_ts {self.start_ts} lies after end_ts {self.end_ts}")

    @property
    def ref(self) -> DatasetRef:
        """Names this version."""
        return DatasetRef(self.dataset_id, self.version, self.fastk_root)


@dataclass(frozen=True)
class FeatureRegistryRecord(_Checked):
    """Where a feature is stored, and from which version of a dataset it was calculated. The key is feature_id."""

    feature_id: str
    name: str
    version: str
    input_dataset_id: str
    input_dataset_version: str
    fastk_series_key: str
    config_hash: str
    code_version: str | None = None
    created_at: int = field(default_factory=now_ms)
    status: str = "active"


@dataclass(frozen=True)
class FactorRegistryRecord(_Checked):
    """As a feature, and which features, formula and method a factor was made from. The key is factor_id."""

    factor_id: str
    name: str
    version: str
    input_dataset_id: str
    input_dataset_version: str
    fastk_series_key: str
    config_hash: str
    code_version: str | None = None
    created_at: int = field(default_factory=now_ms)
    status: str = "active"
    input_feature_refs: tuple[str, ...] = ()
    formula: str | None = None
    method: str | None = None


def checked_text(name: str, value: Any) -> str:
    """A text that is not blank; InvalidInput naming the field otherwise. Paths and series keys become text."""
    if isinstance(value, ScalarSeriesKey):
        value = value.series_key
    text = str(value) if isinstance(value, tuple) else value
    text = os.fspath(text) if isinstance(text, os.PathLike) else text
    if not isinstance(text, str) or not text.strip():
        raise InvalidInput(f"{name} must be text and not blank, not {value!r}")
    if "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise InvalidInput(f"{name} {text[:40]!r} holds characters that cannot be stored")
    return text


def _optional_text(name: str, value: Any) -> str | None:
    return None if value is None else checked_text(name, value)


def _integer(name: str, value: Any) -> int:
    if not is_integer(value) or not INT64_MIN <= value <= INT64_MAX:
        raise InvalidInput(f"{name} must be an int of 64 bits, not {value!r}")
    return int(value)


def _texts(name: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        value = (value,)
    if not isinstance(value, (list, tuple)):
        raise InvalidInput(f"{name} must be a list of texts, not {value!r}")
    return tuple(checked_text(name, each) for each in value)


_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "str": checked_text,
    "str | None": _optional_text,
    "int": _integer,
    "tuple[str, ...]": _texts,
}
