"""The batch: the same commands and answers line by line, over stores that stay open and are always up to date."""

import io
import json

import pytest
from bridge_calls import INDICATOR, SCALAR, SERIES, Bridge, check_document, klines, minutes, scalars, validator
from builders import FEBRUARY, JANUARY, MINUTE, contents, temporary_folder

import fastk
from fastk.bridge import batch as batches
from fastk.bridge.batch import Batch

WINDOW = {"start_ts": 0, "end_ts": 2**60}


class Caller:
    """A batch, and the one-shot bridge over the same root."""

    def __init__(self, bridge):
        self.bridge = bridge
        self.batch = Batch(bridge.root)

    def raw(self, line):
        return self.batch.answer(line if isinstance(line, bytes) else json.dumps(line).encode())

    def ask(self, command, **options):
        """The answer of a command that must succeed."""
        request = {"command": command, **options}
        validator("batch.command").validate(request)
        answer = json.loads(self.raw(request))
        check_document(f"{command}.response", answer)
        validator("batch.answer").validate(answer)
        return answer

    def refuse(self, line):
        """Type and message of a command that must fail and change nothing."""
        before = contents(self.bridge.root)
        answer = json.loads(self.raw(line))
        check_document("error", answer)
        validator("batch.answer").validate(answer)
        assert contents(self.bridge.root) == before
        return answer["error"]["type"], answer["error"]["message"]


@pytest.fixture
def caller(bridge):
    made = Caller(bridge)
    yield made
    made.batch.close()


def every_command():
    """Each command once, in an order in which all succeed."""
    yield "write-kline-range", {**SERIES, "input": klines(minutes(3))}
    yield "read-kline-range", {**SERIES, **WINDOW}
    yield "kline-inventory", SERIES
    yield "write-indicator-range", {**INDICATOR, "input": {"records": scalars({JANUARY: 1})}}
    yield "read-indicator-range", {**INDICATOR, **WINDOW}
    yield "indicator-inventory", INDICATOR
    yield "write-scalar-range", {**SCALAR, "input": {"timeframe_ms": None, "records": scalars({JANUARY: 1})}}
    yield "read-scalar-range", {**SCALAR, **WINDOW}
    yield "query-scalar-predicate", {**SCALAR, **WINDOW, "predicate": "gt", "value": -1, "return_values": True}
    yield "query-scalar-predicate", {**SCALAR, **WINDOW, "predicate": "in-set", "values": [1, -2]}
    yield "scalar-inventory", SCALAR


def as_arguments(options):
    options = {name: value for name, value in options.items() if name != "input"}
    if "values" in options:
        options["values"] = ",".join(map(str, options["values"]))
    return options


@pytest.mark.slow
def test_every_command_answers_as_it_does_alone(caller):
    with temporary_folder() as folder:
        alone = Bridge(str(folder / "store"))
        for command, options in every_command():
            expected = alone.call(command, options.get("input"), **as_arguments(options))
            assert caller.ask(command, **options) == expected


def test_lines_in_and_lines_out(bridge):
    lines = [
        b'{"command":"kline-inventory","symbol":"BTC","timeframe":"1m","id":1}\n',
        b"\n",
        b"  \t \r\n",
        b"oops\r\n",
        b'{"command":"kline-inventory","symbol":"BTC","timeframe":"1m"}',
    ]
    outcome = bridge.run("batch", "--root", bridge.root, stdin=b"".join(lines))
    assert (outcome.status, outcome.err) == (0, "")
    first, second, third = map(json.loads, outcome.out.splitlines())
    assert (first["id"], first["exists"]) == (1, False)
    assert second["error"]["message"].startswith("the line is no JSON")
    assert third == {name: value for name, value in first.items() if name != "id"}


def test_each_answer_is_written_before_the_next_line_is_read(bridge):
    order = []

    class Out(io.BytesIO):
        def write(self, data):
            order.append("out")
            return super().write(data)

    class Lines(io.BytesIO):
        def readline(self, *size):
            order.append("in")
            return super().readline(*size)

    from fastk.bridge.main import run

    stdin = Lines(b"1\n2\n")
    assert run(["batch"], stdin, Out(), io.StringIO()) == 0
    assert order == ["in", "out", "in", "out", "in"]


