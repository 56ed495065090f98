"""The programs in docs/examples run as a reader would run them, in an empty folder, and print what they promise."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from test_docs import EXAMPLES, offer_programs

LONGEST = 80
STARTERS = {".py": sys.executable, ".sh": "sh", ".mjs": "node"}
PROGRAMS = sorted(path for path in EXAMPLES.iterdir() if path.suffix in STARTERS)
SLOW = {path.name for path in PROGRAMS} - {"indicator_outside.py"}
PRINTED = {
    "indicator_outside.py": ["86,386 values of rsi_14", "above 85: ", "by ValueIndex"],
    "prepared_store.py": [
        "prepared: 4 series",
        "trend is 1 in 819 hours",
        "1,833 rows x 2 features",
        "the bridge finds ",
    ],
    "backtest_view.py": [
        "attached: 2 series, 1 with scalar capabilities",
        "health: 2 clean, 0 with issues, 0 orphans",
        "moved: 2 of 2 series",
    ],
    "bridge_indicator.sh": ['"written_record_count":744', '"written_record_count":721', '"predicate":{"Gt":4204600}'],
    "bridge_once.mjs": [
        "written: 3, registered: true",
        "first close: 42000",
        "refused: fastk_bridge failed: there is no",
    ],
    "bridge_batch.mjs": ["signal -1: 550", "signal 0: 3", "signal 1: 447", "NotFound: there is no series ETHUSDT"],
}


def start(program: Path, tmp_path: Path) -> str:
    """What the program prints, started in an empty folder."""
    starter = STARTERS[program.suffix]
    if shutil.which(starter) is None:
        pytest.skip(f"{program.name} needs {starter}, which is not installed here")
    folder, programs = tmp_path / "folder", tmp_path / "programs"
    folder.mkdir()
    offer_programs(programs)
    path = os.pathsep.join([str(programs), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "FASTK_KERNELS": "never"}  # loading them would be half of the time
    done = subprocess.run(
        [starter, str(program)], cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert any(folder.rglob("*.chunk"))
    return done.stdout


@pytest.mark.parametrize(
    "program",
    [
        pytest.param(program, id=program.name, marks=[pytest.mark.slow] if program.name in SLOW else [])
        for program in PROGRAMS
    ],
)
def test_examples_run(program, tmp_path):
    printed = start(program, tmp_path)
    assert [words for words in PRINTED[program.name] if words not in printed] == []


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_examples_are_short_and_say_what_they_show(program):
    text = program.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LONGEST
    assert text.removeprefix("#!/bin/sh\n").startswith({".py": '"""', ".sh": "# ", ".mjs": "// "}[program.suffix])


def test_the_list_of_examples_is_complete():
    listed = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert [program.name for program in PROGRAMS if f"({program.name})" not in listed] == []
