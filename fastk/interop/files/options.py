"""What a caller says of files, checked before anything is read."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fastk.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Mapping

EPOCH_UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
"""Units of epoch numbers in files, and how many of them make a second."""
DEFAULT_TIME_FIELDS = ("recv_ts",)
ROW = "row"
"""As a constant of an integer field: the number of the row in the input, from 1 on."""


@dataclass(frozen=True)
class ReadOptions:
    """How files are read, and what becomes of their columns; see :meth:`fastk.FastKStore.import_files`."""

    file_format: str | None = None
    delimiter: str | None = None
    header: bool = True
    columns: tuple[str, ...] = ()
    skip_lines: int = 0
    mapping: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    rounding: Mapping[str, int] = field(default_factory=dict)
    time_unit: str | None = None
    time_format: str | None = None
    zone: str | None = None
    time_fields: tuple[str, ...] = DEFAULT_TIME_FIELDS
    raw: bool = False

    def __post_init__(self) -> None:
        if self.time_unit is not None and self.time_unit not in EPOCH_UNITS:
            raise InvalidInput(f"time_unit {self.time_unit!r} is unknown: give {', '.join(EPOCH_UNITS)}")
        if self.time_unit is not None and self.time_format is not None:
            raise InvalidInput("give time_unit for epoch numbers or time_format for text, not both")
        if self.time_format is not None:
            _check_format(self.time_format)
        if self.delimiter is not None and (len(self.delimiter) != 1 or not self.delimiter.isascii()):
            raise InvalidInput(f"the delimiter must be one ASCII character, not {self.delimiter!r}")
        if not isinstance(self.skip_lines, int) or self.skip_lines < 0:
            raise InvalidInput(f"skip_lines must be an int of 0 or more, not {self.skip_lines!r}")
        for name, places in self.rounding.items():
            if not isinstance(places, int) or not 0 <= places <= 18:
                raise InvalidInput(f"rounding of {name!r} is a number of decimals from 0 to 18, not {places!r}")
        both = sorted(set(self.mapping) & set(self.constants))
        if both:
            raise InvalidInput(f"{both[0]!r} is both mapped to a column and given as a constant")
        self.zone_info  # noqa: B018 - a wrong zone shows now

    @property
    def zone_info(self) -> tzinfo | None:
        """The zone of times that name none."""
        if self.zone is None:
            return None
        if self.zone.upper() in ("UTC", "Z"):
            return UTC
        try:
            return ZoneInfo(self.zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise InvalidInput(f"zone {self.zone!r} is unknown: give UTC or a name such as Europe/Berlin") from None

    @property
    def has_header(self) -> bool:
        """Whether the first line of a CSV file names its columns."""
        return self.header and not self.columns

    def identity(self) -> dict[str, Any]:
        """All of it as plain values."""
        plain = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: dict(value) if hasattr(value, "items") else value for name, value in plain.items()}


def _check_format(form: str) -> None:
    """Refuse a form of text that leaves something to guess; Arrow ends the process for an empty one."""
    if "%Z" in form:
        raise InvalidInput("time_format has %Z, and names of zones are ambiguous: write the name, and give zone")
    day = datetime(2001, 2, 3)
    for part, other in (("year", day.replace(year=2002)), ("month", day.replace(month=3)), ("day", day.replace(day=4))):
        if day.strftime(form) == other.strftime(form):
            raise InvalidInput(f"time_format {form!r} does not tell the {part}")


def text_mapping(given: Mapping[str, Any] | None, what: str) -> dict[str, str]:
    """A mapping of names to text; numbers become their text."""
    if given is None:
        return {}
    if not hasattr(given, "items") or not all(isinstance(name, str) for name in given):
        raise InvalidInput(f"{what} maps names of fields, not {given!r}")
    return {name: _text(value) for name, value in given.items()}


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
