"""The page on the command line is what the parsers say, and shells complete what the page lists."""

import argparse
import shutil
import subprocess
from pathlib import Path

import pytest

from fastk.bridge import commands as bridge_commands
from fastk.bridge.usage import line_of
from fastk.cli import commands, completion, reference
from fastk.cli.main import main

CHECKOUT = Path(__file__).resolve().parent.parent
PAGE = CHECKOUT / "docs" / "cli.md"


@pytest.fixture(scope="module")
def page():
    return reference.page()


def test_the_page_is_up_to_date(page):
    assert PAGE.read_text() == page, "write it anew: python -m fastk.cli.reference docs/cli.md"


def test_the_page_has_every_command(page):
    def of(parser):
        for command in commands.subcommands(parser).values():
            yield command
            yield from of(command)

    (parser, *_) = commands.programs()
    found = [command.prog for command in of(parser)]
    assert {"fastk demo", "fastk admin scrub", "fastk bridge batch", "fastk registry snapshot"} <= set(found)
    assert [line.lstrip("# ") for line in page.splitlines() if line.startswith("##")] == found


@pytest.mark.parametrize("name", [*bridge_commands.COMMANDS, bridge_commands.BATCH])
def test_the_page_spells_bridge_commands_as_their_own_usage_does(page, name):
    (shown,) = [line for line in page.splitlines() if line.startswith(f"fastk bridge {name} ")]
    usage = line_of(name).replace("predicate P ", "predicate TEXT ").split()
    assert sorted(shown.split()) == sorted(["fastk", "bridge", *usage])


def test_arguments_are_shown_as_they_are_given():
    parser = argparse.ArgumentParser("brew", description="make coffee <hot>", epilog="  brew --cup 2")
    parser.add_argument("--cup", "-c", type=int, default=1, help="cups|mugs (default: %(default)s)")
    parser.add_argument("--milk", choices=["oat", "none"], required=True)
    parser.add_argument("--secret", help=argparse.SUPPRESS)
    parser.add_argument("beans", nargs="+", metavar="BEAN", help="*any*")
    parser.add_argument("note", nargs="?")
    assert reference._section(parser, 2, "")[3:] == [
        "brew --milk {oat,none} [--cup CUP] BEAN ... [NOTE]",
        "```",
        "",
        "Make coffee \\<hot>.",
        "",
        "| argument | meaning |",
        "|---|---|",
        "| `--cup, -c CUP` | cups\\|mugs (default: 1) |",
        "| `BEAN` | \\*any\\* |",
        "",
        "```text",
        "  brew --cup 2",
        "```",
        "",
    ]


# Completion


def shell(name, program, *arguments):
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    command = [name, *arguments, program]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    """The script for each shell, as a file."""
    pytest.importorskip("shtab")
    folder = tmp_path_factory.mktemp("completion")
    for name in completion.SHELLS:
        (folder / name).write_text(completion.script(name))
    return folder


BASH = """
source {script}
COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
$(complete -p ${{COMP_WORDS[0]}} | sed 's/.*-F \\([^ ]*\\) .*/\\1/') ${{COMP_WORDS[0]}} "${{COMP_WORDS[-1]}}"
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("fastk ''", {"demo", "warmup", "admin", "bridge", "registry", "completion"}),
        ("fastk admin sc", {"scrub"}),
        ("fastk_admin scrub --", {"--root", "--json", "--verbose", "--dry-run"}),
        ("fastk bridge read", {"read-kline-range", "read-indicator-range", "read-scalar-range"}),
        ("fastk_bridge read-kline-range --s", {"--symbol", "--start-ts"}),
        ("fastk completion ''", {"bash", "zsh", "fish"}),
        (f"fastk demo --csv {CHECKOUT}/pyproj", {f"{CHECKOUT}/pyproject.toml"}),
    ],
)
def test_bash_completes(scripts, words, offered):
    assert offered <= set(shell("bash", BASH.format(script=scripts / "bash", words=words), "-c"))


def test_fish_completes(scripts):
    offered = shell("fish", f"source {scripts / 'fish'}; complete -C 'fastk bridge read'", "-c")
    assert "read-kline-range" in {line.split("\t")[0] for line in offered}


ZSH = """
autoload -U compinit; compinit -D -u
eval "$(cat {script})"
print -l $_comps[fastk] $_comps[fastk_admin] $_comps[fastk_bridge]
"""


@pytest.mark.slow
def test_zsh_takes_the_script(scripts):
    assert len(shell("zsh", ZSH.format(script=scripts / "zsh"), "-f", "-c")) == 3


def test_completion_prints_the_script(scripts, capsys):
    assert main(["completion", "bash"]) == 0
    assert capsys.readouterr().out == (scripts / "bash").read_text() + "\n"


def test_completion_names_what_it_lacks(monkeypatch, capsys):
    monkeypatch.setattr(completion, "NEEDS", "no_such_library")
    assert main(["completion", "bash"]) == 1
    expected = "fastk: shell completion needs no_such_library: pip install 'fastk-engine[cli]'\n"
    assert capsys.readouterr().err == expected
