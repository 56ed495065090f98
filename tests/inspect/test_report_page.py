"""`fastk report`: the page as text. What it is in a browser, test_report_browser.py looks at."""

import json
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from builders import DAY, JANUARY, MINUTE, bars, contents
from inspected import HOLE, files_of, put_eight_bars, spoil, spoil_rows

import fastk
from fastk import FastKError, InvalidInput, NotFound, write_report
from fastk.cli.main import main
from fastk.report import charts
from fastk.report.heat_map import MOST_COLUMNS, heat_map

CHECKOUT = Path(__file__).resolve().parent.parent.parent
HOSTILE = (
    "<script>hacked=1</script>",
    "</script><u>x",
    "\" onmouseover='hacked=1'",
    "{{ 7 * 7 }}",
    "$$\\frac{1}{2}$$",
    "\\(x\\)",
    "@rows{safe}",
    "&lt;i&gt;",
)


class Page(HTMLParser):
    """The tags of a page with their attributes, and its text by tag."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self.open = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.open.append(tag)

    def handle_endtag(self, tag):
        if tag in self.open:
            while self.open.pop() != tag:
                pass

    def handle_data(self, data):
        self.texts.append((self.open[-1] if self.open else "", data))

    def words(self):
        return " ".join(" ".join(text for tag, text in self.texts if tag not in ("script", "style")).split())

    def items(self):
        return [
            json.loads(text)
            for (tag, attributes), text in zip(self.scripts(), self.contents("script"), strict=True)
            if attributes.get("type") == "application/json"
        ]

    def scripts(self):
        return [each for each in self.tags if each[0] == "script"]

    def contents(self, tag):
        return [text for place, text in self.texts if place == tag]


@pytest.fixture
def whole_page_of(tmp_path):
    """Writes the report of a store and parses it."""

    def write(store, *arguments, **options):
        result = write_report(store, tmp_path / "page.html", *arguments, **options)
        text = (tmp_path / "page.html").read_text(encoding="utf-8")
        assert len(text.encode()) == result.bytes
        return Page(text)

    return write


@pytest.fixture
def page_of(whole_page_of, monkeypatch):
    """The same without the library that draws, which takes a second to parse."""
    monkeypatch.setattr(charts, "library", lambda: "0")
    return whole_page_of


def put_everything(store):
    """Bars, values, trades, quotes, a series without rows and one with a name that is no page's friend."""
    put_eight_bars(store)
    signal = store.register_series(("BTC", "signal", "1m@@x"), fastk.SCALAR, timeframe_ms=MINUTE)
    signal.put({"ts": JANUARY + MINUTE * np.arange(1000), "value": np.arange(1000) % 70})
    store.register_kline_series("EMPTY", "1m", MINUTE)
    for name in HOSTILE:
        store.register_series((name, "own", "1d"), fastk.KLINE, timeframe_ms=DAY).put(bars(count=3, step=DAY))


