"""``python -m bench``: run every workload and print the table."""

from __future__ import annotations

import os
import sys

from fastk.cli.failures import check_environment
from fastk.errors import FastKError

# The first two make OpenBLAS choose other kernels than numpy's users get, and the baseline would be another; the third
# makes every fresh process compile the package's source again, which an installed package never does.
DISTORTING = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "PYTHONDONTWRITEBYTECODE")


def main() -> None:
    """Start anew without the variables that distort what is measured, if any is set; then run."""
    if any(name in os.environ for name in DISTORTING):
        cleaned = {name: value for name, value in os.environ.items() if name not in DISTORTING}
        os.execve(sys.executable, sys.orig_argv, cleaned)
    try:
        check_environment()
    except FastKError as error:
        print(f"python -m bench: {error}", file=sys.stderr)
        sys.exit(2)
    from bench.run import run

    run()


if __name__ == "__main__":
    main()
