"""`fastk_admin` as a program: what it prints, where, and how it ends."""

import json
import os
import pty
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from builders import FEBRUARY, JANUARY, MARCH, MINUTE, bars, contents, temporary_folder
from recovery_stores import (
    KEY,
    ROWS,
    TRADES,
    as_newer_format,
    columns,
    cut,
    flip,
    flip_value,
    january,
    make_store,
    manifest,
    write_commit,
)
from support.disks import ForbiddenDisk

import fastk
from fastk.cli import admin, admin_commands, admin_doctor, admin_progress
from fastk.io.lock import FileLock

CHECKOUT = Path(__file__).resolve().parents[2]
VALIDATION = [
    "series_dir",
    "manifest_exists",
    "missing_chunks",
    "missing_sidecars",
    "checksum_mismatches",
    "chunk_metadata_mismatches",
    "sidecar_consistency_issues",
    "untracked_chunks",
    "untracked_sidecars",
    "overlap_groups",
]
MONTH = ["month_key", "chunk_count", "record_count", "sealed_chunk_count", "active_delta_count", "sidecar_count"]
COUNTS = ["chunk_count", "record_count", "sidecar_count", "active_delta_count"]
HEALTH = [
    "series_count",
    "clean_series_count",
    "issue_series_count",
    "orphan_count",
    "overlap_group_count",
    "pending_recovery",
    "platform_fsync_guarantee",
]
RECOVERY = [
    "removed_temp_files",
    "rebuilt_manifests",
    "adopted_chunks",
    "dry_run",
    "removed_temp_paths",
    "rebuilt_manifest_paths",
    "adopted_chunk_paths",
    "overlap_resolutions",
]
BARS = ["--symbol", "BTCUSDT", "--timeframe", "1m"]
VALUES = ["--symbol", "BTCUSDT", "--category", "signal", "--name", "1m@@trend"]

# command, further options, whether it prints an array, the fields of the original in their order
CONTRACT = [
    ("validate", [], True, VALIDATION),
    ("scrub", ["--dry-run", "--verbose"], True, ["validation", "checked_chunk_count", "checked_sidecar_count"]),
    ("repair", ["--dry-run"], False, RECOVERY),
    ("rebuild-manifest", ["--dry-run"], False, RECOVERY),
    (
        "list-series",
        [],
        True,
        ["symbol", "category", "name", "record_type", "timeframe_ms", *COUNTS],
    ),
    (
        "stats",
        [],
        False,
        ["series_count", "kline_series_count", "scalar_series_count", *COUNTS],
    ),
    (
        "health",
        [],
        False,
        HEALTH,
    ),
    ("inventory", BARS, True, MONTH),
    ("inventory", VALUES, True, MONTH),
    ("capabilities", VALUES, False, ["raw_scan", "has_zmap", "has_vix"]),
    ("compaction-advice", [], True, ["symbol", "category", "name", "decisions"]),
    ("compaction-advice", BARS, True, ["symbol", "category", "name", "decisions"]),
    ("gc", ["--dry-run", "--grace-seconds", "0"], False, ["dry_run", "removed_files", "removed_bytes"]),
]
CHANGING = ["repair", "rebuild-manifest", "merge", "gc"]
LOOKING = [*[(command, options) for command, options, *_ in CONTRACT], ("list-orphans", []), ("explain-overlap", [])]


@pytest.fixture(scope="module")
def sound():
    """A store that no test changes."""
    with temporary_folder() as folder:
        make_store(folder / "store").close()
        yield folder / "store"


def run(*arguments, **options):
    command = [sys.executable, "-m", "fastk", "admin", *map(str, arguments)]
    return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False, **options)


@pytest.fixture
def call(capsys):
    """Run a command in this process: exit status, report, stderr."""

    def call_main(*arguments):
        try:
            status = admin.main([*map(str, arguments)])
        except SystemExit as stopped:
            status = stopped.code
        shown = capsys.readouterr()
        return status, json.loads(shown.out) if shown.out else None, shown.err

    return call_main


