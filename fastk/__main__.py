"""`fastk`, also as `python -m fastk`.

What follows `fastk bridge` or `fastk admin` goes to those, beside the rest; `fastk doctor` is `fastk admin doctor`.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    if words[:1] in (["admin"], ["doctor"]):
        from fastk.cli.admin import main as admin

        return admin(words[words[0] == "admin" :])
    if words[:1] != ["bridge"]:
        from fastk.cli.main import main as command_line

        return command_line(words)
    from fastk.bridge import main as bridge

    return bridge.main(words[1:]) if arguments is not None else bridge.script(words[1:])


if __name__ == "__main__":
    sys.exit(main())
