"""Examples at the end of the help of commands; those of import, export and completion stand with them."""

from __future__ import annotations

import argparse

PROGRAM = """\
  fastk import my-store bars.csv --symbol BTCUSDT --category kline --name 1m --zone UTC
  fastk inspect my-store
  fastk report my-store -o report.html
"""

COMMANDS = {
    "demo": """\
  fastk demo
  fastk demo --csv bars.csv --root my-store
""",
    "warmup": """\
  fastk warmup
""",
    "bench": """\
  fastk bench my-store
  fastk bench my-store --seconds 2 --json
""",
    "inspect": """\
  fastk inspect my-store
  fastk inspect my-store --series 'BTC*/kline/*' --gaps
  fastk inspect my-store --scrub --json
""",
    "report": """\
  fastk report my-store -o report.html
  fastk report my-store -o report.html --series 'BTCUSDT/kline/*' --series 'ETHUSDT/kline/1m'
""",
    "registry": """\
  fastk registry snapshot my-store bars v1 --base versions
  fastk registry list --base versions
  fastk registry verify --base versions
""",
    "migrate": """\
  fastk migrate old-store new-store --dry-run
  fastk migrate old-store new-store
""",
}

ADMIN = """\
  fastk_admin validate --root my-store
  fastk_admin scrub --root my-store --verbose
  fastk_admin repair --root my-store --dry-run
  fastk_admin merge --root my-store --symbol BTCUSDT --timeframe 1m
"""


def show(parser: argparse.ArgumentParser, examples: str) -> None:
    """Let the help of a parser end with examples."""
    parser.epilog = f"examples:\n{examples}"
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
