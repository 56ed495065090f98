"""The registry as a book of datasets, features and factors."""

import pytest
from dataset_stories import dataset, factor, feature, message

import fastk
from fastk import DatasetRef, DatasetRegistry, InvalidInput, NotFound


@pytest.fixture(params=["file", "memory"])
def registry(request, tmp_path):
    opened = DatasetRegistry.in_memory() if request.param == "memory" else DatasetRegistry.open(tmp_path / "r.sqlite")
    with opened:
        yield opened


def test_what_was_put_in_comes_out(registry):
    records = dataset(checksum="sha256:00"), feature(code_version="abc"), factor(method="zscore")
    registry.upsert_dataset(records[0])
    registry.upsert_feature(records[1])
    registry.upsert_factor(records[2])
    assert registry.get_dataset("binance-um", "2024-02") == records[0]
    assert registry.get_feature("rsi_14") == records[1]
    assert registry.get_factor("momentum") == records[2]


def test_any_text_comes_out_as_it_went_in(registry):
    record = dataset("bör se", "v'1\"; DROP TABLE dataset_manifest", source="日本\n", market=" x ", status="?")
    registry.upsert_dataset(record)
    assert registry.list_datasets() == [record]


def test_the_widest_ints_come_out(registry):
    record = dataset(start_ts=-(2**63), end_ts=2**63 - 1, created_at=0)
    registry.upsert_dataset(record)
    assert registry.list_datasets() == [record]


def test_what_is_absent_is_none(registry):
    assert registry.get_dataset("a", "1") is None
    assert registry.get_latest_dataset("a") is None
    assert registry.get_feature("a") is None
    assert registry.get_factor("a") is None


def test_a_second_row_of_a_key_takes_the_place_of_the_first(registry):
    for make, put, listed in (
        (dataset, registry.upsert_dataset, registry.list_datasets),
        (feature, registry.upsert_feature, registry.list_features),
        (factor, registry.upsert_factor, registry.list_factors),
    ):
        put(make())
        changed = make(status="retired", created_at=9)
        put(changed)
        assert listed() == [changed]


def test_lists_are_ordered_by_key(registry):
    names = [("b", "1"), ("a", "10"), ("a", "9"), ("a", "2")]
    for name in names:
        registry.upsert_dataset(dataset(*name))
        registry.upsert_feature(feature("".join(name)))
        registry.upsert_factor(factor("".join(name)))
    assert [(record.dataset_id, record.version) for record in registry.list_datasets()] == sorted(names)
    assert [record.version for record in registry.list_datasets("a")] == ["10", "2", "9"]
    assert [record.feature_id for record in registry.list_features()] == ["a10", "a2", "a9", "b1"]
    assert [record.factor_id for record in registry.list_factors()] == ["a10", "a2", "a9", "b1"]


def test_features_and_factors_are_found_by_what_they_were_calculated_from(registry):
    for number, version in enumerate(("2024-02", "2024-03", "2024-02")):
        registry.upsert_feature(feature(f"f{number}", input_dataset_version=version))
        registry.upsert_factor(factor(f"f{number}", input_dataset_version=version))
    features = registry.list_features_for_dataset("binance-um", "2024-02")
    factors = registry.list_factors_for_dataset("binance-um", "2024-02")
    assert [record.feature_id for record in features] == ["f0", "f2"]
    assert [record.factor_id for record in factors] == ["f0", "f2"]
    assert registry.list_features_for_dataset("binance-um", "2024-04") == []
    assert registry.list_factors_for_dataset("other", "2024-02") == []


def test_the_latest_was_created_last_and_of_several_has_the_last_name(registry):
    for version, created_at in (("1", 5), ("3", 7), ("2", 7), ("9", 6)):
        registry.upsert_dataset(dataset("a", version, created_at=created_at))
    registry.upsert_dataset(dataset("b", "99", created_at=99))
    assert registry.get_latest_dataset("a").version == "3"
    assert registry.resolve_latest_fastk_root("a") == "/data/datasets/a/3"


def test_a_version_resolves_to_its_root(registry):
    registry.upsert_dataset(dataset("a", "1", fastk_root="/gone/long/ago"))
    ref = registry.dataset_ref("a", "1")
    assert ref == DatasetRef("a", "1", "/gone/long/ago")
    assert registry.resolve_fastk_root("a", "1") == "/gone/long/ago"
    assert registry.resolve_dataset_ref(ref) == "/gone/long/ago"


def test_what_is_not_registered_does_not_resolve(registry):
    for call in (registry.dataset_ref, registry.resolve_fastk_root):
        with pytest.raises(NotFound, match=r"^dataset not found: a@1$"):
            call("a", "1")
    with pytest.raises(NotFound, match=r"^dataset not found: a@1$"):
        registry.resolve_dataset_ref(DatasetRef("a", "1", "/root"))
    with pytest.raises(NotFound, match=r"^dataset not found: a$"):
        registry.resolve_latest_fastk_root("a")


def test_a_reference_to_another_root_does_not_resolve(registry):
    registry.upsert_dataset(dataset("a", "1"))
    with pytest.raises(InvalidInput, match="registered with the root /data/datasets/a/1, not /data/datasets/a/1/"):
        registry.resolve_dataset_ref(DatasetRef("a", "1", "/data/datasets/a/1/"))
    assert "no DatasetRef" in message(registry.resolve_dataset_ref, ("a", "1", "/x"))


def test_blank_keys_are_refused_by_name(registry):
    assert "dataset_id must be" in message(registry.get_dataset, "", "1")
    assert "version must be" in message(registry.get_dataset, "a", " ")
    assert "dataset_id must be" in message(registry.get_latest_dataset, None)
    assert "feature_id must be" in message(registry.get_feature, "")
    assert "input_dataset_version must be" in message(registry.list_factors_for_dataset, "a", "")


def test_a_record_of_another_kind_is_refused(registry):
    for put in (registry.upsert_dataset, registry.upsert_factor):
        with pytest.raises(InvalidInput, match=r"is no DatasetManifestRecord|is no FactorRegistryRecord"):
            put(feature())


def test_a_new_row_must_be_new_and_goes_with_its_block(registry):
    with registry.new_dataset(dataset("a", "1")):
        pass
    with pytest.raises(InvalidInput, match=r"a@1 is registered in .* already"), registry.new_dataset(dataset("a", "1")):
        raise AssertionError("the block must not run")
    with pytest.raises(KeyError), registry.new_dataset(dataset("a", "2")):
        raise KeyError
    assert [record.version for record in registry.list_datasets()] == ["1"]


def test_a_closed_registry_says_so(registry):
    registry.close()
    for call in (registry.list_datasets, lambda: registry.upsert_dataset(dataset())):
        with pytest.raises(fastk.StoreClosed, match="was closed"):
            call()
    registry.close()


def test_a_file_keeps_what_was_put_in(tmp_path):
    path = tmp_path / "new folder" / "r.sqlite"
    with DatasetRegistry.open(path) as registry:
        registry.upsert_dataset(dataset())
        assert registry.path == str(path)
    with DatasetRegistry.open(str(path), "r") as registry:
        assert registry.list_datasets() == [dataset()]


def test_a_registry_in_memory_is_its_own(registry):
    with DatasetRegistry.in_memory() as first, DatasetRegistry.in_memory() as second:
        first.upsert_dataset(dataset())
        assert second.list_datasets() == []
