"""What is wrong with a file is told in one line that names the file and the line, and nothing is written."""

import gzip
import os
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from file_calls import BARS, FIRST, HEADER, MINUTE, bar_line, bar_text, refused, take, write

import fastk


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "files").mkdir()
    return tmp_path / "files"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (f"{FIRST},1,1,1,1", "5 cells where 6 are expected"),
        (f"{FIRST},1,1,1,1,1,1", "7 cells where 6 are expected"),
        (f"{FIRST},1,1,1,abc,1", "column 'close': 'abc': it is no decimal number"),
        (f"{FIRST},1,1,1,,1", "column 'close': '': the cell is empty"),
        (f"{FIRST},1,1,1,NaN,1", "column 'close': 'NaN': it is no decimal number"),
        (f"{FIRST},1,1,1,inf,1", "column 'close': 'inf': it is no decimal number"),
        (f"{FIRST},1,1,1,0x10,1", "column 'close': '0x10': it is no decimal number"),
        (f"{FIRST},1,1,1,1_000,1", "column 'close': '1_000': it is no decimal number"),
        (f"{FIRST},1,1,1,1e30,1", "column 'close': '1e30': the number does not fit 64 bits"),
        (f"{FIRST},1,1,1,1e130,1", "column 'close': '1e130': the number does not fit 64 bits"),
        (f"{FIRST},1,1,1,1e999999,1", "column 'close': '1e999999': it is no decimal number"),
        (f"{FIRST},1,1,1,99999999999999999999,1", "column 'close': '99999999999999999999'"),
        (f"{FIRST},1,1,1,1,0.00000000000000000001", "column 'volume': '0.00000000000000000001': it has more decimals"),
        (",1,1,1,1,1", "column 'ts': '': the cell is empty"),
        ("soon,1,1,1,1,1", "column 'ts': 'soon'"),
    ],
)
def test_a_bad_line_is_named(store, folder, line, problem):
    path = write(folder, "\n".join([HEADER, bar_line(0), "", bar_line(1), line, bar_line(2)]))
    message = refused(store, path)
    assert message.startswith(f"{path}, line 5: {problem}"), message


def test_a_quote_left_open_is_named(store, folder):
    message = refused(store, write(folder, f'{HEADER}\n{bar_line(0)}\n{FIRST},"1,1,1,1,1\n{bar_line(2)}\n'))
    assert "bars.csv, line 3" in message


def test_lines_within_quotes_are_counted(store, folder):
    schema = fastk.Schema("note", [("ts", "i8"), ("note", "S8"), ("size", "i4")])
    path = write(folder, f'ts,note,size\n{FIRST},"a\nb",1\n{FIRST + 1},c,x\n')
    message = refused(store, path, ("X", "own", "notes"), schema=schema)
    assert message.startswith(f"{path}, line 4: column 'size': 'x'")


def test_text_that_is_no_utf8(store, folder):
    schema = fastk.Schema("note", [("ts", "i8"), ("note", "S8")])
    path = write(folder, b"ts,note\n%d,fine\n%d,gr\xfc\xdf\n" % (FIRST, FIRST + 1))
    message = refused(store, path, ("X", "own", "notes"), schema=schema)
    assert message.startswith(f"{path}, line 3: column 'note'")
    assert "not UTF-8" in message
    path = write(folder, b"ts,open,high,low,close,volume\n%d,1,1,1,1,1\n%d,1,1,1,1\xff,1\n" % (FIRST, FIRST + 1))
    assert refused(store, path).startswith(f"{path}, line 3: column 'close'")
    path = write(folder, b"ts,\xff,high,low,close,volume\n")
    assert refused(store, path).startswith(f"{path}, line 1: the text is not UTF-8")


@pytest.mark.slow
def test_a_packed_file_that_is_cut_off(store, folder):
    text = bar_text(range(40_000)).encode()
    path = folder / "bars.csv.gz"
    path.write_bytes(gzip.compress(text)[:-3_000])
    assert f"{path} is no sound csv file: Truncated" in refused(store, path)
    write(folder, b"this is no gzip", "bars.csv").rename(path)
    assert "bars.csv.gz" in refused(store, path)


@pytest.mark.slow
def test_a_large_packed_file_that_is_cut_off_names_the_last_line(store, folder):
    path = folder / "bars.csv.gz"
    path.write_bytes(gzip.compress(bar_text(range(200_000)).encode(), 1)[:-3_000])
    message = refused(store, path)
    assert message.startswith(f"behind {path}, line ")
    assert "damaged or cut off" in message


@pytest.mark.parametrize("name", ["bars.csv", "bars.jsonl", "bars.arrow", "bars.parquet"])
def test_an_empty_file(store, folder, name):
    assert f"{folder / name} is" in refused(store, write(folder, "", name))


