"""The bridge as a process: its exit statuses and streams, what it loads, and how it ends."""

import json
import os
import signal
import subprocess
import sys
import tomllib
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import pytest
from bridge_calls import SCALAR, SERIES, Bridge, klines, minutes, scalars
from builders import JANUARY, MINUTE

import fastk

CHECKOUT = Path(__file__).resolve().parent.parent.parent
COMMAND = [sys.executable, "-m", "fastk", "bridge"]
OF_ARGPARSE = ("argparse", "gettext", "locale", "shutil", "bz2", "lzma")
HEAVY = (
    "numba",
    "llvmlite",
    "pandas",
    "pyarrow",
    "sqlite3",
    "numpy",
    "decimal",
    "select",
    "fastk.engine.writer",
    *OF_ARGPARSE,
)
LOADED = f"import sys; print(*sorted({set(HEAVY)!r} & sys.modules.keys()), file=sys.stderr)"


def call(*arguments, **options):
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False, **options)


def loaded_by(arguments, stdin=""):
    """What a process has loaded after a call, besides the call's outcome."""
    code = f"from fastk.bridge.main import main; status = main({list(map(str, arguments))!r}); {LOADED}; exit(status)"
    outcome = subprocess.run(
        [sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=True, input=stdin
    )
    return set(outcome.stderr.splitlines()[-1].split())


@pytest.fixture
def talk(bridge):
    """A running batch: a function that sends a line and waits for its answer."""
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen([*COMMAND, "batch", "--root", bridge.root], cwd=CHECKOUT, text=True, **streams)

    def ask(command, **options):
        process.stdin.write(json.dumps({"command": command, **options}) + "\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())

    ask.process = process
    yield ask
    process.kill()
    with suppress(BrokenPipeError), process:  # lines that a killed batch never read
        pass


def test_a_success_and_a_failure(bridge):
    written = call("write-kline-range", *bridge.arguments("", SERIES)[1:], input=json.dumps(klines(minutes(2))))
    assert (written.returncode, written.stderr) == (0, "")
    assert json.loads(written.stdout)["written_record_count"] == 2
    failed = call("read-kline-range", "--root", bridge.root)
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr.startswith("fastk_bridge failed: the following arguments are required: --symbol")


@pytest.mark.slow
def test_what_a_process_loads(bridge, monkeypatch):
    monkeypatch.delenv("FASTK_KERNELS")
    bridge.write_klines(minutes(2))
    bridge.write_scalars({JANUARY: 1})
    assert loaded_by(["--help"]) == set()
    window = {"start_ts": 0, "end_ts": 2**60}
    read = bridge.arguments("read-kline-range", {**SERIES, **window})
    query = bridge.arguments("query-scalar-predicate", {**SCALAR, **window, "predicate": "gt", "value": 0})
    for arguments in (read, query):
        assert loaded_by(arguments) == {"numpy"}


def test_the_environment_may_choose_the_kernels(bridge):
    arguments = bridge.arguments("kline-inventory", SERIES)
    outcome = call(*arguments, env={**os.environ, "FASTK_KERNELS": "bogus"})
    assert (outcome.returncode, outcome.stdout) == (1, "")
    assert "FASTK_KERNELS='bogus' is unknown" in outcome.stderr
    assert outcome.stderr.count("\n") == 1


def test_the_console_scripts_exist():
    scripts = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    assert {"fastk", "fastk_bridge"} <= set(scripts)
    for target in scripts.values():
        module, _, name = target.partition(":")
        assert callable(getattr(import_module(module), name))


def test_fastk_lists_the_bridge(capsys):
    from fastk.__main__ import main

    assert main(["--version"]) == 0
    assert main([]) == 0
    assert "bridge" in capsys.readouterr().out
    assert main(["bridge", "fly"]) == 1
    assert capsys.readouterr().err.startswith("fastk_bridge failed: there is no command 'fly'")


def shell(script, *arguments):
    command = ["sh", "-c", script, *COMMAND, *map(str, arguments)]
    return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("redirection", "reason"), [(">&-", "Bad file descriptor"), (">/dev/full", "No space left")])
def test_a_stdout_that_takes_nothing(bridge, redirection, reason):
    outcome = shell(f'"$0" "$@" {redirection}', *bridge.arguments("kline-inventory", SERIES))
    assert outcome.returncode == 1
    assert outcome.stderr.startswith("fastk_bridge failed: ")
    assert reason in outcome.stderr
    assert outcome.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_reader_that_has_gone(bridge):
    bridge.write_klines(minutes(5_000))
    arguments = bridge.arguments("read-kline-range", {**SERIES, "start_ts": 0, "end_ts": 2**60})
    outcome = shell('{ "$0" "$@"; echo "status $?" >&2; } | head -c 5', *arguments)
    assert (outcome.stdout, outcome.stderr) == ('{"sym', "status 141\n")


def test_a_stdin_that_is_closed(bridge):
    outcome = shell('"$0" "$@" <&-', *bridge.arguments("write-kline-range", SERIES))
    assert (outcome.returncode, outcome.stdout) == (1, "")
    assert "stdin is closed" in outcome.stderr


@pytest.mark.slow
def test_answers_come_before_the_next_line(talk):
    for row in range(3):
        payload = {"timeframe_ms": MINUTE, "records": scalars({JANUARY + row: row})}
        assert talk("write-scalar-range", **SCALAR, input=payload)["registered"] is (row == 0)
        assert talk("scalar-inventory", **SCALAR)["record_count"] == row + 1
    assert talk("fly")["error"]["type"] == "InvalidInput"
    out, err = talk.process.communicate()
    assert (talk.process.returncode, out, err) == (0, "", "")


@pytest.mark.slow
def test_another_process_sees_what_a_batch_wrote(talk, bridge):
    talk("write-kline-range", **SERIES, input=klines(minutes(1)))
    assert bridge.call("kline-inventory", **SERIES)["record_count"] == 1
    bridge.write_klines([JANUARY + MINUTE])
    assert talk("kline-inventory", **SERIES)["record_count"] == 2


@pytest.mark.slow
def test_a_batch_survives_a_line_beyond_all_bounds(bridge):
    inventory = json.dumps({"command": "kline-inventory", **SERIES})
    lines = f"(head -c 1500000000 /dev/zero; echo; echo '{inventory}')"
    outcome = shell(f'ulimit -v 2000000; {lines} | "$0" "$@"', "batch", "--root", bridge.root)
    assert (outcome.returncode, outcome.stderr) == (0, "")
    refused, answered = map(json.loads, outcome.stdout.splitlines())
    assert "longer than 268,435,456 bytes" in refused["error"]["message"]
    assert answered["exists"] is False


@pytest.mark.slow
def test_a_payload_beyond_all_bounds(bridge):
    arguments = bridge.arguments("write-kline-range", {**SERIES, "input_json": "/dev/zero"})
    outcome = shell('ulimit -v 2000000; "$0" "$@"', *arguments)
    assert outcome.returncode == 1
    assert outcome.stderr == "fastk_bridge failed: the payload is longer than 268,435,456 bytes; send it in parts\n"


@pytest.mark.slow
def test_an_interrupted_batch(talk):
    talk("kline-inventory", **SERIES)
    talk.process.send_signal(signal.SIGINT)
    _, err = talk.process.communicate()
    assert (talk.process.returncode, err) == (130, "fastk_bridge failed: interrupted\n")


@pytest.mark.slow
def test_a_killed_batch_leaves_whole_writes(talk, bridge):
    """What was answered is there, and of what was not either all or nothing; the next writer need not wait."""
    talk("write-kline-range", **SERIES, input=klines([]))
    for row in range(3):
        talk("write-kline-range", **SERIES, input=klines(minutes(10, JANUARY + 10 * row * MINUTE)))
    for row in range(3, 200):
        line = {"command": "write-kline-range", **SERIES, "input": klines(minutes(10, JANUARY + 10 * row * MINUTE))}
        talk.process.stdin.write(json.dumps(line) + "\n")
    talk.process.kill()
    talk.process.wait()
    stored = Bridge(bridge.root).call("kline-inventory", **SERIES)["record_count"]
    assert stored >= 30
    assert stored % 10 == 0
    assert bridge.write_klines([JANUARY + stored * MINUTE])["registered"] is False
    with fastk.open(bridge.root, "r") as store:
        assert store.kline("BTC", "1m").range().ts.tolist() == minutes(stored + 1)
