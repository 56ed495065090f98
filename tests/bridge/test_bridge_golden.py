"""139 commands in a row get the original's answers, field by field in its order; what it refused is refused."""

import gzip
import json

import pytest
from bridge_calls import check_document

# Which index serves a query is the planner's own affair.
KEPT_STATS = ("chunks_considered", "rows_matched")


@pytest.fixture(scope="module")
def recorded(shared):
    path = shared / "golden" / "bridge" / "answers.jsonl.gz"
    if not path.is_file():
        pytest.skip(f"the recorded answers are needed, and {path} does not exist")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def without_plan(answer):
    if "stats" not in answer:
        return answer
    return {**answer, "stats": {name: answer["stats"][name] for name in KEPT_STATS}}


def check_success(outcome, step, where):
    assert (outcome.status, outcome.err) == (0, ""), where
    answer = json.loads(outcome.out)
    check_document(f"{step['args'][0]}.response", answer)
    # As text, because dicts do not mind the order of their fields.
    assert json.dumps(without_plan(answer)) == json.dumps(step["body"]), where


def test_every_answer_of_the_original(recorded, bridge):
    for number, step in enumerate(recorded):
        where = f"command {number}: {' '.join(step['args'])}"
        arguments = [word.replace("{root}", bridge.root) for word in step["args"]]
        outcome = bridge.run(*arguments, stdin=step["stdin"].encode())
        if step["body"] is not None:
            check_success(outcome, step, where)
        else:
            assert (outcome.status, outcome.out) == (step["exit"], b""), where
            assert outcome.err.startswith("fastk_bridge failed: " if step["exit"] else "usage: "), where


def test_nothing_that_is_refused_changes_a_file(recorded, bridge):
    for step in recorded:
        arguments = [word.replace("{root}", bridge.root) for word in step["args"]]
        if step["exit"]:
            bridge.refused(*arguments, stdin=step["stdin"].encode())
        elif arguments and arguments[0].startswith("write-"):
            bridge.run(*arguments, stdin=step["stdin"].encode())
