"""Opening a version by its name: the registry, the root and the digest must agree."""

import json
import os
import shutil
from pathlib import Path

import pytest
from builders import DAY, JANUARY, bars, temporary_folder
from dataset_stories import dataset, fill, picture

import fastk
from fastk import DatasetRef, DatasetRegistry, InvalidData, InvalidInput, NotFound

BTC = ("BTCUSDT", "kline", "1d")


@pytest.fixture
def place():
    with temporary_folder() as folder:
        yield folder


@pytest.fixture
def made(place):
    with fastk.open(place / "live") as live:
        yield fill(live).snapshot("crypto", "1", place / "base")


@pytest.fixture
def registry(made, place):
    with DatasetRegistry.open(place / "base" / "registry.sqlite") as opened:
        yield opened


def flip_a_row(root):
    """Change a byte of a row, behind the back of its checksum."""
    chunk = sorted(Path(root, "series", *BTC, "chunks").glob("*.chunk"))[0]
    content = bytearray(chunk.read_bytes())
    content[-60] ^= 1
    chunk.unlink()
    chunk.write_bytes(content)


class TestNames:
    def test_a_reference_is_enough(self, made):
        with fastk.open_dataset(made.ref) as version:
            assert version.root == made.ref.fastk_root
            assert version.mode == "r"
            assert len(version.series(BTC)) == 18

    def test_a_pair_needs_the_base_or_the_registry(self, made, registry, place):
        for options in ({"base": place / "base"}, {"registry": registry}, {"registry": place / "base/registry.sqlite"}):
            with fastk.open_dataset(("crypto", "1"), **options) as version:
                assert version.root == made.ref.fastk_root
        with pytest.raises(InvalidInput, match="give base= or registry="):
            fastk.open_dataset(("crypto", "1"))

    def test_options_go_to_the_store(self, made):
        with fastk.open_dataset(made.ref, max_maps=1, verify="open") as version:
            assert version._maps.budget == 1
        with pytest.raises(InvalidInput, match="max_maps"):
            fastk.open_dataset(made.ref, max_maps=0)

    def test_a_version_is_opened_in_no_other_mode(self, made):
        with pytest.raises(InvalidInput, match="a version never changes"):
            fastk.open_dataset(made.ref, mode="rw")
        with fastk.open_dataset(made.ref, mode="r") as version:
            assert version.mode == "r"

    @pytest.mark.parametrize("bad", ["crypto@1", ("crypto",), None, ("crypto", "1", "/root")])
    def test_what_names_no_version_is_refused(self, registry, bad):
        with pytest.raises(InvalidInput, match="no DatasetRef"):
            fastk.open_dataset(bad, registry=registry)

    def test_what_is_not_registered_is_not_found(self, registry, place):
        for ref in (("crypto", "2"), DatasetRef("crypto", "2", str(place / "base/datasets/crypto/2"))):
            with pytest.raises(NotFound, match=r"^dataset not found: crypto@2$"):
                fastk.open_dataset(ref, registry=registry)

    def test_a_registry_that_is_not_there_is_not_made(self, made, place):
        with pytest.raises(NotFound, match="no registry"):
            fastk.open_dataset(("crypto", "1"), base=place / "elsewhere")
        assert not (place / "elsewhere").exists()


class TestRoot:
    def test_another_root_than_registered_is_refused(self, made, registry, place):
        with pytest.raises(InvalidInput, match="registered with the root"):
            fastk.open_dataset(DatasetRef("crypto", "1", str(place)), registry=registry)
        with pytest.raises(InvalidInput, match="registered with the root"):
            fastk.open_dataset(made.ref, registry=registry, base=place / "other")
        with pytest.raises(InvalidInput, match="base must be text and not blank, not 5"):
            fastk.open_dataset(made.ref, base=5)

    def test_a_root_that_is_gone_is_told_with_the_way_out(self, made, registry, place):
        shutil.move(made.ref.fastk_root, place / "moved")
        for digest in ("registered", "verify", "ignore"):
            with pytest.raises(NotFound, match=r"the root of crypto@1 is gone: .*adopt"):
                fastk.open_dataset(made.ref, digest=digest)
        moved = registry.adopt(place / "moved")
        assert moved.fastk_root == str(place / "moved")
        fastk.open_dataset(moved.ref, registry=registry, digest="verify").close()

    def test_a_moved_base_is_adopted_version_by_version(self, made, place):
        shutil.move(place / "base", place / "archive")
        with pytest.raises(NotFound, match="is gone"):
            fastk.open_dataset(("crypto", "1"), registry=place / "archive/registry.sqlite")
        with DatasetRegistry.open(place / "archive/registry.sqlite") as registry:
            (root,) = fastk.verify_datasets(registry).unregistered
            registry.adopt(root)
        fastk.open_dataset(("crypto", "1"), base=place / "archive").close()


