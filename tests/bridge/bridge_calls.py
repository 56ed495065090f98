"""Calls of the bridge within this process, each answer held against its schema and its contract's order of fields."""

import functools
import io
import json
from dataclasses import dataclass

import jsonschema
from builders import JANUARY, MINUTE, contents

from fastk import bridge
from fastk.bridge.main import run

CHECKED_ROWS = 20  # of a long list; the others must have the same fields in the same order
ALL_TIME = {"start_ts": -(2**63), "end_ts": 2**63 - 1}
SERIES = {"symbol": "BTC", "timeframe": "1m"}
SCALAR = {**SERIES, "category": "feature", "name": "rsi"}
INDICATOR = {**SERIES, "indicator_name": "mid"}


@dataclass
class Outcome:
    """What one call left on its streams."""

    status: int
    out: bytes
    err: str


@functools.cache
def validator(name):
    schema = bridge.schema(name)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def cut(value):
    """The value with long lists of equal-shaped objects cut short."""
    if isinstance(value, dict):
        return {name: cut(each) for name, each in value.items()}
    if not isinstance(value, list) or not value or not isinstance(value[0], dict):
        return value
    assert {tuple(each) for each in value} == {tuple(value[0])}
    return [cut(each) for each in value[:CHECKED_ROWS]]


# Fields that the contract does not know: they stand behind the names of the series, in this order.
BEHIND_NAMES = ("time_unit", "value_scale")


def check_order(value, schema, definitions):
    """Fields stand in the order in which the schema names them."""
    while "$ref" in schema:
        schema = definitions[schema["$ref"].rpartition("/")[2]]
    if isinstance(value, list):
        for each in value:
            check_order(each, schema.get("items", {}), definitions)
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        named = [name for name in value if name not in BEHIND_NAMES]
        assert [name for name in properties if name in value] == named
        for name in named:
            check_order(value[name], properties[name], definitions)


def check_document(name, value):
    """The value is what the contract calls by that name."""
    schema = bridge.schema(name)
    validator(name).validate(cut(value))
    check_order(cut(value), schema, schema["$defs"])


class Bridge:
    """The bridge over one root."""

    def __init__(self, root):
        self.root = root

    def run(self, *arguments, stdin=b""):
        """A call with any arguments and bytes."""
        out, err = io.BytesIO(), io.StringIO()
        status = run([str(each) for each in arguments], io.BytesIO(stdin), out, err)
        return Outcome(status, out.getvalue(), err.getvalue())

    def arguments(self, command, options):
        """A command line: `start_ts=5` is `--start-ts 5`, True is a flag, None is left out."""
        words = [command, "--root", self.root]
        for name, value in options.items():
            if value is not None:
                words += [f"--{name.replace('_', '-')}", *([] if value is True else [value])]
        return words

    def call(self, command, payload=None, **options):
        """The answer of a command that must succeed."""
        stdin = b"" if payload is None else json.dumps(payload).encode()
        outcome = self.run(*self.arguments(command, options), stdin=stdin)
        assert (outcome.status, outcome.err) == (0, "")
        assert outcome.out.endswith(b"}\n")
        assert outcome.out.count(b"\n") == 1
        answer = json.loads(outcome.out)
        assert outcome.out.decode() == json.dumps(answer, ensure_ascii=False, separators=(",", ":")) + "\n"
        check_document(f"{command}.response", answer)
        return answer

    def refused(self, *arguments, stdin=b""):
        """The message of a call that must fail: one line on stderr, nothing on stdout, no file changed."""
        before = contents(self.root)
        outcome = self.run(*arguments, stdin=stdin)
        assert (outcome.status, outcome.out) == (1, b"")
        assert outcome.err.startswith("fastk_bridge failed: ")
        assert outcome.err.count("\n") == 1
        assert outcome.err.endswith("\n")
        assert contents(self.root) == before
        return outcome.err.removeprefix("fastk_bridge failed: ").strip()

    def refuse(self, command, payload=None, **options):
        """The same for a well-formed call."""
        stdin = b"" if payload is None else json.dumps(payload).encode()
        return self.refused(*self.arguments(command, options), stdin=stdin)

    def write_klines(self, ts, **changes):
        """Write bars at the times given."""
        return self.call("write-kline-range", klines(ts, **changes), **SERIES)

    def write_scalars(self, points, timeframe_ms=MINUTE):
        """Write values: pairs of ts and value, or a mapping."""
        return self.call("write-scalar-range", {"timeframe_ms": timeframe_ms, "records": scalars(points)}, **SCALAR)


def klines(ts, **changes):
    """A payload of bars at the times given."""
    records = [{"ts": each, "open": 1, "high": 9, "low": 0, "close": 5, "volume": row} for row, each in enumerate(ts)]
    return {"timeframe_ms": MINUTE, "price_scale": 100, "volume_scale": 1, "records": records, **changes}


def scalars(points):
    """Records of a payload of values."""
    return [{"ts": ts, "value": value} for ts, value in dict(points).items()]


def minutes(count, start=JANUARY):
    """Times of bars, one a minute."""
    return [start + MINUTE * each for each in range(count)]
