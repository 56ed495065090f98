"""The single owner of every name on disk.

A folder name is made from one part of a series key by :func:`encode_component`, a bijection: usual names stand as they
are, the rest is percent-encoded byte by byte of its UTF-8 form, so that no two parts meet on a case-insensitive disk,
no reserved word, separator, dot folder or control character survives, and nothing outside the root can be named.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import NamedTuple

from fastk.errors import InvalidData, InvalidInput
from fastk.keys import SeriesKey

STORE_FILE = "fastk.store"
STORE_TEMPORARY = "fastk.store.tmp"
DATASET_FILE = "fastk.dataset"
"""In the root of a dataset version: says what it is, and that nothing may be written there."""
LOCK_FILE = ".fastk.write.lock"
DROPPED_FOLDER = ".fastk.dropped"
QUARANTINE_FOLDER = ".fastk.quarantine"
SERIES_FOLDER = "series"
CHUNKS_FOLDER = "chunks"
MANIFEST_FILE = "series.meta"
MANIFEST_TEMPORARY = "series.meta.tmp"
ORPHAN_SUFFIX = ".orphan"
"""Behind the name of a chunk file: it is of a commit that was never finished."""
ZONE_MAP_SUFFIX, VALUE_INDEX_SUFFIX = ".zmap", ".vix"
"""Behind the name of a chunk file: its sidecars."""

DATASETS_FOLDER = "datasets"
REGISTRY_FILE = "registry.sqlite"
BUILDING_PREFIX = ".fastk.building-"
"""Before the name of a folder in which a dataset version is being built; no id of a dataset begins so."""
BUILDING_LOCK_FILE = ".fastk.building.lock"

MAX_COMPONENT_BYTES = 240
_UPPER = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.@+=#,!$()")
_LOWER = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789_-.@+=#,!$()")
_PLAIN = {True: _UPPER, False: _LOWER, None: _UPPER | _LOWER}
# Patterns stay text here, and what most names need goes without: to compile all of them takes each process 1 ms.
_PORTS = (f"{port}{digit}" for port in ("com", "lpt") for digit in range(10))
_RESERVED = frozenset(("con", "prn", "aux", "nul", "conin$", "conout$", *_PORTS))
# What a pattern that ignores case takes for an i as well: names were told by one, and stand so on disk.
_DOTS = {ord("\u0130"): "i", ord("\u0131"): "i"}
# Controls, marks of direction and joining, line separators, lone surrogates. A fixed set, because str.isprintable()
# changes with the version of Unicode, and a name that one Python stores another must read.
_UNSEEN = "[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
_ESCAPE = r"%([0-9A-F]{2})"


def encode_component(text: str, what: str, *, upper: bool | None) -> str:
    """Folder name of one part of a key. ``upper`` says which letter case stands as it is (symbols: upper; None: both).

    Raises :class:`InvalidInput` for a part that is blank, holds control characters, or is too long to be a name.
    """
    raw = _checked(text, what)
    plain = _PLAIN[upper]
    is_usual = plain.issuperset(raw) and len(raw) <= MAX_COMPONENT_BYTES
    word = text.partition(".")[0]
    is_reserved = (word if is_usual else word.translate(_DOTS)).lower() in _RESERVED
    if is_usual and text[0] != "." and text[-1] != "." and not is_reserved:
        return text
    pieces = [chr(byte) if byte in plain else f"%{byte:02X}" for byte in raw]
    if pieces[0] == "." or is_reserved:
        pieces[0] = f"%{raw[0]:02X}"
    if pieces[-1] == ".":
        pieces[-1] = "%2E"
    encoded = "".join(pieces)
    if len(encoded) > MAX_COMPONENT_BYTES:
        raise InvalidInput(
            f"{what} {text[:40]!r}... needs {len(encoded):,} bytes as a folder name; "
            f"at most {MAX_COMPONENT_BYTES} fit (characters outside the usual set take three or more)"
        )
    return encoded


def _checked(text: str, what: str) -> bytes:
    if not isinstance(text, str) or not text.strip():
        raise InvalidInput(f"{what} must be text and not blank, not {text!r}")
    if not (text.isascii() and text.isprintable()) and re.search(_UNSEEN, text):
        raise InvalidInput(f"{what} {text[:40]!r} holds control characters or other marks that cannot be seen")
    return text.encode()


def decode_component(name: str, *, upper: bool | None) -> str:
    """The part of a key that a folder name stands for; InvalidData for a folder that no key encodes to."""
    try:
        raw = b"".join(_unescape(piece) for piece in re.split(r"(%..)", name))
        text = raw.decode()
        if encode_component(text, "name", upper=upper) == name:
            return text
    except (ValueError, UnicodeError):
        pass
    raise InvalidData(f"the folder {name!r} is no encoded name")


def readable_component(name: str) -> str:
    """The part of a key that a folder name stands for; the name itself if it stands for none."""
    for upper in (True, False):
        with suppress(InvalidData):
            return decode_component(name, upper=upper)
    return name


def _unescape(piece: str) -> bytes:
    escape = re.fullmatch(_ESCAPE, piece)
    return bytes([int(escape[1], 16)]) if escape else piece.encode("ascii")


def series_path(key: SeriesKey) -> tuple[str, str, str]:
    """The three folder names of a series, below ``series/``."""
    return (
        encode_component(key.symbol, "symbol", upper=True),
        encode_component(key.category, "category", upper=False),
        encode_component(key.name, "name", upper=False),
    )


def parse_series_path(symbol: str, category: str, name: str) -> SeriesKey:
    """The key of three folder names; InvalidData if they name none."""
    return SeriesKey(
        decode_component(symbol, upper=True),
        decode_component(category, upper=False),
        decode_component(name, upper=False),
    )


def dataset_path(dataset_id: str, version: str) -> tuple[str, str]:
    """The two folder names of a dataset version, below ``datasets/``.

    Both letter cases stand as they are, as people write such ids: on a case-insensitive disk ids that differ by case
    only meet, which the file :data:`DATASET_FILE` in the folder tells.
    """
    return (
        encode_component(dataset_id, "dataset_id", upper=None),
        encode_component(version, "version", upper=None),
    )


def dropped_folder_name(series_id: int, dropped_at: int) -> str:
    """Name under which the files of a dropped series stay aside: its id and the time in ms."""
    return f"{series_id:016x}-{dropped_at}"


def parse_dropped_folder_name(name: str) -> tuple[int, int] | None:
    """Series id and time of dropping; None for other names."""
    found = re.fullmatch(r"([0-9a-f]{16})-(\d{1,16})", name, re.ASCII)
    return None if found is None else (int(found[1], 16), int(found[2]))


# Chunk ids: the commit's sequence number and the part of it, so that an id, and with it a file name, never comes back.
PART_BITS = 20
MAX_PARTS = 1 << PART_BITS
LAST_SEQUENCE = (1 << 43) - 1
"""The highest commit number: a million commits a second for 278 years. Ids hold a bit more, in 64 bits."""
REBUILD_STEP = 1024


def sequence_behind(highest: int) -> int:
    """The commit number behind all that files bear; InvalidData where somebody used them up."""
    if highest >= LAST_SEQUENCE:
        raise InvalidData(f"a file bears the commit number {highest}, and there is none behind it: remove the file")
    return highest + 1


def sequence_of_rebuild(highest: int) -> int:
    """The number of a commit that only makes a manifest anew: it leaves no chunk file, and is told by this number.

    A round one, with as many passed over before it.
    """
    round_one = (highest // REBUILD_STEP + 2) * REBUILD_STEP
    return round_one if round_one <= LAST_SEQUENCE else sequence_behind(highest)


def may_be_of_rebuild(sequence: int, before: int) -> bool:
    """Whether a commit has such a number, by the highest number before it that is known of."""
    return sequence % REBUILD_STEP == 0 and sequence - before >= REBUILD_STEP


def chunk_id(sequence: int, part: int) -> int:
    """Identity of a chunk or table within its series."""
    return sequence << PART_BITS | part


def _identity_in(sequence: str, part: str) -> int | None:
    """The identity that a file name bears; None for numbers that no writer gives."""
    numbers = int(sequence), int(part)
    return chunk_id(*numbers) if numbers[0] <= LAST_SEQUENCE and numbers[1] < MAX_PARTS else None


def sequence_and_part(identity: int) -> tuple[int, int]:
    """The commit and the part of it that an id names."""
    return identity >> PART_BITS, identity & (MAX_PARTS - 1)


class ChunkName(NamedTuple):
    """What a chunk's file name says."""

    partition_key: str
    kind: str  # "" for the first of a partition, "delta" or "merged"
    identity: int


