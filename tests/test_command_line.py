"""The `fastk` command: help, version, warmup, and one way to fail."""

import errno
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import fastk
from fastk import __main__ as program
from fastk.cli import commands, warmup
from fastk.cli import main as command_line
from fastk.cli.main import main

CHECKOUT = Path(__file__).resolve().parent.parent


def run(*arguments, **options):
    command = [sys.executable, "-m", "fastk", *arguments]
    return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False, **options)


@pytest.fixture
def failing(monkeypatch):
    """Makes `fastk warmup` raise."""

    def fail_with(error):
        def command(options):
            raise error

        monkeypatch.setattr(command_line, "_run_warmup", command)

    return fail_with


def test_help_names_the_commands(capsys):
    assert main([]) == 0
    shown = capsys.readouterr()
    assert "demo" in shown.out
    assert "warmup" in shown.out
    assert shown.err == ""


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"fastk {fastk.__version__}\n"


@pytest.mark.parametrize("arguments", [["frobnicate"], ["demo", "--frobnicate"], ["demo", "--csv"]])
def test_wrong_arguments_are_told_in_one_line(capsys, arguments):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 1
    assert re.fullmatch(r"fastk: .*; see fastk( demo)? --help\n", capsys.readouterr().err)


@pytest.mark.slow
def test_a_wrong_environment_is_told_in_one_line():
    run = subprocess.run(
        [sys.executable, "-m", "fastk", "warmup"],
        env={**os.environ, "FASTK_KERNELS": "bogus"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr == "fastk: FASTK_KERNELS='bogus' is unknown: use one of eager, lazy, never\n"


def test_warmup_prints_a_line_for_each_kernel(capsys, monkeypatch):
    monkeypatch.setattr(warmup, "fill_cache", lambda processes: {"bounds": 0.25, "order": 0.5})
    assert main(["warmup"]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    assert lines == ["bounds       250.0 ms", "order        500.0 ms"]
    assert re.fullmatch(r"2 kernels ready in \d\.\d\d s", last)


def test_the_real_warmup_in_json(capsys):
    assert main(["warmup", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["seconds"] > 0
    assert "bounds" in found["kernels"]


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (fastk.InvalidInput("two\nlines\tand \x1b[31m"), "fastk: two lines and \\x1b[31m"),
        (fastk.NotFound("no such series"), "fastk: no such series"),
        (fastk.LockTimeout("held by 7"), "fastk: held by 7"),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), "fastk: /x: Permission denied"),
        (OSError("disk is full"), "fastk: disk is full"),
        (TimeoutError(), "fastk: TimeoutError"),
        (MemoryError("no room"), "fastk: no room"),
    ],
)
def test_failures_are_one_line(failing, error, line, capsys):
    failing(error)
    assert main(["warmup"]) == 1
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", line + "\n")


def test_faults_of_the_program_are_not_hidden(failing):
    failing(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        main(["warmup"])


def test_an_interrupt_exits_as_shells_expect(failing, capsys):
    failing(KeyboardInterrupt())
    assert main(["warmup"]) == 130
    assert capsys.readouterr().err == ""


def test_missing_libraries_are_named(monkeypatch, capsys):
    monkeypatch.setattr(command_line, "DEMO_NEEDS", ("numpy", "no_such_library"))
    assert main(["demo"]) == 1
    assert capsys.readouterr().err == "fastk: the demo needs no_such_library: pip install 'fastk-engine[demo]'\n"


def test_as_a_module():
    shown = run("--version")
    assert (shown.returncode, shown.stdout, shown.stderr) == (0, f"fastk {fastk.__version__}\n", "")


def test_doctor_is_a_command_of_its_own(capsys, tmp_path):
    assert program.main(["doctor", "--root", str(tmp_path)]) == 0
    alone = json.loads(capsys.readouterr().out)
    assert program.main(["admin", "doctor", "--root", str(tmp_path)]) == 0
    assert list(alone) == list(json.loads(capsys.readouterr().out))
    assert alone["root"] == str(tmp_path)
    assert program.main(["doctor", "--root", str(tmp_path / "missing")]) == 1


@pytest.mark.slow
def test_failing_as_a_module(tmp_path):
    shown = run("demo", "--csv", str(tmp_path / "absent.csv"))
    assert shown.returncode == 1
    assert shown.stdout == ""
    assert shown.stderr == f"fastk: {tmp_path}/absent.csv: No such file or directory\n"


def test_a_closed_pipe_is_no_traceback():
    read_end, write_end = os.pipe()
    os.close(read_end)
    command = [sys.executable, "-m", "fastk", "--version"]
    shown = subprocess.run(command, cwd=CHECKOUT, stdout=write_end, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write_end)
    assert (shown.returncode, shown.stderr) == (141, "")


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_lead_nowhere(closed):
    """No file gets the number of one, which whatever writes to streams would write into."""
    code = "import os; from fastk.cli.failures import prepare_process; prepare_process(); print(); "
    code += "os._exit(os.open('/', os.O_RDONLY))"
    shown = subprocess.run(["sh", "-c", f'"$0" -c "$1" {closed}', sys.executable, code], cwd=CHECKOUT, check=False)
    assert shown.returncode == 3


def examples_of(parser):
    """The commands that the help of a parser shows, continued lines joined."""
    lines = (parser.epilog or "").replace("\\\n", " ").splitlines()
    return [shlex.split(line) for line in lines if line.lstrip().startswith("fastk")]


def test_every_command_shows_examples_that_can_be_parsed():
    parser, administration, _ = commands.programs()
    for name, command in commands.subcommands(parser).items():
        assert examples_of(command) or name in ("bridge", "doctor", "completion"), name
        for words in examples_of(command):
            assert (parser if words[0] == "fastk" else administration).parse_args(words[1:])
    assert [words[1] for words in examples_of(parser)] == ["import", "inspect", "report"]


def test_help_is_quick_to_import():
    heavy = ("pandas", "rich", "numpy", "numba", "json", "fastk.store")
    code = f"import sys, fastk.cli.main; print(*sorted(set({heavy!r}) & sys.modules.keys()))"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == []
