"""How the bridge fails, and what it says when it is asked for help: nothing on stdout, ever, but answers."""

import errno
import io
import json
import re
import select

import pytest
from bridge_calls import SERIES, klines, minutes
from builders import MINUTE

import fastk
from fastk.bridge import CONTRACT_VERSION, commands
from fastk.bridge.failures import one_line, type_of
from fastk.bridge.main import run
from fastk.engine.writer import Writer
from fastk.io.disk import Disk

NOT_WHAT_IT_DOES = ("fetch", "compute", "route", "strategy", "websocket", "server", "daemon")
WINDOW = ("--start-ts", "0", "--end-ts", "5")
QUERY = (
    "query-scalar-predicate",
    "--root",
    "store",
    "--symbol",
    "B",
    "--timeframe",
    "1m",
    "--category",
    "c",
    "--name",
    "n",
    *WINDOW,
)
READ = ("read-kline-range", "--root", "store", "--symbol", "BTC", "--timeframe", "1m")


# Help


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",), ("help",)])
def test_usage_names_every_command(bridge, arguments):
    outcome = bridge.run(*arguments)
    assert (outcome.status, outcome.out) == (0, b"")
    for name in (*commands.COMMANDS, "batch"):
        assert re.search(rf"^ *{name} --|^ *{name} \[--", outcome.err, re.MULTILINE)
    assert not [word for word in NOT_WHAT_IT_DOES if word in outcome.err.lower()]


@pytest.mark.parametrize("name", [*commands.COMMANDS, "batch"])
@pytest.mark.parametrize("rest", [("--help",), ("-h",), ("--root", "x", "--help"), ("--root", "--help")])
def test_usage_of_one_command(bridge, name, rest):
    outcome = bridge.run(name, *rest)
    assert (outcome.status, outcome.out) == (0, b"")
    assert outcome.err.startswith(f"usage: fastk_bridge {name} ")
    assert not [word for word in NOT_WHAT_IT_DOES if word in outcome.err.lower()]


APPLIES = {
    "P is eq, ne": {"query-scalar-predicate"},
    "Times are UTC": {name for name in commands.COMMANDS if name.startswith(("read", "query"))},
    "exit status 0": set(commands.COMMANDS),
    "Writes read a JSON payload": {name for name in commands.COMMANDS if name.startswith("write")},
    "one JSON command a line": {"batch"},
}


@pytest.mark.parametrize("name", [*commands.COMMANDS, "batch"])
def test_usage_of_one_command_tells_what_applies_to_it(bridge, name):
    everything, told = bridge.run("--help").err, bridge.run(name, "--help").err
    for note, names in APPLIES.items():
        assert note in everything
        assert (note in told) == (name in names)
    assert told.count("\n\n") == 1


def test_version(bridge):
    outcome = bridge.run("--version")
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out.decode() == f"fastk_bridge {fastk.__version__}, contract {CONTRACT_VERSION}\n"


# Arguments


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("fly-to-the-moon",), "no command 'fly-to-the-moon'; there are read-kline-range, "),
        (("--root", "x", "read-kline-range"), "no command '--root'"),
        (("READ-KLINE-RANGE",), "no command"),
        (READ[:3], "required: --symbol, --timeframe, --start-ts, --end-ts"),
        ((*READ, "--start-ts", "abc", "--end-ts", "5"), '--start-ts: "abc" is no decimal integer'),
        ((*READ, *WINDOW, "--tail", "5"), "--tail"),
        ((*READ, *WINDOW, "5"), "5"),
        ((*READ, *WINDOW, "--"), "--"),
        ((*READ, *WINDOW, "--sym", "5"), "--sym"),
        ((*READ, *WINDOW, "--symbol", "ETH"), "--symbol stands twice"),
        ((*READ, *WINDOW, "--end-ts=7"), "--end-ts stands twice"),
        ((*READ, "--start-ts", "--end-ts", "5"), "--start-ts: expected one argument"),
        ((*READ, "--start-ts", "0", "--end-ts"), "--end-ts: expected one argument"),
        ((*READ, *WINDOW, "--input-json", "x"), "--input-json"),
        (("batch", "--root"), "--root: expected one argument"),
        (("batch", "--symbol", "x"), "unrecognized arguments: --symbol x"),
        ((*READ, *WINDOW, "x", "--y=z"), "unrecognized arguments: x --y=z"),
        ((*READ, "--start-ts=", "--end-ts", "5"), '--start-ts: "" is no decimal integer'),
        ((*READ, "--start-ts", "--", "--end-ts", "5"), '--start-ts: "--" is no decimal integer'),
        ((*QUERY, "--predicate", "--"), "no predicate '--'"),
        ((*QUERY, "--predicate", "in-set", "--values", "--"), '--values: "--" is no decimal integer'),
        ((*QUERY, "--predicate", "in-set", "--values", "--values"), "--values stands twice"),
        ((*QUERY, "--predicate", "eq", "--value", "1", "--return-values=1"), "--return-values: expected no argument"),
        ((*QUERY, "--predicate", "eq", "--value", "1", "--return-values", "1"), "unrecognized arguments: 1"),
        ((*QUERY, "--return-values", "--return-values"), "--return-values stands twice"),
    ],
)
def test_arguments_without_sense(bridge, arguments, reason):
    assert reason in bridge.refused(*arguments)


