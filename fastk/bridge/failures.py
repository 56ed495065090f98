"""How a failure is told: one printable line, and in a batch its type."""

from __future__ import annotations

from fastk.errors import FastKError

_LONGEST = 1_000


def type_of(error: Exception) -> str:
    """The name under which callers may tell failures apart."""
    if isinstance(error, FastKError):
        return type(error).__name__
    if isinstance(error, OSError):
        return "Io"
    return "OutOfMemory" if isinstance(error, MemoryError) else "Internal"


def one_line(error: Exception) -> str:
    """What went wrong, without line breaks and control characters. The system's errors: what they concern, then why."""
    text = " ".join(_words(error).split()) or type(error).__name__
    shown = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text[:_LONGEST])
    return shown if len(text) <= _LONGEST else f"{shown}..."


def _words(error: Exception) -> str:
    kind = type_of(error)
    if kind == "Io" and isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    if kind == "OutOfMemory":
        return "out of memory"
    return f"internal error: {type(error).__name__}: {error}" if kind == "Internal" else str(error)
