"""Rows of several files of which one is damaged: what needs it is kept back, everything else is handed out."""

from pathlib import Path

import numpy as np
import pytest
from support.operations import JANUARY, KEY, bars, register

import fastk


def zero_out(root: Path, column: np.ndarray) -> None:
    """Damage the one file that holds these values."""
    (file,) = [each for each in root.rglob("*.chunk") if column.tobytes() in each.read_bytes()]
    file.write_bytes(file.read_bytes().replace(column.tobytes(), bytes(column.nbytes)))


@pytest.mark.parametrize("month", [1, 2, 3, 4])
def test_damage_in_one_chunk_of_several_keeps_the_joined_column_back(tmp_path: Path, month: int) -> None:
    with fastk.FastKStore.open(tmp_path) as store:
        register(store).put(bars(1, 2, 3, 4))
    zero_out(tmp_path, bars(month)["close"])
    with fastk.FastKStore.open(tmp_path, "r") as store:
        rows = store.series(KEY).range(int(JANUARY["ts"][1]), int(bars(4)["ts"][1]))
        for _ in range(2):
            with pytest.raises(fastk.InvalidData, match="column 'close' is damaged"):
                rows.close  # noqa: B018
        np.testing.assert_array_equal(rows.open, bars(1, 2, 3, 4)["open"][1:-1])


@pytest.mark.parametrize("max_maps", [16, 2], ids=["files stay mapped", "files take turns"])
def test_a_row_of_many_files_and_what_is_shown_of_them_need_no_other_file(tmp_path, max_maps) -> None:
    with fastk.FastKStore.open(tmp_path) as store:
        register(store).put(bars(*range(1, 7)))
    expected, march = bars(*range(1, 7)), bars(3)["ts"]
    zero_out(tmp_path, march)
    with fastk.FastKStore.open(tmp_path, "r", max_maps=max_maps) as store:
        rows = store.series(KEY).range()
        for row, ts in enumerate(expected["ts"].tolist()):
            if ts in march:
                with pytest.raises(fastk.InvalidData, match="column 'ts' is damaged"):
                    rows[row]
            else:
                assert rows[row] == rows[row - len(rows)]
                assert list(rows[row]) == [expected[name][row] for name in rows.schema.names]
        assert "2024-01" in repr(rows)
        assert "2024-06" in repr(rows)
        assert "<table" in rows._repr_html_()


@pytest.mark.parametrize("column", ["ts", "close"])
def test_ranges_in_a_batch_need_no_file_that_gives_them_no_row_and_no_ts_of_one_that_gives_all(
    tmp_path: Path, column: str
) -> None:
    with fastk.FastKStore.open(tmp_path) as store:
        register(store).put(bars(1, 2, 3, 4))
    zero_out(tmp_path, bars(3)[column])
    february, march, april = (bars(month)["ts"].tolist() for month in (2, 3, 4))
    whole_march, beside_march = [[february[1], april[1]]], [february[1:], [march[0] + 1, march[1] - 1]]
    starts, ends = zip(*(whole_march if column == "ts" else beside_march), strict=True)
    expected = bars(1, 2, 3, 4)["close"][4:11] if column == "ts" else bars(2)["close"][1:]
    with fastk.FastKStore.open(tmp_path, "r") as store:
        np.testing.assert_array_equal(store.series(KEY).ranges(starts, ends).rows.close, expected)