class TestDigest:
    def test_registered_compares_what_the_version_bears_and_reads_no_rows(self, made):
        flip_a_row(made.ref.fastk_root)
        with fastk.open_dataset(made.ref, digest="registered") as version, pytest.raises(InvalidData):
            picture(version)

    def test_verify_reads_all_rows(self, made):
        fastk.open_dataset(made.ref, digest="verify").close()
        flip_a_row(made.ref.fastk_root)
        with pytest.raises(InvalidData, match="is damaged in rows"):
            fastk.open_dataset(made.ref, digest="verify")

    def test_verify_finds_other_rows_though_all_their_checksums_are_right(self, made, place):
        """Somebody has put files of another state there, with all that goes with them."""
        with fastk.open(place / "live") as live:
            live.series(BTC).put(bars(JANUARY + 300 * DAY, 1, DAY))
        target = Path(made.ref.fastk_root, "series", *BTC)
        shutil.rmtree(target)
        shutil.copytree(Path(place, "live", "series", *BTC), target)
        fastk.open_dataset(made.ref).close()
        with pytest.raises(InvalidData, match="series BTCUSDT/kline/1d has other rows"):
            fastk.open_dataset(made.ref, digest="verify")

    def test_verify_finds_series_that_are_gone_or_were_added(self, made):
        series = Path(made.ref.fastk_root, "series")
        shutil.move(series / "ETHUSDT", series / "XRPUSDT")
        with pytest.raises(InvalidData):
            fastk.open_dataset(made.ref, digest="verify")
        shutil.rmtree(series / "XRPUSDT")
        with pytest.raises(InvalidData, match="series ETHUSDT/kline/1d is gone"):
            fastk.open_dataset(made.ref, digest="verify")

    def test_another_digest_than_registered_is_told(self, made, registry):
        registry.upsert_dataset(dataset("crypto", "1", fastk_root=made.ref.fastk_root, checksum="sha256:" + "0" * 64))
        for digest in ("registered", "verify"):
            with pytest.raises(InvalidData, match=r"bears the digest .* but crypto@1 is registered with sha256:0000"):
                fastk.open_dataset(made.ref, digest=digest)
        fastk.open_dataset(made.ref, digest="ignore").close()

    def test_a_version_under_the_name_of_another_is_told(self, made, registry):
        registry.upsert_dataset(dataset("crypto", "2", fastk_root=made.ref.fastk_root, checksum=made.digest))
        with pytest.raises(InvalidData, match="holds crypto@1, not crypto@2"):
            fastk.open_dataset(("crypto", "2"), registry=registry)

    @pytest.mark.parametrize("digest", ["registered", "verify"])
    def test_a_store_in_the_place_of_a_version_is_told(self, made, digest):
        Path(made.ref.fastk_root, "fastk.dataset").unlink()
        with pytest.raises(InvalidData, match=r"is no version of a dataset .*digest='ignore'"):
            fastk.open_dataset(made.ref, digest=digest)
        fastk.open_dataset(made.ref, digest="ignore").close()

    def test_a_live_store_may_be_registered_without_a_checksum(self, made, registry, place):
        registry.upsert_dataset(dataset("live", "now", fastk_root=place / "live"))
        for digest in ("registered", "ignore"):
            with fastk.open_dataset(("live", "now"), registry=registry, digest=digest) as store:
                assert store.mode == "r"
        with pytest.raises(InvalidInput, match="registered without a checksum"):
            fastk.open_dataset(("live", "now"), registry=registry, digest="verify")

    def test_an_unknown_policy_is_refused(self, made):
        with pytest.raises(InvalidInput, match="digest='maybe' is unknown: give 'registered', 'verify', 'ignore'"):
            fastk.open_dataset(made.ref, digest="maybe")

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"{}",
            b"[]",
            b"null",
            b'{"format": "other"}',
            b"\xff\xfe",
            b"[" * 100_000,
            b'{"format": "fastk-dataset"}',
        ],
    )
    def test_a_damaged_description_is_told(self, made, registry, content):
        path = Path(made.ref.fastk_root, "fastk.dataset")
        path.write_bytes(content)
        with pytest.raises(InvalidData, match=r"fastk\.dataset is damaged"):
            fastk.open_dataset(made.ref)
        with pytest.raises(InvalidData, match=r"fastk\.dataset is damaged"):
            registry.adopt(made.ref.fastk_root)

    def test_a_changed_description_is_told(self, made):
        path = Path(made.ref.fastk_root, "fastk.dataset")
        content = json.loads(path.read_bytes())
        content["series"][0]["digest"] = "sha256:" + "0" * 64
        path.write_bytes(json.dumps(content).encode())
        with pytest.raises(InvalidData, match="one of the two was changed"):
            fastk.open_dataset(made.ref)

    def test_a_newer_description_is_told(self, made):
        path = Path(made.ref.fastk_root, "fastk.dataset")
        content = json.loads(path.read_bytes()) | {"version": 2}
        path.write_bytes(json.dumps(content).encode())
        with pytest.raises(fastk.UnsupportedVersion, match="is of version 2"):
            fastk.open_dataset(made.ref)


class TestAdoption:
    def test_registers_as_the_snapshot_would_have(self, made):
        with DatasetRegistry.in_memory() as registry:
            assert registry.adopt(made.ref.fastk_root) == made.record
            assert registry.list_datasets() == [made.record]

    def test_makes_a_relative_root_absolute(self, made, monkeypatch):
        monkeypatch.chdir(os.path.dirname(made.ref.fastk_root))
        with DatasetRegistry.in_memory() as registry:
            assert registry.adopt("1") == made.record

    def test_of_what_is_no_version_is_refused(self, registry, place):
        for root in (place / "live", place / "nothing"):
            with pytest.raises(InvalidInput, match="is no version of a dataset"):
                registry.adopt(root)

    def test_of_other_content_under_a_registered_name_is_refused(self, made, registry):
        registry.upsert_dataset(dataset("crypto", "1", fastk_root="/elsewhere", checksum="sha256:00"))
        with pytest.raises(InvalidInput, match="is registered with the checksum sha256:00, but"):
            registry.adopt(made.ref.fastk_root)
        assert registry.resolve_fastk_root("crypto", "1") == "/elsewhere"
