"""The documentation runs.

Every `python` block of README.md and docs/ is executed: the blocks of one file in order, in one namespace, in a new
folder. An `output` block right after it must be what it prints, where `...` stands for anything. A block that cannot
run is marked ```` ```python no-run: the reason ````. In `bash` blocks, each command of `fastk`, `fastk_bridge` and
`fastk_admin` must parse and each `make` target must exist; they are run only where they say so, as
```` ```bash run ````. `javascript` blocks are parts of programs in docs/examples, which have their own tests.
"""

import argparse
import contextlib
import doctest
import io
import itertools
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from markdown_it import MarkdownIt
from support import golden

from fastk import InvalidInput
from fastk.bridge import commands as bridge_commands
from fastk.bridge import options as bridge_options
from fastk.cli import admin
from fastk.cli.main import build_parser

CHECKOUT = Path(__file__).resolve().parent.parent
PAGES = [CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").rglob("*.md"))]
# Pages whose blocks start many processes, or take long.
LONG = ("admin", "bridge", "format", "import-export", "original", "quickstart", "research")
SLOW = {f"docs/{name}.md" for name in LONG}
NEARLY_PYTHON = {"py", "python3", "pycon", "Python"}
SHELLS = {"bash", "sh", "shell", "console"}
NO_RUN = "no-run:"
RUN = "run"
EXAMPLES = CHECKOUT / "docs" / "examples"


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    path: Path
    line: int  # of the first line inside the fence
    language: str
    options: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.path.relative_to(CHECKOUT) if CHECKOUT in self.path.parents else self.path}:{self.line}"


def blocks_of(path: Path) -> list[Block]:
    tokens = MarkdownIt().parse(path.read_text(encoding="utf-8"))
    return [_block(path, token) for token in tokens if token.type == "fence"]


def _block(path, token) -> Block:
    language, _, options = token.info.strip().partition(" ")
    return Block(path, token.map[0] + 2, language, options.strip(), token.content)


def runs(block: Block) -> bool:
    """Whether the block is Python to be executed. Marks without a reason and misspelt languages are errors."""
    assert block.language not in NEARLY_PYTHON, f"{block.place}: write ```python, or the block is not tested"
    if block.language != "python":
        return False
    reasoned = block.options.startswith(NO_RUN) and block.options != NO_RUN
    assert reasoned or not block.options, f"{block.place}: write ```python {NO_RUN} the reason"
    return not block.options


def run_page(path: Path) -> None:
    """Executes the Python blocks of a page in the current folder and compares what they print."""
    blocks = blocks_of(path)
    namespace = {"__name__": "__main__"}
    for block, following in itertools.zip_longest(blocks, blocks[1:]):
        if runs(block):
            printed = execute(block, namespace)
        elif block.language in SHELLS and block.options == RUN:
            printed = execute_shell(block)
        else:
            continue
        if following is not None and following.language == "output":
            compare(following, printed)


def execute(block: Block, namespace: dict) -> str:
    """What the block prints. Blank lines before it make tracebacks name the line of the page."""
    code = compile("\n" * (block.line - 1) + block.text, str(block.path), "exec")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, namespace)
    return printed.getvalue()


