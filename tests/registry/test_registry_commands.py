"""`fastk registry`: JSON for programs, tables for people, one line for failures."""

import json
import re
import shutil
import sys

import pytest
from builders import temporary_folder
from dataset_stories import dataset, factor, feature, fill

import fastk
from fastk import DatasetRegistry
from fastk.cli.main import main


@pytest.fixture
def place():
    with temporary_folder() as folder:
        yield folder


@pytest.fixture
def base(place):
    with DatasetRegistry.open(place / "registry.sqlite") as registry:
        for version in ("2024-01", "2024-02"):
            registry.upsert_dataset(dataset(version=version, created_at=int(version[-1])))
        registry.upsert_dataset(dataset("a"))
        registry.upsert_feature(feature())
        registry.upsert_factor(factor())
    return str(place)


@pytest.fixture
def live(place):
    with fastk.open(place / "live") as store:
        return fill(store).root


@pytest.fixture
def say(capsys):
    """Runs a command that succeeds; what it printed, parsed, and what it noted."""

    def run(*words):
        status = main(["registry", *words])
        shown = capsys.readouterr()
        assert status == 0, shown.err
        return json.loads(shown.out), shown.err

    return run


@pytest.fixture
def fail(capsys):
    """Runs a command that fails; what it printed and the one line that it failed with."""

    def run(*words):
        try:
            status = main(["registry", *words])
        except SystemExit as stopped:
            status = stopped.code
        shown = capsys.readouterr()
        assert status == 1
        line = shown.err.splitlines()[-1]
        assert re.fullmatch(r"fastk: .+", line)
        return line, shown.out

    return run


def test_list(say, base):
    listed, _ = say("list", "--base", base)
    assert [(record["dataset_id"], record["version"]) for record in listed] == [
        ("a", "2024-02"),
        ("binance-um", "2024-01"),
        ("binance-um", "2024-02"),
    ]
    assert [record["version"] for record in say("list", "a", "--base", base)[0]] == ["2024-02"]


def test_show_names_a_version(say, base):
    shown, note = say("show", "binance-um", "2024-01", "--registry", f"{base}/registry.sqlite")
    assert fastk.DatasetManifestRecord(**shown) == dataset(version="2024-01", created_at=1)
    assert note == ""


def test_show_without_a_version_says_that_this_is_for_people(say, base):
    shown, note = say("show", "binance-um", "--base", base)
    assert shown["version"] == "2024-02"
    assert "for interactive use" in note


def test_features_and_factors(say, base):
    for name, record in (("features", feature()), ("factors", factor())):
        (found,) = say(name, "--base", base)[0]
        assert type(record)(**found) == record
        assert say(name, "binance-um", "2024-02", "--base", base)[0] == [found]
        assert say(name, "binance-um", "2024-01", "--base", base)[0] == []


@pytest.mark.parametrize("command", ["add", "upsert"])
def test_a_version_is_added_and_changed(say, place, command):
    words = [command, "ID", "1", "--base", str(place), "--root", "/r", "--source", "s", "--market", "m"]
    words += ["--schema-version", "3", "--start-ts", "-5", "--end-ts", "2024-01-01"]
    added, _ = say(*words, "--created-at", "7")
    with DatasetRegistry.open(place / "registry.sqlite", "r") as registry:
        (record,) = registry.list_datasets()
    assert added == say("show", "ID", "1", "--base", str(place))[0]
    assert (record.start_ts, record.end_ts, record.created_at) == (-5, 1_704_067_200_000, 7)
    assert (record.checksum, record.status) == (None, "active")
    changed, _ = say(*words, "--checksum", "md5:1", "--status", "retired")
    assert (changed["checksum"], changed["status"]) == ("md5:1", "retired")


