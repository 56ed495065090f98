"""Files become rows: columns by name and place, packed or not, many files, types of one's own."""

import numpy as np
import pytest
from file_calls import BARS, FIRST, HEADER, MINUTE, bar_line, bar_text, refused, take, write

import fastk


def closes(store, key=BARS):
    return store.series(key).range().decoded("close").tolist()


@pytest.mark.parametrize("name", ["bars.csv", "bars.csv.gz", "bars.txt"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_text_as_programs_write_it(store, tmp_path, name, end, mark):
    report = take(store, write(tmp_path, mark + bar_text(range(3), end=end), name))
    assert closes(store) == [100.25, 101.25, 102.25]
    assert report.scales == {"price_scale": 100, "volume_scale": 1}
    assert (report.rows, report.first, report.last) == (3, "2024-01-01T00:00:00.000Z", "2024-01-01T00:02:00.000Z")
    assert store.series(BARS).settings.timeframe_ms == MINUTE


def test_tabs_semicolons_and_quotes(store, tmp_path):
    take(store, write(tmp_path, bar_text(range(2)).replace(",", "\t"), "bars.tsv"))
    take(store, write(tmp_path, bar_text(range(2, 4)).replace(",", ";"), "b.csv"), delimiter=";")
    quoted = "\n".join(",".join(f'"{cell}"' for cell in line.split(",")) for line in bar_text([4]).splitlines())
    take(store, write(tmp_path, quoted, "c.csv"))
    assert closes(store) == [100.25, 101.25, 102.25, 103.25, 104.25]


def test_names_in_other_letters_and_blanks(store, tmp_path):
    text = bar_text(range(2)).replace(HEADER, "TS, Open,High,Low , Close,Volume").replace(",", " , ")
    take(store, write(tmp_path, text))
    assert closes(store) == [100.25, 101.25]


def test_columns_by_mapping_place_and_name(store, tmp_path):
    header = "when,o,h,l,c,v,trades"
    text = bar_text(range(2), header=None).replace("\n", ",9\n")
    letters = {"ts": "when", "open": "o", "high": "h", "low": "l", "close": "c", "volume": "v"}
    take(store, write(tmp_path, f"{header}\n{text}"), ("A", "kline", "1m"), mapping=letters)
    places = {name: place for place, name in enumerate(HEADER.split(","), 1)}
    path = write(tmp_path, text, "bare.csv")
    take(store, path, ("B", "kline", "1m"), header=False, mapping=places)
    take(store, path, ("C", "kline", "1m"), columns=[*HEADER.split(","), "trades"])
    take(
        store,
        write(tmp_path, f"# made by\n# them\n{header}\n{text}"),
        ("D", "kline", "1m"),
        mapping=letters,
        skip_lines=2,
    )
    assert [closes(store, (symbol, "kline", "1m")) for symbol in "ABCD"] == [[100.25, 101.25]] * 4


def test_a_bad_line_behind_skipped_ones_and_without_header(store, tmp_path):
    text = f"# made by them\n{bar_line(0)}\n{bar_line(1, 'x')}\n"
    path = write(tmp_path, text)
    assert refused(store, path, columns=HEADER.split(","), skip_lines=1).startswith(f"{path}, line 3: column 'open'")
    path = write(tmp_path, "# made by them\n1\n1,2\n")
    assert refused(store, path, columns=["ts"], skip_lines=1, schema="custom").startswith(f"{path}, line 3: 2 cells")


def test_constants_words_and_row_numbers(store, tmp_path):
    path = write(tmp_path, f"ts,id,price,amount,taker\n{FIRST},7,1.5,2,buy\n{FIRST},8,1.5,3,SELL\n", "trades.csv")
    report = take(
        store,
        path,
        ("X", "trade", "spot"),
        mapping={"recv_ts": "ts", "trade_id": "id", "qty": "amount", "side": "taker"},
        constants={"flags": 3},
        values={"side": {"buy": 1, "SELL": -1}},
    )
    assert report.record_type == "trade"
    rows = store.series(("X", "trade", "spot")).range()
    assert [rows[name].tolist() for name in ("side", "flags", "trade_id")] == [[1, -1], [3, 3], [7, 8]]
    assert rows.recv_ts.tolist() == [FIRST, FIRST]
    path = write(tmp_path, f"ts,bid,ask\n{FIRST},1.5,2\n{FIRST},1.5,3\n", "quotes.csv")
    columns = {"bid_price": "bid", "ask_price": "ask", "recv_ts": "ts"}
    fixed = {"bid_qty": "0.5", "ask_qty": 1, "sequence": "row"}
    take(store, path, ("X", "bbo", "fx"), mapping=columns, constants=fixed, unique_ts=False)
    rows = store.series(("X", "bbo", "fx")).range()
    assert [rows[name].tolist() for name in ("sequence", "bid_price", "bid_qty")] == [[1, 2], [15, 15], [5, 5]]


def test_many_files_in_one_run(store, tmp_path):
    for number, minutes in enumerate((range(3), range(3, 6), range(6, 8))):
        write(tmp_path, bar_text(minutes), f"part-{number}.csv")
    report = take(store, tmp_path / "part-*.csv")
    assert (report.rows, len(report.files), report.out_of_order, report.commits) == (8, 3, 0, 1)
    assert closes(store) == [100.25 + minute for minute in range(8)]
    path = write(tmp_path, f"{HEADER}\n{bar_line(9)}\n{bar_line(10, 'x')}\n", "part-4.csv")
    assert refused(store, [tmp_path / "part-0.csv", path], on_conflict="replace").startswith(f"{path}, line 3: ")


def test_an_existing_series_keeps_its_settings(store, tmp_path):
    series = store.register_kline_series("X", "1m", MINUTE, 1000, 10, time_unit="us")
    report = take(store, write(tmp_path, bar_text(range(2))), schema="kline")
    assert report.scales == {"price_scale": 1000, "volume_scale": 10}
    assert series.range().close.tolist() == [100_250, 101_250]
    assert series.range().ts.tolist() == [FIRST * 1000, (FIRST + MINUTE) * 1000]


def test_running_an_import_again(store, tmp_path):
    path = write(tmp_path, bar_text(range(4)))
    take(store, path)
    assert "is stored already, with the same values" in refused(store, path)
    assert "is stored already, with the same values" in refused(store, path)
    report = take(store, write(tmp_path, bar_text(range(6)), "more.csv"), on_conflict="skip_identical")
    assert (report.accepted, report.identical) == (2, 4)
    assert len(store.series(BARS)) == 6


def test_a_type_of_ones_own(store, tmp_path):
    schema = fastk.Schema(
        "funding", [("ts", "i8"), ("rate", "i8", "rate_scale"), ("note", "S4"), ("ok", "?"), ("x", "f4")]
    )
    path = write(tmp_path, f"ts,rate,note,ok,x\n{FIRST},0.0001,ab,true,0.1\n{FIRST + 1},-0.00025,,FALSE,NaN\n")
    take(store, path, ("X", "funding", "8h"), schema=schema)
    rows = store.series(("X", "funding", "8h")).range()
    assert rows.rate.tolist() == [10, -25]
    assert rows.note.tolist() == [b"ab", b""]
    assert rows.ok.tolist() == [True, False]
    assert rows.x[0] == np.float32(0.1)
    assert np.isnan(rows.x[1])


def test_a_type_of_the_files_columns(store, tmp_path):
    path = write(tmp_path, f"time,rate,count,ok\n{FIRST},0.0001,5,true\n{FIRST + 1},-0.5,6,false\n")
    take(
        store,
        path,
        ("X", "funding", "8h"),
        schema="custom",
        mapping={"ts": "time", "n": "count"},
        constants={"venue": 3},
    )
    series = store.series(("X", "funding", "8h"))
    assert [(field.name, field.dtype.str, field.scale) for field in series.schema.fields[1:]] == [
        ("rate", "<i8", "rate_scale"),
        ("n", "<i8", "n_scale"),
        ("ok", "|b1", None),
        ("venue", "<i8", "venue_scale"),
    ]
    assert dict(series.settings.scales) == {"rate_scale": 10_000, "n_scale": 1, "venue_scale": 1}
    assert series.range().venue.tolist() == [3, 3]
    path = write(tmp_path, f"ts,name\n{FIRST},x\n", "b.csv")
    assert "--field name:S16" in refused(store, path, ("X", "own", "b"), schema="custom")


def test_progress_is_told(store, tmp_path):
    said = []
    take(store, write(tmp_path, bar_text(range(10))), batch_rows=4, progress=lambda *told: said.append(told))
    assert [what for what, *_ in said] == [
        "reading",
        "checking",
        "checking",
        "checking",
        "storing",
        "storing",
        "storing",
    ]
    assert said[-1] == ("storing", 10, 10, 10)
    assert all(done <= total for _, _, done, total in said)


def test_gaps_are_told(store, tmp_path):
    report = take(store, write(tmp_path, bar_text([0, 1, 4, 5, 15])), batch_rows=2)
    assert (report.gaps, report.missing) == (2, 11)
    assert report.longest_gap == ["2024-01-01T00:05:00.000Z", "2024-01-01T00:15:00.000Z"]


def test_one_commit_or_none(store, tmp_path):
    path = write(tmp_path, bar_text(range(10)))
    take(store, path, atomic=True, batch_rows=3)
    assert store.series(BARS).sequence == 2
    lines = [bar_line(minute) for minute in range(8, 20)]
    path = write(tmp_path, "\n".join([HEADER, *lines]), "more.csv")
    refused(store, path, atomic=True, batch_rows=3)
    with pytest.raises(fastk.Conflict, match="is stored already"):
        take(
            store,
            write(tmp_path, "\n".join([HEADER, bar_line(-1), bar_line(0), bar_line(1)]), "c.csv"),
            atomic=True,
            batch_rows=1,
        )
    assert len(store.series(BARS)) == 10


def test_without_the_library(store, tmp_path, monkeypatch):
    path = write(tmp_path, bar_text(range(3)))
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'fastk-engine\[files\]'"):
        take(store, path)