@pytest.mark.parametrize("end", [b"", b"\n"])
@pytest.mark.parametrize("long", [b"{" * 200, b" " * 200, b'{"id":7}' + b" " * 192], ids=["braces", "blanks", "good"])
def test_a_line_that_is_too_long_is_refused_and_passed_over(bridge, monkeypatch, long, end):
    monkeypatch.setenv("FASTK_BRIDGE_MAX_BYTES", "80")
    monkeypatch.setattr(batches, "_PIECE", 7)
    good = b'{"command":"kline-inventory","symbol":"B","timeframe":"1m","id":1}'
    assert len(good) < 79
    good = good.ljust(79) + b"\n"
    outcome = bridge.run("batch", "--root", bridge.root, stdin=good + long + b"\n" + good + long + end)
    assert outcome.status == 0
    first, second, third, fourth = map(json.loads, outcome.out.splitlines())
    assert (first, second) == (third, fourth)
    assert first["exists"] is False
    message = "the line is longer than 80 bytes; send it in parts"
    assert second == {"error": {"type": "InvalidInput", "message": message}}


def test_nothing_in_nothing_out(bridge):
    outcome = bridge.run("batch")
    assert (outcome.status, outcome.out, outcome.err) == (0, b"", "")


@pytest.mark.parametrize("identity", [7, "seven", "\n", None, True, 1.5, "", 2**70])
def test_an_id_comes_back_first(caller, identity):
    for request in ({"command": "kline-inventory", **SERIES}, {"command": "fly"}, {}):
        answer = json.loads(caller.raw({**request, "id": identity}))
        assert next(iter(answer)) == "id"
        assert answer["id"] == identity


@pytest.mark.parametrize("identity", ["[]", "{}", "1e999", '"\\ud800"'])
def test_an_id_is_a_scalar_that_can_be_repeated(caller, identity):
    kind, message = caller.refuse(b'{"command":"fly","id":%s}' % identity.encode())
    assert kind == "InvalidInput"
    assert message.startswith("id ")


READ = {"command": "read-kline-range", **SERIES, "start_ts": 0, "end_ts": 5}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"[]", "must be a JSON object"),
        (b'"read"', "must be a JSON object"),
        (b'{"command":1,"command":1}', 'the key "command" stands twice'),
        (b'{"command":"kline-inventory","x":NaN}', "NaN"),
        (b"\xff", "not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        ({}, "command is missing"),
        ({"command": None}, "no command 'None'"),
        ({"command": ["x"]}, "no command"),
        ({"command": "batch"}, "no command 'batch'"),
        ({**READ, "limit": 5}, "the key 'limit' is unknown here; known: root, symbol"),
        ({**READ, "start-ts": 5}, "the key 'start-ts' is unknown"),
        ({**READ, "input": {}}, "the key 'input' is unknown"),
        ({**READ, "input_json": "x"}, "the key 'input_json' is unknown"),
        ({"command": "kline-inventory", "symbol": "BTC"}, "timeframe is missing"),
        ({**READ, "start_ts": "5"}, 'start_ts: "5" is no signed 64-bit integer'),
        ({**READ, "start_ts": 5.0}, "start_ts: 5.0 is no"),
        ({**READ, "start_ts": True}, "start_ts: true is no"),
        ({**READ, "start_ts": None}, "start_ts: null is no"),
        ({**READ, "start_ts": 2**63}, "start_ts: 9223372036854775808 is no"),
        ({**READ, "symbol": 5}, "symbol: 5 is no text"),
        ({**READ, "symbol": "\ud800"}, "symbol: "),
        ({**READ, "symbol": None}, "symbol: null is no text"),
        ({**READ, "root": 5}, "root: 5 is no path"),
        ({**READ, "root": ""}, 'root: "" is no path'),
        ({"command": "write-kline-range", **SERIES}, "input is missing"),
        ({"command": "write-kline-range", **SERIES, "input": None}, "the payload must be an object, not null"),
        ({"command": "write-kline-range", **SERIES, "input": "{}"}, "the payload must be an object"),
        ({"command": "write-kline-range", **SERIES, "input": klines([1.5])}, "records[0].ts: 1.5 is no"),
    ],
)
def test_lines_that_are_refused(caller, line, reason):
    kind, message = caller.refuse(line)
    assert kind == "InvalidInput"
    assert reason in message


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"predicate": "in-set", "values": "1,2"}, 'values: "1,2" is no list'),
        ({"predicate": "in-set", "values": [1.0]}, "values: 1.0 is no"),
        ({"predicate": "gt", "value": 1, "return_values": 1}, "return_values: 1 is neither true nor false"),
        ({"predicate": "gt", "value": None}, "value: null is no"),
        ({"predicate": "gt"}, "gt needs value"),
        ({"predicate": 5}, "predicate: 5 is no text"),
    ],
)
def test_predicates_that_are_refused(caller, options, reason):
    line = {"command": "query-scalar-predicate", **SCALAR, **WINDOW, **options}
    assert reason in caller.refuse(line)[1]


