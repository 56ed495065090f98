"""The entry of ``fastk_bridge``: streams, exit statuses, and one way to fail."""

from __future__ import annotations

import gc
import io
import os
import sys
from typing import TYPE_CHECKING, Any, NoReturn

from fastk.bridge import CONTRACT_VERSION
from fastk.bridge.commands import BATCH, INPUT, arguments_of, command_named
from fastk.bridge.failures import one_line
from fastk.bridge.options import from_arguments, paired
from fastk.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import BinaryIO, TextIO

INTERRUPTED = 130  # as shells report SIGINT
PIPE_CLOSED = 141  # and SIGPIPE
_HELP = ("-h", "--help")


def script(arguments: Sequence[str] | None = None) -> NoReturn:
    """The console script: a process for one command, or for a batch."""
    words = sys.argv[1:] if arguments is None else arguments
    if words[:1] != [BATCH]:
        gc.disable()  # one command leaves no garbage that matters, and looking for it takes 8 of 130 ms
    status = main(words)
    # Nothing is left to flush, and taking numpy down in good order costs 12 of 105 ms.
    os._exit(status)


def main(arguments: Sequence[str]) -> int:
    """Run one command with the streams of this process, and return its exit status."""
    # Loading compiled kernels takes longer than any query of one process saves; and no command multiplies matrices,
    # for which numpy starts a thread a core as it is imported: up to 70 of its 185 ms.
    os.environ.setdefault("FASTK_KERNELS", "never")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    stdin = None if sys.stdin is None else sys.stdin.buffer
    try:
        # Unbuffered, so that nothing waits in a buffer when a write fails. Opened first of all: were it closed, a file
        # of the store could get its number.
        stdout = io.FileIO(1, "wb", closefd=False)
    except OSError as error:
        return _failed(error, sys.stderr)
    return run(arguments, stdin, stdout, sys.stderr)


def run(arguments: Sequence[str], stdin: BinaryIO | None, stdout: Any, stderr: TextIO | None) -> int:
    """Run one command with the given streams, and return its exit status."""
    try:
        return _run(list(arguments), stdin, stdout, stderr)
    except KeyboardInterrupt:
        _say("fastk_bridge failed: interrupted\n", stderr)
        return INTERRUPTED
    except BrokenPipeError:
        return PIPE_CLOSED
    except Exception as error:
        return _failed(error, stderr)


def _run(arguments: list[str], stdin: BinaryIO | None, stdout: Any, stderr: TextIO | None) -> int:
    name, rest = (arguments[0], arguments[1:]) if arguments else ("--help", [])
    if name in (*_HELP, "help"):
        from fastk.bridge.usage import usage

        return _say(usage(), stderr)
    if name == "--version":
        import fastk

        return _write(stdout, f"fastk_bridge {fastk.__version__}, contract {CONTRACT_VERSION}\n".encode())
    declared = arguments_of(name)
    if any(word in _HELP for word, _ in paired(declared, rest)):
        from fastk.bridge.usage import usage_of

        return _say(usage_of(name), stderr)
    options = from_arguments(declared, rest)
    return _batch(options["root"], stdin, stdout) if name == BATCH else _command(name, dict(options), stdin, stdout)


def _command(name: str, options: dict[str, Any], stdin: BinaryIO | None, stdout: Any) -> int:
    from fastk.bridge.stored import open_store

    command = command_named(name)
    document = None
    if command.payload is not None:
        from fastk.bridge import strict_json

        limits = strict_json.limits_of_environment()
        payload = _payload(options[INPUT.key], stdin, limits.most_bytes + 1)
        document = strict_json.parse(payload, "the payload", limits)
    with open_store(options["root"]) as store:
        answer = command.execute(store, options, document)
    for piece in answer.pieces():
        _write(stdout, piece)
    return _write(stdout, b"\n")


def _payload(path: str | None, stdin: BinaryIO | None, most_bytes: int) -> bytes:
    if path is not None:
        with open(path, "rb") as file:
            return file.read(most_bytes)
    if stdin is None:
        raise InvalidInput("there is no payload: stdin is closed, and --input-json names no file")
    return stdin.read(most_bytes)


def _batch(root: str | None, stdin: BinaryIO | None, stdout: Any) -> int:
    from fastk.bridge.batch import Batch
    from fastk.bridge.strict_json import limits_of_environment

    batch = Batch(root, limits_of_environment())
    try:
        for answer in batch.answers(stdin or io.BytesIO()):
            _write(stdout, answer + b"\n")
    finally:
        batch.close()
    return 0


def _write(stdout: Any, text: bytes | bytearray) -> int:
    """Write all of it, also to a pipe that takes a part or would rather not wait; the exit status of success."""
    rest = memoryview(text)
    while rest:
        written = stdout.write(rest)
        if written is None:
            import select  # here, because most outputs are taken at once

            select.select((), (stdout,), ())
        rest = rest[written or 0 :]
    return 0


def _failed(error: Exception, stderr: TextIO | None) -> int:
    _say(f"fastk_bridge failed: {one_line(error)}\n", stderr)
    return 1


def _say(text: str, stderr: TextIO | None) -> int:
    """Tell it on stderr, as far as that is there and knows the letters."""
    if stderr is not None:
        encoding = getattr(stderr, "encoding", None) or "utf-8"
        stderr.write(text.encode(encoding, "backslashreplace").decode(encoding))
        stderr.flush()
    return 0