class TestReports:
    @pytest.mark.parametrize(("command", "options", "is_array", "names"), CONTRACT)
    def test_have_the_fields_of_the_original_first(self, sound, call, command, options, is_array, names):
        status, report, err = call(command, "--root", sound, *options)
        assert (status, err) == (0, "")
        assert isinstance(report, list) is is_array
        entry = report[0] if is_array else report
        assert list(entry)[: len(names)] == names

    @pytest.mark.slow
    def test_of_a_program_are_indented_and_alone_on_stdout(self, sound):
        done = run("stats", "--root", sound)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == json.dumps(json.loads(done.stdout), indent=2) + "\n"
        assert json.loads(done.stdout)["record_count"] == 11_050

    def test_say_how_much_was_compared(self, sound, call):
        _, found, _ = call("scrub", "--root", sound)
        chunks = sum(file.stat().st_size for file in Path(sound).rglob("*.chunk*"))
        assert sum(each["checked_bytes"] for each in found) == chunks
        assert sum(each["checked_chunk_count"] for each in found) == 4

    def test_of_orphans_and_overlaps(self, root, call):
        write_commit(root, 9, 3, {"2024-03": bars(MARCH, 3)})
        assert call("list-orphans", "--root", root) == (
            0,
            [
                {
                    "series_dir": "series/BTCUSDT/kline/1m",
                    "relative_path": "chunks/2024-03.merged.00000009-0000.chunk",
                    "kind": "chunk",
                    "reason": "of commit 9, which was never finished",
                }
            ],
            "",
        )
        assert call("explain-overlap", "--root", root) == (0, [], "")
        assert call("validate", "--root", root)[0] == 0


class TestDamage:
    @pytest.mark.slow
    def test_is_reported_and_then_fails_the_command(self, root):
        place = flip_value(january(root), "close", 5_000)
        done = run("scrub", "--root", root)
        assert done.returncode == 1
        (found,) = [each for report in json.loads(done.stdout) for each in report["validation"]["verdicts"]]
        assert (found["code"], found["severity"]) == ("corrupt_block", "damage")
        assert found["offset"] <= place
        assert done.stderr.startswith("fastk_admin failed: corrupt_block: series/BTCUSDT/kline/1m/chunks/2024-01")
        assert done.stderr.count("\n") == 1

    def test_of_columns_is_not_seen_by_validate(self, root, call):
        flip_value(january(root), "close", 5_000)
        assert call("validate", "--root", root)[0] == 0

    @pytest.mark.parametrize("command", ["validate", "scrub", "health", "list-series", "stats"])
    def test_of_one_series_hides_no_other(self, root, call, command):
        flip(manifest(root), 99)
        status, report, err = call(command, "--root", root)
        assert status == 1
        assert err.startswith("fastk_admin failed: ")
        assert err.count("\n") == 1
        assert report[2] if isinstance(report, list) else report["series_count"] >= 2

    def test_several_are_counted_in_the_line(self, root, call):
        flip(manifest(root), 99)
        cut(manifest(root, TRADES), 0)
        assert call("validate", "--root", root)[2].endswith("(and 1 more)\n")

    def test_is_planned_mended_and_gone(self, root, call):
        flip_value(january(root), "close", 5_000)
        flip(manifest(root, TRADES), 99)
        before = contents(root)
        status, planned, _ = call("repair", "--root", root, "--dry-run")
        assert (status, planned["dry_run"], contents(root) == before) == (1, True, True)
        status, done, err = call("repair", "--root", root)
        assert (status, done) == (1, planned | {"dry_run": False})
        assert err == "fastk_admin failed: 4,096 rows are lost: see lost_rows; the first are of BTCUSDT/kline/1m\n"
        (lost,) = done["lost_rows"]
        assert (lost["series"], lost["rows"]) == ("BTCUSDT/kline/1m", 4_096)
        assert call("scrub", "--root", root)[0] == 0

    def test_that_cannot_be_mended_fails_the_command(self, root, call):
        as_newer_format(manifest(root))
        status, report, err = call("repair", "--root", root)
        assert (status, len(report["unrepaired"])) == (1, 1)
        assert err.startswith("fastk_admin failed: not repaired: newer_format: series/BTCUSDT/kline/1m/series.meta")

    def test_a_rebuild_restores_all_settings(self, root, call):
        with fastk.open(root, "r") as store:
            settings = store.series(TRADES).settings
        manifest(root, TRADES).unlink()
        before = columns(root)
        status, report, _ = call("rebuild-manifest", "--root", root)
        assert (status, report["rebuilt_manifests"]) == (0, 3)
        with fastk.open(root, "r") as store:
            assert store.series(TRADES).settings == settings
        assert columns(root) == before