def test_kinds_of_failures(caller, monkeypatch):
    assert caller.refuse(READ)[0] == "NotFound"
    monkeypatch.setattr(fastk.FastKStore, "series", lambda *_: 1 / 0)
    assert caller.refuse(READ) == ("Internal", "internal error: ZeroDivisionError: division by zero")


def test_a_root_of_its_own(caller, tmp_path):
    caller.ask("write-kline-range", **SERIES, input=klines(minutes(1)), root=str(tmp_path / "other"))
    assert caller.ask("kline-inventory", **SERIES)["exists"] is False
    assert caller.ask("kline-inventory", **SERIES, root=str(tmp_path / "other"))["exists"] is True


def test_without_any_root():
    answer = json.loads(Batch(None).answer(json.dumps(READ).encode()))
    assert answer["error"]["message"] == "root is missing"


def test_every_command_sees_the_newest_state(caller):
    """Whoever committed it: this batch, or another process (here another store object)."""
    bridge = caller.bridge
    assert caller.ask("kline-inventory", **SERIES)["exists"] is False
    bridge.write_klines(minutes(1))
    assert caller.ask("kline-inventory", **SERIES)["record_count"] == 1
    caller.ask("write-kline-range", **SERIES, input=klines([JANUARY + MINUTE]))
    bridge.write_klines([JANUARY + 2 * MINUTE])
    assert len(caller.ask("read-kline-range", **SERIES, **WINDOW)["records"]) == 3
    kind, _ = caller.refuse({"command": "write-kline-range", **SERIES, "input": klines([JANUARY + 2 * MINUTE])})
    assert kind == "InvalidInput"


def test_a_series_that_is_dropped_and_made_anew(caller):
    bridge = caller.bridge
    bridge.write_klines(minutes(2))
    assert caller.ask("kline-inventory", **SERIES)["record_count"] == 2
    with fastk.open(bridge.root) as other:
        other.drop_series(("BTC", "kline", "1m"))
    assert caller.ask("kline-inventory", **SERIES)["exists"] is False
    bridge.write_klines([FEBRUARY], price_scale=7)
    answer = caller.ask("read-kline-range", **SERIES, **WINDOW)
    assert (answer["price_scale"], len(answer["records"])) == (7, 1)
    with fastk.open(bridge.root) as other:
        other.drop_series(("BTC", "kline", "1m"))
    assert caller.ask("write-kline-range", **SERIES, input=klines(minutes(1)))["registered"] is True


def test_the_trouble_of_another_series_is_not_ones_own(caller):
    bridge = caller.bridge
    caller.ask("write-kline-range", **SERIES, input=klines(minutes(1)))
    other = {**SERIES, "symbol": "ETH"}
    caller.ask("write-kline-range", **other, input=klines(minutes(1)))
    with open(f"{bridge.root}/series/ETH/kline/1m/series.meta", "wb") as file:
        file.write(b"junk")
    with fastk.open(bridge.root) as store:
        store.drop_series(("BTC", "kline", "1m"))
    assert caller.ask("kline-inventory", **SERIES)["exists"] is False
    assert caller.refuse({"command": "kline-inventory", **other})[0] == "InvalidData"


def test_a_store_is_opened_once(caller, monkeypatch):
    opened = []
    real = fastk.FastKStore.open
    monkeypatch.setattr(fastk.FastKStore, "open", lambda root: opened.append(root) or real(root))
    for _ in range(5):
        caller.ask("kline-inventory", **SERIES)
    assert opened == [caller.bridge.root]


def test_a_store_that_was_shut_is_opened_again(caller):
    caller.ask("kline-inventory", **SERIES)
    caller.batch._stores[caller.bridge.root].close()
    assert caller.refuse({"command": "kline-inventory", **SERIES})[0] == "StoreClosed"
    assert caller.ask("kline-inventory", **SERIES)["exists"] is False


def test_few_of_many_stores_stay_open(caller, tmp_path):
    for number in range(20):
        caller.ask("kline-inventory", **SERIES, root=str(tmp_path / str(number)))
    assert len(caller.batch._stores) == batches._MOST_STORES
    assert str(tmp_path / "19") in caller.batch._stores