def test_a_header_alone_has_no_rows(store, folder):
    assert "there are no rows in" in refused(store, write(folder, f"{HEADER}\n"))


def test_missing_and_doubled_columns(store, folder):
    path = write(folder, f"ts,open,high,low,price\n{FIRST},1,1,1,1\n")
    message = refused(store, path)
    assert message.startswith(f"{path} has no column 'close', 'volume'; its columns are ts, open, high, low, price")
    assert "no column 'last'" in refused(store, path, mapping={"close": "last"}, constants={"volume": 0})
    path = write(folder, f"ts,open,high,low,close,close,volume\n{FIRST},1,1,1,1,1,1\n")
    assert f"{path}: two columns are called 'close'" in refused(store, path)
    assert "map names 'clsoe'" in refused(store, path, mapping={"clsoe": "close"}, columns=list("abcdefg"))


def test_rows_of_one_key(store, folder):
    lines = [HEADER, bar_line(0), bar_line(1), bar_line(1), bar_line(2), bar_line(2, "8")]
    path = write(folder, "\n".join(lines))
    message = refused(store, path)
    assert message.startswith(f"{path}, line 4: ts 2024-01-01T00:01:00.000Z comes again")
    assert f"{path}, line 3" in message
    message = refused(store, path, on_conflict="skip_identical")
    assert message.startswith(f"{path}, line 6: ts 2024-01-01T00:02:00.000Z comes again with other values")
    report = take(store, path, on_conflict="replace")
    assert (report.rows, report.duplicates, report.accepted) == (5, 2, 3)
    assert store.series(BARS).range().decoded("close").tolist() == [100.5, 100.5, 8]


def test_a_row_that_is_stored_with_other_values(store, folder):
    take(store, write(folder, bar_text(range(3))))
    other = write(folder, "\n".join([HEADER, bar_line(2, "5")]), "other.csv")
    message = refused(store, other)
    assert "is stored already, with other values" in message
    report = take(store, other, on_conflict="replace")
    assert (report.accepted, report.replaced) == (0, 1)


def test_a_dry_run_tells_the_first_ten_things(store, folder):
    lines = [bar_line(minute, "x" if minute % 3 == 1 else "1.5") for minute in range(9)]
    path = write(folder, "\n".join([HEADER, *lines, "1,2", bar_line(10)]))
    report = take(store, path, dry_run=True)
    assert [problem.split(": ")[0] for problem in report.problems] == [f"{path}, line {n}" for n in (11, 3, 6, 9)]
    assert not report.is_sound
    assert report.rows == 7
    assert not store.series(BARS).exists
    path = write(folder, "\n".join([HEADER, *["1"] * 50]))
    assert len(take(store, path, dry_run=True).problems) == 10


def test_a_dry_run_names_lines_behind_broken_ones(store, folder):
    lines = [HEADER, bar_line(0), "1,2", bar_line(1), bar_line(2, "x"), bar_line(3), bar_line(3)]
    path = write(folder, "\n".join(lines))
    report = take(store, path, dry_run=True)
    found = sorted(problem.split(": ")[0] for problem in report.problems)
    assert found == [f"{path}, line {number}" for number in (3, 5, 7)]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "no JSON"),
        ("[1]", "it is no object"),
        ('{"ts": 1704067200001, "value": "x"}', "column 'value': 'x': it is no decimal number"),
        ('{"ts": 1704067200001, "value": [1]}', "column 'value': '[\"1\"]'"),
        ('{"ts": 1704067200001, "value": null}', "column 'value': None: the value is missing"),
        ('{"ts": 1704067200001}', "column 'value': None: the value is missing"),
        ('{"ts": 1704067200001, "value": 1, "value": 2}', "'value' has two values"),
        ('{"ts": 1704067200001, "value": true}', "column 'value': 'true': it is no decimal number"),
    ],
)
def test_a_bad_json_line_is_named(store, folder, line, problem):
    path = write(folder, f'{{"ts": {FIRST}, "value": 1.5}}\n\n{line}\n', "values.jsonl")
    message = refused(store, path, ("X", "signal", "1m@@s"), schema="scalar")
    assert message.startswith(f"{path}, line 3: {problem}"), message


def test_json_that_is_no_utf8(store, folder):
    path = write(folder, b'{"ts": 1704067200000, "value": 1}\n{"ts": "\xff"}\n', "values.jsonl")
    assert f"{path}, line 2: the text is not UTF-8" in refused(store, path, ("X", "signal", "1m@@s"), schema="scalar")


def _typed(folder, close, kind=None, name="bars.parquet"):
    count = len(close)
    columns = {name: pa.array([1] * count) for name in ("open", "high", "low", "volume")}
    ts = pa.array([FIRST + row * MINUTE for row in range(count)], pa.timestamp("ms", "UTC"))
    table = pa.table({"ts": ts, **columns, "close": pa.array(close, kind)})
    pq.write_table(table, folder / name)
    return folder / name


