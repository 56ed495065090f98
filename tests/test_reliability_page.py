"""The tables of the page on reliability have the rows and columns of all that is tried, and figures of a whole run."""

from pathlib import Path

import pytest
from support.figures import TABLES

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reliability.md"


def cells(name: str) -> list[list[str]]:
    block = PAGE.read_text().split(f"<!-- {name} -->\n")[1].split(f"<!-- /{name} -->")[0]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in block.splitlines()]


@pytest.mark.parametrize("name", list(TABLES))
def test_a_table_has_what_is_tried(name: str) -> None:
    table, (head, _, *rows) = TABLES[name], cells(name)
    assert head == [table.first, *table.columns]
    assert [row[0] for row in rows] == [*table.rows, *(["**all**"] if table.has_sum else [])]
    assert all(any(row[1:]) for row in rows)
    assert all(any(column) for column in zip(*[row[1:] for row in rows], strict=True))


def test_there_is_no_other_table_of_figures() -> None:
    assert PAGE.read_text().count("<!-- /") == len(TABLES) + 1