def execute_shell(block: Block) -> str:
    """What the commands print, on both streams; a command that fails fails the block."""
    strict = ["bash", "-euo", "pipefail", "-c", block.text]
    done = subprocess.run(
        strict, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert done.returncode == 0, f"{block.place}: exit status {done.returncode}\n{done.stdout}"
    return done.stdout


def compare(expected: Block, printed: str) -> None:
    same = doctest.OutputChecker().check_output(expected.text, printed, doctest.ELLIPSIS)
    assert same, f"{expected.place}: the page shows\n{expected.text}\nand the block prints\n{printed}"


def commands_of(block: Block) -> Iterator[list[str]]:
    """The commands of a shell block as words: prompts, comments and NAME=value before the command left out."""
    for line in block.text.replace("\\\n", " ").splitlines():
        parts = shlex.shlex(line.strip().removeprefix("$ "), posix=True, punctuation_chars="&|;")
        parts.whitespace_split = True
        command: list[str] = []
        for word in [*parts, ";"]:
            if set(word) <= set("&|;"):
                yield from [command] if command else []
                command = []
            elif command or not _is_assignment(word):
                command.append(word)


def _is_assignment(word: str) -> bool:
    name, equals, _ = word.partition("=")
    return bool(equals) and name.isidentifier()


def check_command(words: list[str]) -> str | None:
    """Why a command of this project cannot be right, or None. Other programs are not looked at."""
    if Path(words[0]).name == "make":
        return check_make(words[1:])
    if Path(words[0]).name == "fastk":
        return check_fastk(words[1:])
    if Path(words[0]).name == "fastk_bridge":
        return check_bridge(words[1:])
    if Path(words[0]).name == "fastk_admin":
        return check_parse(admin.build_parser(), words[1:])
    if words[1:3] == ["-m", "fastk"]:
        return check_fastk(words[3:])
    return None


def check_make(arguments: list[str]) -> str | None:
    command = ["make", "--dry-run", *arguments]
    dry = subprocess.run(command, cwd=CHECKOUT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    return dry.stderr if dry.returncode else None


def check_bridge(arguments: list[str]) -> str | None:
    if not arguments or arguments[-1] in ("--help", "--version"):
        return None
    try:
        bridge_options.from_arguments(bridge_commands.arguments_of(arguments[0]), arguments[1:])
    except InvalidInput as refused:
        return str(refused)
    return None


def check_fastk(arguments: list[str]) -> str | None:
    if arguments[:1] == ["bridge"]:
        return check_bridge(arguments[1:])
    if arguments[:1] == ["admin"]:
        return check_parse(admin.build_parser(), arguments[1:])
    return check_parse(build_parser(), arguments)


def check_parse(parser: argparse.ArgumentParser, arguments: list[str]) -> str | None:
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            parser.parse_args(arguments)
        except SystemExit as stopped:
            return said.getvalue() if stopped.code else None
    return None


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A new current folder, from which `fastk`, `fastk_bridge` and `fastk_admin` are found."""
    folder, programs = tmp_path / "folder", tmp_path / "programs"
    folder.mkdir()
    offer_programs(programs)
    monkeypatch.setenv("PATH", str(programs), prepend=os.pathsep)
    monkeypatch.chdir(folder)
    return folder


def offer_programs(programs: Path) -> None:
    """Puts the programs of this checkout, installed or not, into a new folder for PATH."""
    programs.mkdir()
    for name, arguments in (("fastk", ""), ("fastk_bridge", "bridge"), ("fastk_admin", "admin")):
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m fastk {arguments} "$@"\n')
        program.chmod(0o755)


def page_of(page: Path) -> object:
    name = page.relative_to(CHECKOUT).as_posix()
    return pytest.param(page, id=name, marks=[pytest.mark.slow] if name in SLOW else [])


@pytest.mark.parametrize("page", list(map(page_of, PAGES)))
def test_python_blocks_run(page, folder):
    run_page(page)


@pytest.mark.parametrize("page", PAGES, ids=[page.relative_to(CHECKOUT).as_posix() for page in PAGES])
def test_commands_exist(page):
    faults = [
        f"{block.place}: {shlex.join(words)}: {fault}"
        for block in blocks_of(page)
        if block.language in SHELLS and block.options != RUN
        for words in commands_of(block)
        if (fault := check_command(words))
    ]
    assert not faults, "\n" + "\n".join(faults)


@pytest.mark.slow
def test_javascript_is_part_of_an_example():
    programs = [path.read_text(encoding="utf-8") for path in EXAMPLES.glob("*.mjs")]
    for block in itertools.chain.from_iterable(map(blocks_of, PAGES)):
        assert block.language not in ("js", "typescript", "ts"), f"{block.place}: write ```javascript"
        if block.language == "javascript":
            assert any(block.text in program for program in programs), f"{block.place}: no program has these lines"


FORMAT = CHECKOUT / "docs" / "format.md"


@pytest.mark.parametrize("name", golden.KEYS)
def test_the_second_reader_reads_the_golden_stores(name, folder):
    """The reader that docs/format.md shows, on files which no code of today wrote."""
    for path, data in golden.golden_files(name).items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(data)
    reader = {"__name__": "__main__"}
    execute(next(block for block in blocks_of(FORMAT) if runs(block)), reader)

    (manifest,) = Path("series").rglob("series.meta")
    settings, _, items, _ = reader["read_manifest"](manifest.parent)
    pieces = [reader["read_chunk"](manifest.parent, settings, item) for item in items]
    puts = golden.batches(name)
    for column in puts[0]:
        expected = np.concatenate([put[column] for put in puts])
        assert np.concatenate([piece[column] for piece in pieces]).tobytes() == expected.tobytes()

    for item, piece in zip(items, pieces, strict=True):
        sidecars = reader["check_sidecars"](manifest.parent, settings, item, piece)
        assert [column for kind, column in sidecars if kind == "zone map"] == settings["zone_maps"]
        assert [column for kind, column in sidecars if kind == "value index"] == settings["value_indexes"]
    assert bool(settings["zone_maps"]) == (name in ("scalar", "tables", "quirky"))


# The checker itself, on pages made for it.


@pytest.fixture
def page(folder):
    """Writes a page and gives its path. `~~~` stands for three backticks."""

    def write(text):
        path = folder / "page.md"
        path.write_text(text.replace("~~~", "```"))
        return path

    return write


def test_blocks_share_a_namespace_and_a_folder(page, folder):
    run_page(page("~~~python\nfrom pathlib import Path\n~~~\ntext\n~~~python\nPath('made').touch()\n~~~\n"))
    assert (folder / "made").exists()


def test_a_page_without_blocks(page):
    run_page(page("# Title\n"))


def test_outputs_are_compared(page):
    run_page(page("~~~python\nprint('took 3 ms')\n~~~\nIt prints:\n~~~output\ntook ... ms\n~~~\n"))
    with pytest.raises(AssertionError, match=r"page.md:6: the page shows\s+4\s+and the block prints\s+3"):
        run_page(page("~~~python\nprint(3)\n~~~\n\n~~~output\n4\n~~~\n"))


def test_failures_name_the_line_of_the_page(page):
    with pytest.raises(ZeroDivisionError) as failure:
        run_page(page("# Title\n\n- item\n\n  ~~~python\n  a = 0\n  1 / a\n  ~~~\n"))
    last = failure.traceback[-1]
    assert (Path(last.path).name, last.lineno + 1) == ("page.md", 7)


def test_a_block_that_does_not_run_gives_a_reason(page):
    run_page(page("~~~python no-run: needs a GPU\n1 / 0\n~~~\n"))
    for mark in ("no-run", "no-run:", "skip"):
        with pytest.raises(AssertionError, match="the reason"):
            run_page(page(f"~~~python {mark}\n1 / 0\n~~~\n"))


def test_shell_blocks_run_where_they_say_so(page, folder):
    run_page(
        page("~~~bash run\necho 1 > made\n~~~\n~~~bash\nrm made\n~~~\n~~~bash run\ncat made\n~~~\n~~~output\n1\n~~~\n")
    )
    assert (folder / "made").exists()
    with pytest.raises(AssertionError, match=r"page.md:2: exit status 3\n *before"):
        run_page(page("~~~bash run\necho before\n(exit 3)\n~~~\n"))


def test_misspelt_languages_are_found(page):
    with pytest.raises(AssertionError, match="write ```python"):
        run_page(page("~~~py\n1 / 0\n~~~\n"))


@pytest.mark.parametrize(
    ("text", "commands"),
    [
        ("$ make test  # all of it", [["make", "test"]]),
        ("PYTHON=python3.12 make test", [["make", "test"]]),
        (
            "cd fastk && make demo CSV='my bars.csv' | less",
            [["cd", "fastk"], ["make", "demo", "CSV=my bars.csv"], ["less"]],
        ),
        ("fastk demo \\\n  --keep; fastk warmup", [["fastk", "demo", "--keep"], ["fastk", "warmup"]]),
        ("# only a comment\n\n", []),
    ],
)
def test_commands_are_found(text, commands):
    assert list(commands_of(Block(CHECKOUT / "page.md", 1, "bash", "", text))) == commands


@pytest.mark.parametrize(
    ("command", "right"),
    [
        ("make test", True),
        ("make demo CSV=x.csv", True),
        ("make coffee", False),
        ("fastk demo --csv x.csv", True),
        (".venv/bin/fastk --version", True),
        ("fastk brew", False),
        ("fastk demo --sugar", False),
        ("fastk_bridge", True),
        ("fastk_bridge kline-inventory --root s --symbol A --timeframe 1m", True),
        ("fastk bridge kline-inventory --root s --symbol A --timeframe 1m", True),
        ("fastk_bridge kline-inventory --root s --symbol A", False),
        ("fastk bridge brew", False),
        ("fastk_admin scrub --root s --verbose", True),
        ("fastk admin repair --root s --dry-run", True),
        ("fastk_admin scrub", False),
        ("fastk admin brew --root s", False),
        ("python -m fastk warmup", True),
        ("python -m fastk brew", False),
        ("pip install whatever", True),
    ],
)
def test_commands_are_checked(command, right):
    assert (check_command(shlex.split(command)) is None) == right