@pytest.mark.parametrize(
    ("close", "problem"),
    [
        ([1.5, None], "None: the value is missing"),
        ([1.5, float("nan")], "nan"),
        ([1.5, 1e300], "1e+300"),
        ([1.5, 1e-20], "1e-20: it has more decimals"),
        (["1.5", "x"], "'x': it is no decimal number"),
    ],
)
def test_a_bad_row_of_a_typed_file_is_named(store, folder, close, problem):
    path = _typed(folder, close)
    assert refused(store, path).startswith(f"{path}, row 2: column 'close': {problem}")


def test_a_bit_that_flips_in_an_export_to_parquet_is_found(store, folder):
    series = store.register_kline_series("X", "1m", MINUTE)
    series.put({name: FIRST + MINUTE * np.arange(500) for name in fastk.KLINE.names})
    series.export(folder / "bars.parquet")
    data = bytearray((folder / "bars.parquet").read_bytes())
    place = pq.ParquetFile(folder / "bars.parquet").metadata.row_group(0).column(0).data_page_offset
    data[place + 200] ^= 1
    (folder / "bars.parquet").write_bytes(data)
    message = refused(store, folder / "bars.parquet", ("Y", "kline", "1m"))
    assert message.startswith(f"{folder}/bars.parquet: the file is damaged or cut off")


def test_types_that_are_no_values(store, folder):
    path = _typed(folder, [[1], [2]])
    assert "is no number" in refused(store, path)
    path = _typed(folder, [True, False])
    assert f"{path}, row 1: column 'close': True" in refused(store, path)


def test_a_file_that_is_another_than_its_name_says(store, folder):
    for name in ("bars.parquet", "bars.arrow"):
        assert name in refused(store, write(folder, bar_text(range(3)), name))
    assert "version 1" in refused(store, write(folder, b"FEA1....", "bars.feather"))
    assert "tells no format" in refused(store, write(folder, "x", "bars.xlsx"))


def test_files_that_are_not_there(store, folder):
    for path in (folder / "none.csv", folder / "*.csv"):
        with pytest.raises(fastk.NotFound, match="no such file"):
            take(store, path)
    assert "is a folder" in refused(store, folder)
    os.mkfifo(folder / "pipe.csv")
    assert "a pipe cannot be read again" in refused(store, folder / "pipe.csv")
    (folder / "pipe.csv").unlink()
    path = write(folder, bar_text(range(3)))
    assert "is given twice" in refused(store, [path, folder / "*.csv"])


@pytest.mark.parametrize(
    "options",
    [
        {"time_unit": "h"},
        {"zone": "Mars/Base"},
        {"delimiter": ";;"},
        {"skip_lines": -1},
        {"rounding": {"close": 99}},
        {"on_conflict": "maybe"},
        {"scales": "many"},
        {"scales": {"close": 0}},
        {"scales": {"open": 10, "close": 100}},
        {"scales": {"ts": 10}},
        {"schema": "candles"},
        {"file_format": "xml"},
        {"time_fields": ["received"]},
        {"mapping": {"close": "close"}, "constants": {"close": 1}},
        {"constants": {"close": "x"}},
        {"values": {"close": {"x": 1}}},
    ],
)
def test_wrong_options(store, folder, options):
    refused(store, write(folder, bar_text(range(3))), **options)


@pytest.mark.parametrize("form", ["", "T", "%H:%M", "%m/%d %H:%M", "%Y %H", "%Y-%m", "%G-%V"])
def test_a_form_of_time_that_tells_no_day_of_a_year(store, folder, form):
    message = refused(store, write(folder, bar_text(range(3))), time_format=form, zone="UTC")
    assert re.match(rf"time_format '{form}' does not tell the (year|month|day)", message)


def test_stored_integers_are_whole(store, folder):
    message = refused(store, write(folder, bar_text(range(3))), raw=True)
    assert message.endswith("column 'open': '100.25': it has more decimals than scale 1 holds")


def test_an_option_that_there_is_not(store, folder):
    with pytest.raises(TypeError, match="unexpected keyword argument 'maping'"):
        take(store, write(folder, bar_text(range(3))), maping={})


def test_another_series_than_wished_for(store, folder):
    path = write(folder, bar_text(range(3)))
    store.register_kline_series("X", "1m", MINUTE, 100, 1)
    assert "is of type kline, not trade" in refused(store, path, schema="trade")
    assert "price_scale" in refused(store, path, scales={"close": 1000})
    assert "timeframe_ms" in refused(store, path, timeframe_ms=1)
    assert "scale 1" in refused(store, write(folder, "\n".join([HEADER, bar_line(0, "1", "0.5")]), "b.csv"))