class TestUpkeep:
    """Merging, its advice, and collecting."""

    @pytest.fixture
    def appended(self, root):
        """Five appends to each of two months, so that merging is advised."""
        with fastk.open(root) as store:
            for row in range(50, 55):
                for start in (JANUARY + ROWS * MINUTE, FEBRUARY):
                    store.series(KEY).append(bars(start + row * MINUTE, 1))
        return root

    def decisions(self, call, root, *options):
        status, report, err = call("compaction-advice", "--root", root, *options)
        assert (status, err) == (0, "")
        return {(each["name"], part["month_key"]): part for each in report for part in each["decisions"]}

    def test_advice_names_partitions_and_reasons(self, appended, call):
        found = self.decisions(call, appended)
        assert {key for key, each in found.items() if each["should_merge"]} == {("1m", "2024-01"), ("1m", "2024-02")}
        assert "threshold" in found["1m", "2024-01"]["reasons"][0]
        assert {name for name, _ in self.decisions(call, appended, *BARS)} == {"1m"}

    def test_one_partition_is_merged(self, appended, call):
        before = columns(appended)
        status, (done,), _ = call("merge", "--root", appended, *BARS, "--partition", "2024-01")
        assert (status, done["merged"], done["chunks"], done["problem"]) == (0, 6, 1, None)
        assert columns(appended) == before
        found = self.decisions(call, appended)
        assert [key for key, each in found.items() if each["should_merge"]] == [("1m", "2024-02")]

    def test_all_series_are_merged_where_none_is_named(self, appended, call):
        before = columns(appended)
        _, done, _ = call("merge", "--root", appended)
        assert [(each["symbol"], each["merged"], each["chunks"]) for each in done] == [
            ("BTCUSDT", 12, 2),
            ("BTCUSDT", 0, 0),
            ("ETHUSDT", 0, 0),
        ]
        assert columns(appended) == before
        assert call("scrub", "--root", appended)[0] == 0

    @pytest.mark.parametrize("command", ["merge", "compaction-advice", "gc"])
    def test_a_damaged_series_hides_no_other(self, appended, call, command):
        flip(manifest(appended, TRADES), 99)
        status, report, err = call(command, "--root", appended)
        assert status == 1
        assert str(manifest(appended, TRADES)) in err
        if command == "merge":
            assert [each["merged"] for each in report] == [12, 0, 0]
        elif command == "gc":
            assert len(report["problems"]) == 1

    def test_what_a_merge_retired_is_collected_after_the_grace_period(self, appended, call):
        call("merge", "--root", appended)
        _, kept, _ = call("gc", "--root", appended)
        assert (kept["removed_files"], kept["retired_files"]) == (0, 12)
        before = contents(appended)
        _, planned, _ = call("gc", "--root", appended, "--grace-seconds", "0", "--dry-run")
        assert contents(appended) == before
        status, done, _ = call("gc", "--root", appended, "--grace-seconds", "0")
        assert (status, done) == (0, planned | {"dry_run": False})
        assert {path for path, _ in before.items() if path not in contents(appended)} == set(done["removed_paths"])
        assert len([path for path in done["removed_paths"] if path.endswith(".chunk")]) == 12


