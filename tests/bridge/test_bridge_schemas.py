"""The schemas say what the commands declare. That answers obey them is checked wherever a test calls the bridge."""

import jsonschema
import pytest
from bridge_calls import SCALAR, SERIES, check_document, klines, minutes, validator

from fastk import bridge
from fastk.bridge.commands import COMMANDS
from fastk.bridge.options import FLAG, INTEGER, INTEGERS, TIME_UNIT

NAMES = [
    *(f"{name}.response" for name in COMMANDS),
    *(f"{name}.payload" for name, command in COMMANDS.items() if command.payload),
    "error",
    "batch.command",
    "batch.answer",
]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_schema_is_one(name):
    schema = bridge.schema(name)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$ref"] == f"#/$defs/{name}"
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_an_unknown_schema_names_those_there_are():
    with pytest.raises(ValueError, match=r"no schema 'nonsense'; it has batch\.answer, batch\.command, error"):
        bridge.schema("nonsense")


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith(".response")])
def test_responses_have_all_their_fields_and_no_others(name):
    schema = bridge.schema(name)["$defs"][name]
    assert schema["required"] == list(schema["properties"])
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith(".payload")])
def test_payloads_are_those_that_the_commands_check(name):
    definitions = bridge.schema(name)["$defs"]
    shape = COMMANDS[name.removesuffix(".payload")].payload
    assert list(definitions[name]["properties"]) == [*shape.required, *shape.optional, "records"]
    assert definitions[name]["required"] == [*shape.required, "records"]
    (record,) = {definitions[name]["properties"]["records"]["items"]["$ref"].rpartition("/")[2]}
    assert tuple(definitions[record]["properties"]) == tuple(definitions[record]["required"]) == shape.columns


@pytest.mark.parametrize(
    "changes", [{"price_scale": 0}, {"timeframe_ms": -1}, {"records": [{"ts": 1}]}, {"records": {}}]
)
def test_payloads_that_are_refused(changes, bridge):
    payload = klines(minutes(1), **changes)
    assert not validator("write-kline-range.payload").is_valid(payload)
    bridge.refuse("write-kline-range", payload, **SERIES)


def sample(option):
    """A value of the option, and one of another type."""
    kinds = {INTEGER: (5, "5"), INTEGERS: ([1, -2], "1"), FLAG: (True, 1), TIME_UNIT: ("us", "s")}
    return kinds.get(option.kind, ("eq" if option.name == "predicate" else "text", 5))


@pytest.mark.parametrize("name", COMMANDS)
def test_batch_commands_are_those_that_are_declared(name):
    command = COMMANDS[name]
    surplus = {"min", "max", "values"}  # what the predicate eq does not take
    options = {option.key: sample(option)[0] for option in command.options if option.key not in surplus}
    request = {"id": 1, "command": name, **options}
    if command.payload:
        request["input"] = dict.fromkeys([*command.payload.required, *command.payload.optional], 1) | {"records": []}
    check = validator("batch.command")
    check.validate(request)
    assert not check.is_valid({**request, "unknown": 1})
    for option in command.options:
        assert not check.is_valid({**request, option.key: sample(option)[1]})
        if option.required and option.key != "root":
            assert not check.is_valid({key: value for key, value in request.items() if key != option.key})


def test_every_predicate_is_known_to_the_schema(bridge):
    from fastk.bridge.queries import _PREDICATES

    for predicate, (_, needed, _) in _PREDICATES.items():
        values = {option: [5] if option == "values" else 5 for option in needed}
        request = {"command": "query-scalar-predicate", **SCALAR, "start_ts": 0, "end_ts": 1, "predicate": predicate}
        validator("batch.command").validate({**request, **values})
        assert not validator("batch.command").is_valid(request)


def test_the_checks_of_answers_can_fail():
    check_document("error", {"error": {"type": "Io", "message": "x"}})
    with pytest.raises(AssertionError):
        check_document("error", {"error": {"message": "x", "type": "Io"}})
    with pytest.raises(jsonschema.ValidationError):
        check_document("error", {"error": {"type": "Io", "message": "x", "more": 1}})