@pytest.mark.slow
def test_it_needs_nothing_from_elsewhere(store, whole_page_of):
    put_everything(store)
    page = whole_page_of(store, "*")
    for tag, attributes in page.tags:
        assert tag not in ("link", "img", "iframe", "object", "embed", "base", "video", "audio", "form")
        assert not {"src", "href", "srcset", "action", "data", "poster"} & attributes.keys()
        assert not [name for name in attributes if name.startswith("on")]
    style = " ".join(page.contents("style"))
    assert "url(" not in style
    assert "@import" not in style
    policy = next(each["content"] for tag, each in page.tags if each.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none';")
    assert "http" not in policy
    assert "unsafe-eval" not in policy


@pytest.mark.slow
def test_what_it_says(store, page_of):
    put_eight_bars(store)
    words = page_of(store, title="My store").words()
    assert words.startswith("My store My store")  # its title, and the heading
    assert f"{HOLE:,} of {HOLE + 8:,} expected rows are missing, in 1 gap of 1 series. The largest:" in words
    assert f"BTC/kline/1m 2024-01-01T00:05Z 2024-01-31T23:59Z {HOLE:,}" in words
    assert "Nothing is damaged." in words
    assert "BTC/kline/1m sound 8 0.1% 2024-01-01T00:00Z 2024-02-01T00:02Z" in words


@pytest.mark.slow
def test_hostile_names_are_text(store, page_of):
    put_everything(store)
    page = page_of(store, "*", title="<script>hacked=1</script>")
    assert "<script>hacked=1</script>" in page.words()
    for name in HOSTILE:
        assert " ".join(f"{name}/own/1d".split()) in page.words()
    scripts = [attributes.get("type") for _, attributes in page.scripts()]
    assert scripts == ["application/json"] * (len(scripts) - 2) + [None, None]
    assert "u" not in [tag for tag, _ in page.tags]
    for item in page.items():
        assert item["doc"]["roots"]


@pytest.mark.slow
def test_labels_are_never_formulas(store, page_of):
    """The drawing library takes $$ in a label for a formula, and fetches what sets it."""
    put_everything(store)
    labels = [label for item in page_of(store).items() for label in labels_of(item)]
    assert len(labels) == len(HOSTILE) + 2
    assert {(label["type"], label["name"]) for label in labels} == {("object", "PlainText")}


def labels_of(value):
    """All labels that stand in the place of numbers in a drawing."""
    if isinstance(value, list):
        return [label for each in value for label in labels_of(each)]
    if not isinstance(value, dict):
        return []
    own = [label for _, label in value.get("major_label_overrides", {}).get("entries", [])]
    return own + [label for each in value.values() for label in labels_of(each)]


def test_a_store_without_rows(store, page_of):
    store.init()
    page = page_of(store)
    assert page.scripts() == []
    store.register_kline_series("BTC", "1m", MINUTE)
    assert "BTC/kline/1m sound 0" in page_of(store, "BTC*").words()


@pytest.mark.slow
def test_damage_is_told_and_hides_nothing(store, page_of):
    for symbol in ("BTC", "ETH"):
        put_eight_bars(store, symbol)
    spoil(files_of(store, "BTC/kline/1m/series.meta")[0], 40)
    with fastk.open(store.root, "r") as reader:
        words = page_of(reader).words()
    assert "1 damaged" in words
    assert "corrupt_manifest series/BTC/kline/1m/series.meta" in words
    assert "ETH/kline/1m sound 8" in words


def test_a_series_that_cannot_be_drawn(store, page_of):
    put_eight_bars(store)
    spoil_rows(files_of(store, "*/*/*/chunks/*.chunk")[0], *bars(count=5)["close"])
    with fastk.open(store.root, "r") as reader:
        words = page_of(reader).words()
    assert "It cannot be drawn:" in words
    assert "Nothing is damaged." in words  # as far as headers tell


@pytest.mark.slow
def test_series_to_draw(store, page_of):
    put_everything(store)
    page = page_of(store, ["BTC/signal/*", "BTC/kline/*"])
    headings = page.contents("h2")
    assert headings[2:4] == ["BTC/signal/1m@@x", "BTC/kline/1m"]
    assert len(page.items()) == 3
    assert page_of(store).contents("h2")[2] == "BTC/signal/1m@@x"  # the one with the most rows
    with pytest.raises(NotFound, match="no series matches 'DOGE'"):
        page_of(store, "DOGE")


@pytest.mark.slow
def test_gaps_may_be_left_out(store, page_of):
    put_eight_bars(store)
    assert "Gaps" in page_of(store).contents("h2")
    assert "Gaps" not in page_of(store, gaps=False).contents("h2")


def test_the_heat_map_has_months(store):
    put_eight_bars(store)
    daily = store.register_series(("BTC", "bars", "1d"), fastk.KLINE, timeframe_ms=DAY, partition="year")
    daily.put(bars(JANUARY, 60, DAY))  # 31 + 29
    found = heat_map(store, fastk.inspect_store(store).series)
    assert found.months == 1
    by_key = {row.key: row for row in found.rows}
    assert by_key["BTC/bars/1d"].rows.tolist() == [31, 29]
    assert by_key["BTC/bars/1d"].present.tolist() == [1, 1]
    minutes = by_key["BTC/kline/1m"]
    assert minutes.rows.tolist() == [5, 3]
    np.testing.assert_allclose(minutes.present, [5 / 44_640, 1], rtol=1e-6)


def test_the_heat_map_of_thousands_of_years_has_few_columns(store):
    series = store.register_series(("A", "b", "c"), fastk.SCALAR, partition="year")
    series.put({"ts": ["0001-01-01T00:00Z", "2024-01-01T00:00Z", "9999-12-31T00:00Z"], "value": [1, 2, 3]})
    found = heat_map(store, fastk.inspect_store(store).series)
    (row,) = found.rows
    assert len(row.rows) <= MOST_COLUMNS
    assert row.rows.sum() == 3
    assert charts.heat_panel(found.rows, found.span)["doc"]


def test_long_names_leave_room():
    assert charts.shortened("BTC/kline/1m") == "BTC/kline/1m"
    assert charts.shortened("BTCUSDT-PERPETUAL/indicator/1m@@rsi_14") == "BTCUSDT-PE…1m@@rsi_14"


# Where it is written


def test_it_comes_whole_or_not_at_all(store, tmp_path, monkeypatch):
    put_eight_bars(store)
    target = tmp_path / "page.html"
    target.write_text("an older page")
    monkeypatch.setattr("os.replace", lambda source, target: (_ for _ in ()).throw(OSError("no")))
    with pytest.raises(OSError, match="no"):
        write_report(store, target)
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
    assert target.read_text() == "an older page"
    monkeypatch.undo()
    write_report(store, target)
    assert target.read_text().startswith("<!DOCTYPE html>")


def test_it_never_lies_in_the_store(store, tmp_path):
    put_eight_bars(store)
    (tmp_path / "link").symlink_to(store.root)
    before = contents(store.root)
    for target in (Path(store.root, "page.html"), Path(store.root, "series", "x"), tmp_path / "link" / "page.html"):
        with pytest.raises(InvalidInput, match="lies in the store"):
            write_report(store, target)
    with pytest.raises(InvalidInput, match="is a folder"):
        write_report(store, tmp_path)
    (tmp_path / "output").symlink_to("/dev/null")  # as /dev/stdout is a link
    with pytest.raises(InvalidInput, match="is no file"):
        write_report(store, tmp_path / "output")
    assert contents(store.root) == before


@pytest.mark.slow
def test_the_command(store, tmp_path, monkeypatch, capsys):
    put_eight_bars(store)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    target = tmp_path / "page.html"
    assert main(["report", store.root, "-o", str(target), "--title", "T", "--series", "BTC/*", "--scrub"]) == 0
    assert capsys.readouterr().out == f"{target}: {target.stat().st_size:,} bytes, 1 series\n"
    assert "Every block of every column and sidecar" in Page(target.read_text()).words()
    assert main(["report", store.root, "-o", str(tmp_path / "absent" / "page.html")]) == 1
    expected = f"fastk: there is no folder {tmp_path}/absent; make it, or name another file\n"
    assert capsys.readouterr().err == expected


def test_the_command_answers_programs_in_json(store, tmp_path, capsys):
    put_eight_bars(store)
    target = tmp_path / "page.html"
    assert main(["report", store.root, "-o", str(target)]) == 0
    answer = {"path": str(target), "bytes": target.stat().st_size, "series": 1, "is_sound": True}
    assert json.loads(capsys.readouterr().out) == answer


def test_the_command_tells_damage(store, tmp_path, capsys):
    put_eight_bars(store)
    spoil(files_of(store, "BTC/kline/1m/series.meta")[0], 40)
    assert main(["report", store.root, "-o", str(tmp_path / "page.html")]) == 1
    assert (tmp_path / "page.html").exists()
    assert capsys.readouterr().err.startswith("fastk: corrupt_manifest: ")


def test_missing_libraries_are_named(store, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(FastKError, match=r"needs bokeh, jinja2: pip install 'fastk-engine\[report\]'"):
        write_report(store, tmp_path / "page.html")


@pytest.mark.slow
def test_inspecting_loads_no_plotting_library():
    code = "import sys, fastk; fastk.inspect_store, fastk.write_report; print('bokeh' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