class TestLooking:
    """Changes nothing, needs nothing, waits for nobody."""

    @pytest.mark.parametrize(("command", "options"), LOOKING)
    def test_writes_nothing(self, sound, call, monkeypatch, command, options):
        for place in (admin_commands, sys.modules["fastk.store.store"]):
            monkeypatch.setattr(place, "Disk", ForbiddenDisk)
        monkeypatch.setattr(admin_commands._ForgivingDisk, "create", ForbiddenDisk.create)
        assert call(command, "--root", sound, *options)[0] == 0

    def test_works_while_a_writer_holds_the_lock(self, sound, call):
        holder = FileLock(str(sound / ".fastk.write.lock"), 0)
        try:
            for command, options in LOOKING:
                assert call(command, "--root", sound, *options)[0] == 0
        finally:
            holder.release()

    def test_works_in_a_folder_that_takes_no_writes(self, root, call):
        before = contents(root)
        folders = [root, *(path for path in root.rglob("*") if path.is_dir())]
        for place in folders:
            place.chmod(0o555)
        try:
            for command, options in LOOKING:
                assert call(command, "--root", root, *options)[0] == 0
        finally:
            for place in folders:
                place.chmod(0o755)
        assert contents(root) == before

    @pytest.mark.parametrize("how", ["missing", "damaged"])
    def test_works_without_a_store_file(self, root, call, how):
        file = root / "fastk.store"
        file.unlink() if how == "missing" else file.write_text("?")
        for command, options in LOOKING:
            is_about_damage = command in ("validate", "scrub", "health")
            assert call(command, "--root", root, *options)[0] == int(is_about_damage), command


class TestWrongCalls:
    @pytest.mark.parametrize(
        ("arguments", "reason"),
        [
            (["fly"], "invalid choice: 'fly'"),
            (["validate"], "required: --root"),
            (["validate", "--root"], "expected one argument"),
            (["validate", "--root", ""], "is no path"),
            (["validate", "--root", "STORE", "--fast"], "unrecognized arguments: --fast"),
            (["validate", "--ro", "STORE"], "required: --root"),
            (["stats", "--root", "STORE", "--dry-run"], "unrecognized"),
            (["inventory", "--root", "STORE"], "required: --symbol"),
            (["inventory", "--root", "STORE", "--symbol", "X"], "--timeframe, or with --category"),
            (["inventory", "--root", "STORE", *BARS, "--category", "x"], "--timeframe, or with --category"),
            (["inventory", "--root", "STORE", "--symbol", "X", "--timeframe", "1m"], "X/kline/1m is not in the store"),
            (["merge", "--root", "STORE", "--name", "X"], "takes --symbol as well"),
            (["merge", "--root", "STORE", "--symbol", "X"], "merge takes --symbol with --timeframe, or with"),
            (["merge", "--root", "STORE", "--partition", "2024-01"], "of one series"),
            (["merge", "--root", "STORE", *BARS, "--partition", "2031-01"], "has no rows in '2031-01'"),
            (["merge", "--root", "STORE", "--dry-run"], "unrecognized"),
            (["compaction-advice", "--root", "STORE", "--partition", "2024-01"], "unrecognized"),
            (["gc", "--root", "STORE", "--grace-seconds", "-1"], "grace_seconds must be"),
            (["gc", "--root", "STORE", "--grace-seconds", "soon"], "invalid float value: 'soon'"),
            (["capabilities", "--root", "STORE", *BARS], "required: --category, --name"),
            (
                ["capabilities", "--root", "STORE", "--symbol", "BTCUSDT", "--category", "kline", "--name", "1m"],
                "holds kline records and no single values",
            ),
        ],
    )
    def test_are_told_in_one_line(self, sound, call, arguments, reason):
        status, report, err = call(*(str(sound) if word == "STORE" else word for word in arguments))
        assert (status, report) == (1, None)
        assert err.startswith("fastk_admin failed: ")
        assert reason in err
        assert err.count("\n") == 1

    @pytest.mark.parametrize(("command", "options"), [*LOOKING, *((command, []) for command in CHANGING)])
    def test_on_what_is_no_store(self, tmp_path, call, command, options):
        (tmp_path / "file").touch()
        (tmp_path / "folder").mkdir()
        for root in (tmp_path / "missing", tmp_path / "file", tmp_path / "folder"):
            before = contents(tmp_path)
            status, report, err = call(command, "--root", root, *options)
            assert (status, report, err.count("\n")) == (1, None, 1)
            assert contents(tmp_path) == before

    def test_on_a_store_of_the_original(self, tmp_path, call):
        folder = tmp_path / "series/BTCUSDT/kline/1m/chunks"
        folder.mkdir(parents=True)
        (folder.parent / "series.meta").write_bytes(b"FKMETA02" + bytes(100))
        before = contents(tmp_path)
        for command in ("validate", "repair", "list-series"):
            status, _, err = call(command, "--root", tmp_path)
            assert (status, "original" in err) == (1, True)
        assert contents(tmp_path) == before

    def test_a_wrong_environment(self, sound):
        done = run("validate", "--root", sound, env={**os.environ, "FASTK_KERNELS": "bogus"})
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)

    def test_names_that_would_upset_a_terminal_are_escaped(self, root, call):
        (root / "bad\x1b[31m\nname").touch()
        (root / "series/link\x1b[31m").symlink_to("/")
        _, _, err = call("validate", "--root", root)
        assert "\\x1b[31m" in err
        assert err.count("\n") == 1


