"""Records of the registry: what they accept, and what they refuse by name."""

import dataclasses
from pathlib import Path

import pytest
from dataset_stories import dataset, factor, feature, message

import fastk
from fastk import DatasetRef, InvalidInput

MADE_BY = {"dataset": dataset, "feature": feature, "factor": factor}
TEXTS = [
    *(("dataset", name) for name in ("dataset_id", "version", "fastk_root", "source", "market")),
    *(("dataset", name) for name in ("schema_version", "status", "checksum")),
    *((kind, name) for kind in ("feature", "factor") for name in ("name", "version", "input_dataset_id")),
    *((kind, name) for kind in ("feature", "factor") for name in ("input_dataset_version", "fastk_series_key")),
    *((kind, name) for kind in ("feature", "factor") for name in ("config_hash", "code_version", "status")),
    ("feature", "feature_id"),
    ("factor", "factor_id"),
    ("factor", "formula"),
    ("factor", "method"),
]


@pytest.mark.parametrize("value", ["", "  ", "\t\n", 7, b"text", "\ud800", "a\0b"])
@pytest.mark.parametrize(("kind", "name"), TEXTS)
def test_what_is_no_text_is_refused_by_the_name_of_its_field(kind, name, value):
    record = MADE_BY[kind]()
    with pytest.raises(InvalidInput, match=f"^{name} "):
        dataclasses.replace(record, **{name: value})


@pytest.mark.parametrize("name", ["start_ts", "end_ts", "created_at"])
@pytest.mark.parametrize("value", [None, "1", 1.0, True, 2**63, -(2**63) - 1])
def test_what_is_no_int64_is_refused_by_the_name_of_its_field(name, value):
    with pytest.raises(InvalidInput, match=f"^{name} must be an int"):
        dataclasses.replace(dataset(), **{name: value})


def test_a_span_that_ends_before_it_starts_is_refused():
    assert "start_ts 2 lies after end_ts 1" in message(dataset, start_ts=2, end_ts=1)
    assert dataset(start_ts=2, end_ts=2).end_ts == 2


def test_records_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        dataset().status = "other"


def test_optional_fields_may_be_left_out():
    record = fastk.DatasetManifestRecord("a", "1", "/root", "source", "market", 0, 1, "1")
    assert (record.checksum, record.status) == (None, "active")
    assert record.created_at > 1_700_000_000_000


def test_the_fields_stand_in_the_order_of_their_tables():
    names = [field.name for field in dataclasses.fields(fastk.DatasetManifestRecord)]
    expected = "dataset_id version fastk_root source market start_ts end_ts schema_version checksum status created_at"
    assert " ".join(names) == expected


def test_paths_and_series_keys_become_text():
    assert dataset(fastk_root=Path("/data/x")).fastk_root == "/data/x"
    key = fastk.feature_series_key("BTCUSDT", "1m", "rsi_14")
    assert feature(fastk_series_key=key).fastk_series_key == "BTCUSDT/feature/1m@@rsi_14"
    assert feature(fastk_series_key=key.series_key) == feature(fastk_series_key=key)


def test_references_to_features_are_texts():
    assert factor(input_feature_refs=["a", "b"]).input_feature_refs == ("a", "b")
    assert factor(input_feature_refs="a").input_feature_refs == ("a",)
    assert factor(input_feature_refs=[]).input_feature_refs == ()
    for refs in ({"a"}, 7, [1], ["a", " "]):
        assert "input_feature_refs must be" in message(factor, input_feature_refs=refs)


@pytest.mark.parametrize("make", [dataset, lambda *names: DatasetRef(*names, "/root")])
@pytest.mark.parametrize("name", ["a\nb", "a\x7f", "x\u202ey", "x" * 241, "é" * 81])
def test_ids_and_versions_that_no_folder_can_bear_are_refused(make, name):
    assert "dataset_id" in message(make, name, "1")
    assert "version" in message(make, "id", name)


def test_a_reference_names_its_version():
    assert str(dataset("a", "1").ref) == "a@1"
    assert dataset("a", "1").ref == DatasetRef("a", "1", "/data/datasets/a/1")
    assert DatasetRef("a", "1", Path("/x")).fastk_root == "/x"