_CHUNK_NAME = r"(\d{4}(?:-[0-9T-]+?)?)(?:\.(delta|merged))?\.(\d{8,14})-(\d{4,7})\.chunk"
_TABLE_NAME = r"(chunks|retired)\.(\d{8,14})-(\d{4,7})\.table"


def chunk_file_name(partition_key: str, kind: str, identity: int) -> str:
    """``2024-02.00000001-0000.chunk``, ``2024-02.delta.00000002-0000.chunk``, ``2024-02.merged....chunk``."""
    sequence, part = sequence_and_part(identity)
    middle = f".{kind}" if kind else ""
    return f"{partition_key}{middle}.{sequence:08d}-{part:04d}.chunk"


def parse_chunk_file_name(name: str) -> ChunkName | None:
    """What a file name in ``chunks/`` says; None for names that are not a chunk's."""
    found = re.fullmatch(_CHUNK_NAME, name, re.ASCII)
    identity = None if found is None else _identity_in(found[3], found[4])
    if found is None or identity is None:
        return None
    return ChunkName(found[1], found[2] or "", identity)


def chunk_of_file(name: str) -> int | None:
    """The chunk that a file in ``chunks/`` is or belongs to, as an orphan or a sidecar; None for other files."""
    for suffix in (ORPHAN_SUFFIX, ZONE_MAP_SUFFIX, VALUE_INDEX_SUFFIX):
        name = name.removesuffix(suffix)
    chunk = parse_chunk_file_name(name)
    return None if chunk is None else chunk.identity


def is_of_series(name: str) -> bool:
    """Whether a file in a series' folders bears a name that FastK gives."""
    return (
        name in (MANIFEST_FILE, MANIFEST_TEMPORARY)
        or parse_table_file_name(name) is not None
        or chunk_of_file(name) is not None
    )


def table_file_name(kind: str, identity: int) -> str:
    """``chunks.00000256-0000.table`` or ``retired.00000300-0000.table``, beside the manifest."""
    sequence, part = sequence_and_part(identity)
    return f"{kind}.{sequence:08d}-{part:04d}.table"


def parse_table_file_name(name: str) -> int | None:
    """The id in a table's file name; None for other names."""
    found = re.fullmatch(_TABLE_NAME, name, re.ASCII)
    return None if found is None else _identity_in(found[2], found[3])