def on_a_terminal(*arguments) -> tuple[str, int]:
    """What a command shows on a terminal, and its exit status."""
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "fastk", "admin", *map(str, arguments)]
    process = subprocess.Popen(command, cwd=CHECKOUT, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    shown = b""
    while True:
        try:
            piece = os.read(master, 65_536)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        shown += piece
    os.close(master)
    return shown.decode(), process.wait()


class TestOnATerminal:
    @pytest.mark.slow
    def test_tables_are_shown(self, sound):
        shown, status = on_a_terminal("list-series", "--root", sound)
        assert status == 0
        assert "BTCUSDT" in shown
        assert "10,050" in shown
        assert "{" not in shown

    @pytest.mark.slow
    def test_json_is_shown_where_it_is_asked_for(self, sound):
        shown, _ = on_a_terminal("stats", "--root", sound, "--json")
        assert json.loads(shown)["series_count"] == 3

    @pytest.mark.parametrize("with_rich", [True, False])
    def test_every_report_has_a_table(self, root, monkeypatch, capsys, with_rich):
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        if not with_rich:
            monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        flip_value(january(root), "close", 5_000)
        write_commit(root, 9, 3, {"2024-03": bars(MARCH, 3)})
        expected = {
            "validate": "series/BTCUSDT/kline/1m",
            "scrub": "bytes compared",
            "repair": "sound rows salvaged from",
            "rebuild-manifest": "manifest rebuilt",
            "list-orphans": "never finished",
            "explain-overlap": "none",
            "list-series": "1m@@trend",
            "stats": "record count",
            "health": "platform fsync guarantee",
            "inventory": "2024-01",
            "capabilities": "has vix",
            "compaction-advice": "delta bytes",
            "gc": "would be removed: series/BTCUSDT/kline/1m/chunks/2024-03.merged",
            "merge": "chunks made",
        }
        for command, options in [*LOOKING, ("merge", [])]:
            admin.main([command, "--root", str(root), *options])
            assert expected[command] in capsys.readouterr().out, command
        admin.main(["doctor"])
        assert "free bytes" in capsys.readouterr().out

    def test_lost_rows_come_first(self, root, monkeypatch, capsys):
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        flip_value(january(root), "close", 5_000)
        assert admin.main(["repair", "--root", str(root), "--dry-run"]) == 1
        shown = capsys.readouterr().out
        assert shown.startswith("LOST ROWS (if this were carried out)")
        assert "4,096" in shown
        assert shown.endswith("nothing was touched: this was a dry run\n")
        admin.main(["repair", "--root", str(root)])
        capsys.readouterr()
        admin.main(["repair", "--root", str(root)])
        assert capsys.readouterr().out == "nothing to do\n"

    def test_a_bar_comes_up_for_long_work_only(self, sound, monkeypatch, capsys):
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
        assert admin.main(["scrub", "--root", str(sound)]) == 0
        assert capsys.readouterr().err == ""
        monkeypatch.setattr(admin_progress, "LONG_WORK", 1)
        assert admin.main(["scrub", "--root", str(sound)]) == 0
        assert "scrubbing" in capsys.readouterr().err

    def test_a_bar_counts_the_series_that_are_merged(self, sound, monkeypatch, capsys):
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
        monkeypatch.setattr(admin_progress, "LONG_SECONDS", 0)
        assert admin.main(["merge", "--root", str(sound)]) == 0
        assert "merging series" in capsys.readouterr().err

    @pytest.mark.parametrize("command", ["list-series", "stats"])
    def test_a_bar_counts_the_series_that_are_listed(self, sound, monkeypatch, capsys, command):
        monkeypatch.setattr(admin_progress, "LONG_SECONDS", 0)
        assert admin.main([command, "--root", str(sound)]) == 0
        piped = capsys.readouterr()
        assert piped.err == ""
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
        assert admin.main([command, "--root", str(sound)]) == 0
        shown = capsys.readouterr()
        assert "listing series" in shown.err
        assert shown.out == piped.out


class TestDoctor:
    def test_tells_the_system(self, sound, call):
        status, report, _ = call("doctor", "--root", sound)
        assert status == 0
        assert report["is_store"]
        assert report["fastk"] == fastk.__version__
        assert report["format"] == 3
        assert report["free_bytes"] > 0

    def test_fails_where_there_is_no_such_folder(self, tmp_path, call):
        status, report, err = call("doctor", "--root", tmp_path / "gone")
        assert (status, report) == (1, None)
        assert err == f"fastk_admin failed: there is no folder {tmp_path / 'gone'}; check the path\n"

    def test_looks_at_a_folder_in_which_a_store_may_come(self, tmp_path, call):
        status, report, _ = call("doctor", "--root", tmp_path)
        assert (status, report["is_store"]) == (0, False)

    def test_tells_who_holds_the_lock(self, root, call):
        holder = FileLock(str(root / ".fastk.write.lock"), 0)
        assert f"pid {os.getpid()}" in call("doctor", "--root", root)[1]["lock_holder"]
        holder.release(leftovers=True)
        report = call("doctor", "--root", root)[1]
        assert (report["lock_holder"], report["crashed_writers"]) == (None, 1)

    @pytest.mark.parametrize(
        ("path", "expected"),
        [
            ("/home/x", ("ext4", "/")),
            ("/mnt/nas/store", ("nfs4", "/mnt/nas")),
            ("/mnt/nasty", ("ext4", "/")),
            ("/my disk/a", ("fuse.sshfs", "/my disk")),
        ],
    )
    def test_finds_the_file_system(self, path, expected):
        mounts = (
            "21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
            "broken line\n"
            "40 21 0:33 / /mnt/nas rw - nfs4 server:/x rw\n"
            "41 21 0:34 / /my\\040disk rw master:2 - fuse.sshfs host: rw\n"
        )
        assert admin_doctor.file_system_of(path, mounts) == expected

    @pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "fuse"])
    def test_names_network_disks_as_not_promised(self, sound, kind):
        report = admin_doctor.examine(str(sound))
        report.file_system = kind
        assert "not promised" in admin_doctor.warnings_of(report)[0]

    def test_says_what_is_scarce(self, sound):
        report = admin_doctor.examine(str(sound))
        report.file_system, report.free_bytes, report.most_open_files, report.most_maps = "tmpfs", 5, 10, 100
        report.numba, report.kernel_cache_is_writable, report.crashed_writers = None, False, 2
        assert len(admin_doctor.warnings_of(report)) == 7


def test_the_program_is_installed_under_both_names():
    scripts = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    assert scripts["fastk_admin"] == "fastk.cli.admin:main"
    assert run().stdout.startswith("usage: fastk_admin")
