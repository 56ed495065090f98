"""What the commands share when something goes wrong: one line on stderr, and how a process ends."""

from __future__ import annotations

import importlib
import io
import os
import sys

from fastk.errors import FastKError

INTERRUPTED = 130  # as shells report SIGINT
PIPE_CLOSED = 141  # and SIGPIPE


def check_environment() -> None:
    """A wrong FASTK_KERNELS shows at import, before there is an error of the library's own."""
    try:
        importlib.import_module("fastk.kernels")
    except ValueError as error:
        raise FastKError(str(error)) from None


def one_line(error: Exception) -> str:
    """The message without line breaks and control characters. The system's errors: what they concern, then why."""
    text = str(error)
    if isinstance(error, OSError) and not isinstance(error, FastKError) and error.filename is not None:
        text = f"{error.filename}: {error.strerror}"
    return printable(" ".join(text.split()) or type(error).__name__)


def printable(text: str) -> str:
    """The text with everything escaped that a terminal would not show as a letter."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def prepare_process() -> None:
    """Make the streams such that anything can be written to them, and ``import numpy`` quick.

    Those that are closed lead nowhere: a file of a store could get the number of one, and what libraries say into it.
    Names of symbols and files may hold letters that the terminal's encoding lacks: they are shown escaped.
    """
    # No command multiplies matrices, for which numpy starts a thread a core: up to 70 of the 185 ms of its import.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free, which is this one
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115 - it stays
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def discard_output() -> None:
    """Whoever read the output has gone; without this, the interpreter complains at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