def test_a_version_is_made_verified_moved_and_adopted(say, fail, place, live):
    made, _ = say("snapshot", live, "crypto", "1", "--base", str(place), "--market", "spot")
    assert (made["market"], made["source"]) == ("spot", live)
    report, _ = say("verify", "--base", str(place))
    assert [check["state"] for check in report["datasets"]] == ["sound"]
    assert say("verify", "--base", str(place), "--no-read")[0]["datasets"][0]["state"] == "unchecked"
    shutil.move(made["fastk_root"], place / "moved")
    line, shown = fail("verify", "--base", str(place))
    assert line == "fastk: not as registered: crypto@1"
    assert json.loads(shown)["datasets"][0]["state"] == "missing"
    assert say("adopt", str(place / "moved"), "--base", str(place))[0] == made | {"fastk_root": str(place / "moved")}
    say("verify", "--base", str(place))


def test_a_snapshot_goes_beside_the_registry_that_is_named(say, place, live):
    made, _ = say("snapshot", live, "crypto", "1", "--registry", str(place / "folder" / "r.sqlite"))
    assert made["fastk_root"] == str(place / "folder" / "datasets" / "crypto" / "1")


def test_a_snapshot_of_no_store_makes_no_registry(fail, place):
    line, _ = fail("snapshot", str(place / "nowhere"), "crypto", "1", "--base", str(place / "base"))
    assert "there is no store at" in line
    assert not (place / "base").exists()


def test_people_see_tables(base, capsys, monkeypatch, place, live):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)

    def shown(*words, status=0):
        assert main(["registry", *words, "--base", base]) == status
        return capsys.readouterr().out

    lines = shown("list").splitlines()
    assert lines[0].split() == ["dataset_id", "version", "status", "start_ts", "end_ts", "checksum", "fastk_root"]
    assert len(lines) == 4
    assert re.search(r"^market +um-futures$", shown("show", "a", "2024-02"), re.MULTILINE)
    assert "rsi_14, ma_20" in shown("factors")
    assert json.loads(shown("list", "a", "--json"))[0]["dataset_id"] == "a"
    (place / "datasets" / ".fastk.building-1").mkdir(parents=True)
    told = shown("verify", status=1)
    assert "missing" in told
    assert "abandoned by a killed snapshot" in told


def test_a_terminal_shows_no_control_characters(base, capsys, monkeypatch, place):
    with DatasetRegistry.open(place / "registry.sqlite") as registry:
        registry.upsert_dataset(dataset("evil", "1", source="\x1b[2J\nx"))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert main(["registry", "show", "evil", "1", "--base", base]) == 0
    assert "\\x1b[2J\\nx" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (["list"], "say where the registry is: --base FOLDER or --registry FILE"),
        (["list", "--base", "{}/none"], "there is no registry at"),
        (["show", "nothing", "--base", "{}"], "dataset not found: nothing$"),
        (["show", "a", "7", "--base", "{}"], "dataset not found: a@7$"),
        (["show", " ", "7", "--base", "{}"], "dataset_id must be"),
        (["features", "a", "--base", "{}"], "name a dataset by ID and VERSION"),
        (["add", "a", "1", "--base", "{}"], "the following arguments are required: --root"),
        (["adopt", "{}", "--base", "{}"], "is no version of a dataset"),
        (["snapshot", "{}/none", "a", "1", "--base", "{}"], "there is no store at"),
        (["frobnicate"], "invalid choice"),
    ],
)
def test_failures_are_one_line(fail, base, words, match):
    line, shown = fail(*(word.format(base) for word in words))
    assert re.search(match, line)
    assert shown == ""


def test_a_time_that_is_none_is_told(fail, base):
    words = ["add", "a", "1", "--base", base, "--root", "r", "--source", "s", "--market", "m", "--schema-version", "1"]
    line, _ = fail(*words, "--start-ts", "soon", "--end-ts", "1")
    assert "soon" in line


def test_without_a_command_it_shows_help(capsys):
    assert main(["registry"]) == 0
    assert "snapshot" in capsys.readouterr().out