def test_two_dashes_are_a_value_like_any_other(bridge, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "--").write_text(json.dumps(klines(minutes(1))))
    arguments = bridge.arguments("write-kline-range", {"symbol": "--", "timeframe": "1m", "input_json": "--"})
    assert b'"symbol":"--"' in bridge.run(*arguments).out
    assert bridge.call("kline-inventory", symbol="--", timeframe="1m")["record_count"] == 1
    stdin = json.dumps({"command": "kline-inventory", **SERIES}).encode()
    assert bridge.run("batch", "--root", "--", stdin=stdin).out.startswith(b'{"error":{"type":')


def test_an_unknown_command_names_all_there_are(bridge):
    assert bridge.refused("fly").endswith(f"there are {', '.join([*commands.COMMANDS, 'batch'])}")


ARABIC_ONE = "\N{ARABIC-INDIC DIGIT ONE}"
NO_INTEGERS = ["1.0", "1e3", "0x10", "1_000", " 1", "1 ", "", "+", "-", "--1", ARABIC_ONE, "1,2"]


@pytest.mark.parametrize("text", [*NO_INTEGERS, "9" * 5_000, str(2**63)])
def test_times_are_decimal_integers_of_64_bits(bridge, text):
    message = bridge.refused(*READ, "--start-ts", text, "--end-ts", "5")
    assert "--start-ts" in message
    assert len(message) < 200


def test_every_way_to_write_an_integer(bridge):
    bridge.write_klines(minutes(1))
    for start in ("-5", "+0", "-0", "007", str(-(2**63))):
        arguments = bridge.arguments("read-kline-range", {**SERIES, "start_ts": start, "end_ts": 1})
        outcome = bridge.run(*arguments)
        assert outcome.status == 0
        assert f'"start_ts":{int(start)},'.encode() in outcome.out


def test_options_may_be_joined_to_their_values(bridge):
    bridge.write_klines(minutes(1))
    joined = (f"--root={bridge.root}", "--symbol=BTC", "--timeframe=1m")
    assert b'"symbol":"BTC"' in bridge.run("kline-inventory", *joined).out


@pytest.mark.parametrize("symbol", ["", " ", "a\nb", "\x00", "\x7f", "\udcff", "x" * 300, "../" * 100])
def test_symbols_that_cannot_be(bridge, symbol):
    bridge.write_klines(minutes(1))
    arguments = bridge.arguments("kline-inventory", {"symbol": symbol, "timeframe": "1m"})
    assert "symbol" in bridge.refused(*arguments)


def test_symbols_that_look_like_paths_stay_inside(bridge, tmp_path):
    bridge.root = str(tmp_path / "store")
    options = {"symbol": "../../outside", "timeframe": ".."}
    bridge.call("write-kline-range", klines(minutes(1)), **options)
    assert [path.name for path in tmp_path.iterdir()] == ["store"]
    assert bridge.call("kline-inventory", **options)["record_count"] == 1


@pytest.mark.parametrize("root", ["", " ", "a\0b"])
def test_roots_that_cannot_be(bridge, root):
    assert bridge.refused("kline-inventory", "--root", root, "--symbol", "B", "--timeframe", "1m")


def test_payload_files_that_cannot_be_read(bridge, tmp_path):
    options = {**SERIES, "input_json": tmp_path / "absent.json"}
    assert bridge.refuse("write-kline-range", **options) == f"{tmp_path}/absent.json: No such file or directory"
    assert "Is a directory" in bridge.refuse("write-kline-range", **SERIES, input_json=tmp_path)


