"""What notebooks show: well-formed, escaped, small, without colours of its own, and never an error."""

import re
from html.parser import HTMLParser

import pytest
from builders import FEBRUARY, JANUARY, MINUTE, bars, trades
from interop_stores import damage, three_months

import fastk
from fastk import Schema


class Cells(HTMLParser):
    """The rows of all tables as text, and whether every tag that opens is closed in order."""

    def __init__(self):
        super().__init__()
        self.rows, self._open, self.text = [], [], ""

    def handle_starttag(self, tag, attributes):
        assert not {name for name, _ in attributes} - {"style"}
        if tag == "br":
            return
        self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("th", "td"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.text += data
        if "td" in self._open or "th" in self._open:
            self.rows[-1][-1] += data

    def close(self):
        super().close()
        assert self._open == []


def shown(thing):
    page = thing._repr_html_()
    assert len(page) < 40_000
    assert not re.search(r"#[0-9a-f]{3}|(?<!-)color:(?!inherit)|white|black|<script|http", page)
    cells = Cells()
    cells.feed(page)
    cells.close()
    return cells


def test_rows_show_their_ends_in_natural_units(store):
    series = store.register_kline_series("BTC", "1m", MINUTE, price_scale=100, volume_scale=8)
    series.put(bars(JANUARY, 1_000))
    cells = shown(series.range())
    heads, first, *_, last = cells.rows
    assert heads[:2] == ["tsUTC, ms", "openint64 / 100"]
    assert first == ["2024-01-01T00:00:00.000Z", "10.00", "10.07", "9.97", "10.01", "12500.000000"]
    assert last[:2] == ["2024-01-01T16:39:00.000Z", "109.90"]
    assert cells.rows[6] == ["…"] * 6
    assert len(cells.rows) == 12
    assert "1,000 rows of BTC/kline/1m" in cells.text


def test_few_rows_are_shown_whole_and_none_as_none(store):
    series = store.register_trade_series("BTC", "spot")
    assert len(shown(series.range()).rows) == 1
    series.put(trades([JANUARY + each for each in range(11)]))
    assert len(shown(series.range()).rows) == 12
    assert len(shown(series.where("qty", fastk.Gt(3))).rows) == 9


def test_text_is_escaped_and_cut(store):
    nasty = "<script>alert(1)</script>&\"'"
    schema = Schema("own", [("ts", "i8"), (nasty, "S90"), *((f"c{each}", "i8") for each in range(40))])
    series = store.register_series((nasty, "own", nasty), schema)
    series.put({"ts": [1], nasty: [nasty.encode() * 3]} | {f"c{each}": [each] for each in range(40)})
    for thing in (series.range(), series, store):
        page = thing._repr_html_()
        assert "<script" not in page
        assert "&lt;script&gt;" in page
    cells = shown(series.range())
    assert len(cells.rows[1]) == 12
    assert "30 more columns" in cells.text
    assert max(map(len, cells.rows[1])) == 60


def test_a_series_shows_its_settings_and_rows():
    with three_months() as (store, series):
        cells = shown(series)
        assert "series BTC/kline/1m: 14 rows in 3 chunks" in cells.text
        assert "kline · ts in ms · every 60,000 ms · price_scale 100 · volume_scale 8 · a file a month" in cells.text
        assert len(cells.rows) == 12
        missing = store.kline("BTC", "5m")
        assert "not registered" in shown(missing).text


def test_a_store_shows_its_first_series(store):
    assert "0 series" in shown(store).text
    for each in range(30):
        store.register_kline_series(f"S{each:02}", "1m", MINUTE)
    store.kline("S01", "1m").put(bars(JANUARY, 3))
    cells = shown(store)
    assert "30 series, of which these are the first 20" in cells.text
    assert cells.rows[0] == ["symbol", "category", "name", "type", "rows", "chunks"]
    assert cells.rows[2] == ["S01", "kline", "1m", "kline", "3", "1"]
    assert len(cells.rows) == 21


def test_a_matrix_shows_its_corners(store):
    for each in range(15):
        series = store.register_kline_series(f"S{each:02}", "1m", MINUTE)
        series.put(bars(JANUARY, 50))
    keys = [(f"S{each:02}", "kline", "1m") for each in range(15)]
    matrix = store.feature_matrix(keys, columns=["close"], scale=1)
    cells = shown(matrix)
    assert len(cells.rows) == 12
    assert cells.rows[1][:2] == ["2024-01-01T00:00:00.000Z", "1001"]
    assert "and 3 more columns" in cells.text


def test_damaged_dropped_and_closed_things_still_show():
    with three_months() as (store, series):
        damage(store, "close", 11_041)
        with fastk.open(store.root, mode="r") as again:
            damaged = again.series(series.key)
            assert "14 rows of BTC/kline/1m" in damaged.range()._repr_html_()
            assert "14 rows" in damaged._repr_html_()
            assert len(shown(damaged.range(FEBRUARY + 90 * MINUTE, None)).rows) == 3
        assert "closed" in shown(damaged).text
        assert "closed" in shown(again).text


@pytest.mark.parametrize("unit", ["us", "ns"])
def test_times_have_their_unit(store, unit):
    series = store.register_series(("X", "own", unit), Schema("t", [("ts", "i8")]), time_unit=unit)
    series.put({"ts": [1]})
    cells = shown(series.range())
    assert cells.rows[0] == [f"tsUTC, {unit}"]
    assert cells.rows[1][0].endswith("1Z")
