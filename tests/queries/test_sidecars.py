"""Sidecars are hints: damaged, missing or foreign ones change no answer, on no plan."""

import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from builders import HOUR
from query_calls import KEY, columns_of, reopened, values_schema

import fastk
from fastk import Between, Eq, Gt, Ne
from fastk.format import sidecars
from fastk.format.chunk import parse_chunk
from fastk.io.disk import Disk
from fastk.kernels import crc32c
from fastk.query.stats import ScalarIndexKind

COUNT, ZONE_ROWS = 20, 8
VALUES = np.arange(COUNT) * 7 % COUNT
NEIGHBOUR = ("Y", "own", "values")
EXPECTED = (
    (Eq(4), VALUES == 4),
    (Gt(17), VALUES > 17),
    (Between(6, 9), (VALUES >= 6) & (VALUES <= 9)),
    (Ne(3), VALUES != 3),
)
HEAD = "<8sIIQQQQII8x"
VERSION_PLACE = 8
CRC = 4


def assert_right(series, described, place=0):
    """The rows of the first hour by every plan that goes by sidecars, one condition each."""
    for turn, plan in enumerate(("auto", "zones", "index")):
        condition, matches = EXPECTED[(place + turn) % len(EXPECTED)]
        found = series.where("value", condition, 0, HOUR - 1, plan=plan).rows
        assert found.number.tolist() == np.flatnonzero(matches).tolist(), described
        assert found.value.tolist() == VALUES[matches].tolist(), described