def test_without_stdin(bridge):
    err = io.StringIO()
    assert run(bridge.arguments("write-kline-range", SERIES), None, io.BytesIO(), err) == 1
    assert "stdin is closed" in err.getvalue()


# The system


def failing(error):
    def fail(*arguments, **options):
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "line", "kind"),
    [
        (fastk.InvalidInput("two\nlines\tand \x1b[31m"), "two lines and \\x1b[31m", "InvalidInput"),
        (fastk.LockTimeout("held by 7"), "held by 7", "LockTimeout"),
        (OSError(errno.ENOSPC, "No space left on device", "/x"), "/x: No space left on device", "Io"),
        (OSError("disk is full"), "disk is full", "Io"),
        (MemoryError(), "out of memory", "OutOfMemory"),
        (ZeroDivisionError("by zero"), "internal error: ZeroDivisionError: by zero", "Internal"),
        (KeyError("x"), "internal error: KeyError: 'x'", "Internal"),
        (fastk.InvalidInput(""), "InvalidInput", "InvalidInput"),
        (fastk.InvalidInput("x" * 5_000), "x" * 1_000 + "...", "InvalidInput"),
    ],
)
def test_every_failure_is_one_line(bridge, monkeypatch, error, line, kind):
    monkeypatch.setattr(fastk.FastKStore, "series", failing(error))
    assert bridge.refuse("kline-inventory", **SERIES) == line
    assert (one_line(error), type_of(error)) == (line, kind)


def test_an_interrupt(bridge, monkeypatch):
    monkeypatch.setattr(fastk.FastKStore, "series", failing(KeyboardInterrupt()))
    outcome = bridge.run(*bridge.arguments("kline-inventory", SERIES))
    assert (outcome.status, outcome.out, outcome.err) == (130, b"", "fastk_bridge failed: interrupted\n")


def test_a_failing_put_leaves_the_rows_as_they_were(bridge, monkeypatch):
    bridge.write_klines(minutes(2))
    with monkeypatch.context() as patch:
        patch.setattr(Disk, "create", failing(OSError(errno.ENOSPC, "No space left on device", "chunk")))
        assert "No space left" in bridge.refuse("write-kline-range", klines([minutes(1)[0] + 5 * MINUTE]), **SERIES)
    assert bridge.write_klines([minutes(1)[0] + 5 * MINUTE])["written_record_count"] == 1


def test_a_first_write_that_fails_can_be_repeated(bridge, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Writer, "put", failing(OSError(errno.EIO, "Input/output error", "chunk")))
        stdin = json.dumps(klines(minutes(1))).encode()
        outcome = bridge.run(*bridge.arguments("write-kline-range", SERIES), stdin=stdin)
        assert (outcome.status, outcome.out) == (1, b"")
        assert outcome.err == "fastk_bridge failed: chunk: Input/output error\n"
    assert bridge.call("kline-inventory", **SERIES)["record_count"] == 0
    assert bridge.write_klines(minutes(1))["written_record_count"] == 1


# Streams


class Closed(io.RawIOBase):
    """A pipe whose reader has gone."""

    def writable(self):
        return True

    def write(self, data):
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")


class Dripping(io.BytesIO):
    """A pipe that takes little at a time, and often nothing."""

    def __init__(self):
        super().__init__()
        self.refuses = False

    def write(self, data):
        self.refuses = not self.refuses
        return None if self.refuses else super().write(bytes(data[:7]))


def test_a_closed_pipe_is_no_failure_to_tell(bridge):
    err = io.StringIO()
    assert run(bridge.arguments("kline-inventory", SERIES), io.BytesIO(), Closed(), err) == 141
    assert err.getvalue() == ""


def test_a_slow_pipe_gets_everything(bridge, monkeypatch):
    monkeypatch.setattr(select, "select", lambda *waiting: None)
    bridge.write_klines(minutes(100))
    arguments = bridge.arguments("read-kline-range", {**SERIES, "start_ts": "0", "end_ts": str(2**60)})
    out = Dripping()
    assert run(arguments, io.BytesIO(), out, io.StringIO()) == 0
    assert out.getvalue() == bridge.run(*arguments).out


def test_without_stderr(bridge):
    assert run(["fly-to-the-moon"], io.BytesIO(), io.BytesIO(), None) == 1


def test_stderr_that_knows_few_letters(bridge):
    buffer = io.BytesIO()
    err = io.TextIOWrapper(buffer, encoding="ascii")
    assert run(["flüg"], io.BytesIO(), io.BytesIO(), err) == 1
    assert b"fl\\xfcg" in buffer.getvalue()
