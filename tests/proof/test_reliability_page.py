"""The table of the page on reliability has every story that is tried, by ``python -m tests.support.reliability``."""

import subprocess
import sys
from pathlib import Path

import pytest
from support.operations import OPERATIONS

CHECKOUT = Path(__file__).resolve().parents[2]


def test_every_story_has_its_row():
    page = (CHECKOUT / "docs" / "reliability.md").read_text()
    table = page.split("<!-- crashes -->\n")[1].split("<!-- /crashes -->")[0]
    rows = [line.split("|")[1].strip() for line in table.splitlines()[2:]]
    assert rows == [*(operation.name.replace("_", " ") for operation in OPERATIONS), "**all**"]


@pytest.mark.slow
def test_a_story_that_does_not_exist_is_refused():
    command = [sys.executable, "-m", "tests.support.reliability", "no_such_story"]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "there is no story no_such_story" in done.stderr