class Sidecar:
    """A sidecar of a chunk, and what queries of that chunk answer whatever becomes of the file."""

    def __init__(self, store, suffix):
        self.store, self.suffix = store, suffix
        self.file, self.next_hour = self.files_of(KEY)
        self.original = self.file.read_bytes()

    def files_of(self, key, suffix=None):
        return sorted(Path(self.store.root, "series", *key).rglob(f"*{suffix or self.suffix}"))

    def is_used(self, series):
        if self.suffix == ".vix":
            return series.where("value", Eq(4), 0, 0, plan="index").stats.index_used is ScalarIndexKind.VALUE_INDEX
        return series.where("value", Eq(4), 0, HOUR - 1, plan="zones").stats.blocks_considered == -(-COUNT // ZONE_ROWS)

    def check(self, content, described, *, used=False, place=0, **options):
        """Put these bytes in the file's place (None removes it): all answers stay right."""
        self.file.unlink(missing_ok=True)
        if content is not None:
            self.file.write_bytes(content)
        with reopened(self.store, **options) as series:
            assert_right(series, described, place)
            assert self.is_used(series) is used, described


@pytest.fixture
def small(store):
    """Two series of the same rows, two hours each."""
    for key in (KEY, NEIGHBOUR):
        series = store.register_series(key, values_schema())
        for hour in range(2):
            rows = columns_of(hour * HOUR + np.arange(COUNT), VALUES)
            series.put(rows, zone_rows=ZONE_ROWS)
    return store


@pytest.fixture(params=[".zmap", ".vix"])
def sidecar(request, small):
    return Sidecar(small, request.param)


def flipped(content, place, mask):
    return content[:place] + bytes([content[place] ^ mask]) + content[place + 1 :]


def sealed(content):
    """Bytes with the checksum that belongs to them."""
    return content[:-CRC] + crc32c(content[:-CRC]).to_bytes(CRC, "little")


class TestDamage:
    def test_a_sound_one_is_used(self, sidecar):
        for verify in ("touch", "open", "never"):
            sidecar.check(sidecar.original, verify, used=True, verify=verify)

    @pytest.mark.slow
    def test_any_flipped_byte(self, sidecar):
        for place in range(len(sidecar.original)):
            sidecar.check(flipped(sidecar.original, place, 1 << place % 8), f"byte {place}", place=place)

    @pytest.mark.slow
    @pytest.mark.parametrize("mask", [1, 0x80, 0xFF])
    def test_any_flipped_byte_in_other_ways(self, sidecar, mask):
        for place in range(len(sidecar.original)):
            sidecar.check(flipped(sidecar.original, place, mask), f"byte {place} ^ {mask}", place=place)

    @pytest.mark.slow
    def test_any_truncation(self, sidecar):
        for length in range(len(sidecar.original)):
            sidecar.check(sidecar.original[:length], f"cut to {length}", place=length)

    def test_any_extension(self, sidecar):
        for more in (b"\0", sidecar.original[:64], sidecar.original):
            sidecar.check(sidecar.original + more, f"{len(more)} bytes more")

    def test_other_content(self, sidecar):
        size = len(sidecar.original)
        for content in (bytes(size), b"\xff" * size, np.random.default_rng(1).bytes(size), b"x", bytes(10_000)):
            sidecar.check(content, f"{content[:8]!r}...")

    def test_of_all_sidecars_at_once(self, small):
        files = [file for suffix in (".zmap", ".vix") for file in Sidecar(small, suffix).files_of(KEY)]
        for content in (b"", b"garbage"):
            for file in files:
                file.write_bytes(content)
            with reopened(small) as series:
                assert_right(series, content)

    def test_under_verify_open_too(self, sidecar):
        sidecar.check(flipped(sidecar.original, 150, 1), "flipped", verify="open")

    @pytest.mark.slow
    def test_never_breaks_a_reader_that_does_not_look(self, sidecar):
        """Without checksums a damaged value index may give wrong rows, and nothing worse."""
        for place in range(0, len(sidecar.original), 3):
            sidecar.file.write_bytes(flipped(sidecar.original, place, 0xFF))
            with reopened(sidecar.store, verify="never") as series:
                for plan in ("zones", "index"):
                    found = series.where("value", Between(6, 9), plan=plan)
                    assert len(found.rows.text) == len(found) <= 2 * COUNT


class TestMissing:
    def test_a_missing_file(self, sidecar):
        sidecar.check(None, "missing")

    def test_a_folder_in_its_place(self, sidecar):
        sidecar.file.unlink()
        sidecar.file.mkdir()
        with reopened(sidecar.store) as series:
            assert_right(series, "a folder")
            assert not sidecar.is_used(series)

    def test_capabilities_say_what_should_be_there(self, sidecar):
        sidecar.file.unlink()
        with reopened(sidecar.store) as series:
            assert series.query_capabilities("value") == fastk.ScalarQueryCapabilities(True, True, True)
            assert [meta.sidecar_count for meta in series.chunk_inventory()] == [2, 2]

    def test_one_that_was_set_aside_is_not_tried_again(self, sidecar):
        """A query must not open files in vain; the next store object finds what came back."""
        sidecar.file.unlink()
        with reopened(sidecar.store) as series:
            assert not sidecar.is_used(series)
            sidecar.file.write_bytes(sidecar.original)
            assert not sidecar.is_used(series)
        with reopened(sidecar.store) as series:
            assert sidecar.is_used(series)


class TestForeign:
    def test_of_another_chunk(self, sidecar):
        sidecar.check(sidecar.next_hour.read_bytes(), "the next hour's")

    def test_of_another_series_with_the_same_rows(self, sidecar):
        for verify in ("touch", "never"):
            content = sidecar.files_of(NEIGHBOUR)[0].read_bytes()
            assert len(content) == len(sidecar.original)
            sidecar.check(content, "the neighbour's", verify=verify)

    def test_of_the_other_kind(self, sidecar):
        other = sidecar.files_of(KEY, ".vix" if sidecar.suffix == ".zmap" else ".zmap")[0]
        sidecar.check(other.read_bytes(), "the other kind")
        sidecar.check(other.read_bytes()[:8] + sidecar.original[8:], "the other kind's magic")

    @pytest.mark.parametrize("version", [2, 4])
    def test_of_another_version(self, sidecar, version):
        magic = sidecar.original[:5] + b"%03d" % version
        sidecar.check(sealed(magic + sidecar.original[8:]), "the magic of another version")
        numbered = sidecar.original[:VERSION_PLACE] + struct.pack("<I", version) + sidecar.original[VERSION_PLACE + 4 :]
        sidecar.check(sealed(numbered), "the number of another version")

    @pytest.mark.parametrize("field", sidecars.SidecarOwner._fields)
    def test_that_lie_about_another_chunk(self, sidecar, field):
        """Well-formed and with a right checksum: nothing but its owner tells that the content is no use."""
        owner = owner_of(sidecar)
        assert sealed_sidecar(sidecar, owner, VALUES) == sidecar.original
        other = owner._replace(**{field: getattr(owner, field) ^ 1})
        for verify in ("touch", "open", "never"):
            sidecar.check(sealed_sidecar(sidecar, other, VALUES[::-1] + 5), f"another {field}", verify=verify)


def owner_of(sidecar):
    path = Path(str(sidecar.file).removesuffix(sidecar.suffix))
    return sidecars.SidecarOwner.of(parse_chunk(np.fromfile(path, np.uint8), str(path)))


def sealed_sidecar(sidecar, owner, values):
    """A sidecar about these values."""
    schema = values_schema()
    columns = [np.asarray(column) for column in columns_of(np.arange(len(values)), values).values()]
    if sidecar.suffix == ".vix":
        buffers = sidecars.encode_value_index(owner, schema, columns)
    else:
        buffers = sidecars.encode_zone_map(owner, schema, columns, ZONE_ROWS)
    return b"".join(bytes(memoryview(buffer).cast("B")) for buffer in buffers)


class TestImpossibleHeads:
    """A head of the right chunk under a right checksum that describes what cannot be."""

    def crafted(self, sidecar, *, entries, block_rows=ZONE_ROWS, count=None, length=None, body=bytes(640)):
        """A file of such a head; ``entries`` are place and items."""
        owner = owner_of(sidecar)
        front = b"".join(struct.pack("<IIQ", place, 0, items) for place, items in entries)
        size = struct.calcsize(HEAD) + len(front)
        tail = bytes(-size % 64) + body + bytes(CRC)
        head = struct.pack(
            HEAD,
            sidecar.original[:8],
            3,
            owner.header_crc,
            owner.series_id,
            owner.chunk_id,
            size + len(tail) if length is None else length,
            owner.rows,
            block_rows,
            len(entries) if count is None else count,
        )
        return sealed(head + front + tail)

    @pytest.mark.parametrize(
        "described",
        [
            {"entries": [(1, 2**60)]},
            {"entries": [(1, 2**64 - 1)]},
            {"entries": [(1, COUNT + 1)]},
            {"entries": [(1, COUNT)], "body": b""},
            {"entries": [(1, 3)], "count": 2**32 - 1},
            {"entries": [(1, 3)], "length": 2**63},
            {"entries": [(4_000_000_000, 3)]},
            {"entries": [(4, 3)]},  # text
            {"entries": [(1, 3)] * 200},
            {"entries": []},
        ],
        ids=str,
    )
    def test_are_set_aside_without_taking_memory(self, sidecar, described):
        content = self.crafted(sidecar, **described)
        tracemalloc.start()
        try:
            sidecar.check(content, described)
            assert tracemalloc.get_traced_memory()[1] < 2_000_000
        finally:
            tracemalloc.stop()

    @pytest.mark.parametrize("block_rows", [0, 1, COUNT, 2**32 - 1])
    def test_zones_of_impossible_blocks_are_set_aside(self, small, block_rows):
        sidecar = Sidecar(small, ".zmap")
        sidecar.check(self.crafted(sidecar, entries=[(1, 3)], block_rows=block_rows), block_rows)


class Watched(Disk):
    """The real disk, which writes down what it was told to make durable at the same time."""

    def __init__(self):
        super().__init__()
        self.waves = []

    def sync_together(self, files, folders):
        self.waves.append([Path(path).suffix or Path(path).name for path in (*files, *folders)])
        super().sync_together(files, folders)


def test_an_append_waits_for_its_chunk_and_its_manifest_and_counts_no_sidecars(tmp_path):
    # For more of them the disk would start threads, which takes longer than these syncs one after the other.
    disk = Watched()
    with fastk.open(tmp_path, disk=disk) as store:
        series = store.register_series(KEY, values_schema())
        series.append(columns_of([0, 1], [5, 6]))
        assert {path.suffix for path in tmp_path.rglob("chunks/*")} == {".chunk", ".vix", ".zmap"}
    assert disk.waves == [[".chunk", ".tmp", "chunks"], ["values"]]
