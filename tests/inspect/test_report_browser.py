"""The page as a browser shows it: wide and narrow, light and dark. Needs playwright and a Chromium of the system."""

import io
import shutil

import numpy as np
import pytest
from builders import DAY, JANUARY, bars, temporary_folder, temporary_store
from inspected import files_of, put_eight_bars, spoil
from test_report_page import HOSTILE, put_everything

import fastk

pytestmark = pytest.mark.slow

SCREENS = {"desktop": {"width": 1280, "height": 900}, "phone": {"width": 390, "height": 844}}
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
TOUCHED = 30  # of 255: how far a colour may be off where edges are smoothed


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        pytest.skip(f"a browser is needed: none of {', '.join(BROWSERS)} is installed (apt-get install chromium)")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def page_file():
    """The report of a store with gaps, hostile names and a damaged series."""
    with temporary_folder() as folder, temporary_store() as store:
        put_everything(store)
        days = store.register_series(("VERY-LONG-SYMBOL" * 8, "kline", "1d"), fastk.KLINE, timeframe_ms=DAY)
        price = (5_000 + 500 * np.sin(np.arange(501) / 40)).astype(np.int64)
        days.put(bars(JANUARY, 500, DAY) | {"open": price[:-1], "close": price[1:], "low": price[1:] - 40})
        days.delete_range("2024-05-05", "2024-08-09")
        put_eight_bars(store, "DAMAGED")
        spoil(files_of(store, "DAMAGED/kline/1m/series.meta")[0], 40)
        with fastk.open(store.root, "r") as reader:
            fastk.write_report(reader, folder / "page.html", ["VERY*", "BTC/signal/*", "<*"])
        yield folder / "page.html"


@pytest.fixture(
    scope="module", params=[(screen, scheme) for screen in SCREENS for scheme in ("light", "dark")], ids="-".join
)
def shown(request, browser, page_file):
    """The page with everything on it drawn; and what went wrong on the way."""
    screen, scheme = request.param
    context = browser.new_context(viewport=SCREENS[screen], color_scheme=scheme, offline=True)
    page = context.new_page()
    page.problems = []
    page.on("console", lambda said: said.type in ("error", "warning") and page.problems.append(said.text))
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.on("request", lambda request: request.url.startswith("file:") or page.problems.append(request.url))
    page.goto(page_file.as_uri())
    for place in page.query_selector_all("[data-item]"):
        place.scroll_into_view_if_needed()
        page.wait_for_selector(f"[data-item={place.get_attribute('data-item')}][data-drawn]")
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    yield page
    context.close()


def pixels(page, place):
    from PIL import Image

    with Image.open(io.BytesIO(place.screenshot())) as image:
        return np.asarray(image.convert("RGB"), np.int64)


def count_of(image, colour):
    return int((np.abs(image - colour).max(axis=2) <= TOUCHED).sum())


def test_it_draws_without_complaint_and_without_a_network(shown):
    assert shown.problems == []
    assert len(shown.query_selector_all("[data-drawn]")) == 3 + len([name for name in HOSTILE if name[0] == "<"])
    assert shown.evaluate("typeof hacked") == "undefined"


def test_nothing_is_wider_than_the_screen(shown):
    """Only boxes that scroll may hold more than the screen shows, and no text is cut off anywhere else."""
    assert shown.evaluate("document.documentElement.scrollWidth <= innerWidth")
    wide = shown.evaluate(
        """() => [...document.querySelectorAll("h1, h2, p, dd, dt, .box, .legend, .cards div")]
          .filter((each) => !each.closest(".drawing > *"))
          .filter((each) => {
            const place = each.getBoundingClientRect();
            const cut = each.scrollWidth > each.clientWidth + 1 && !each.classList.contains("box");
            return place.left < 0 || place.right > innerWidth + 1 || cut;
          }).map((each) => each.outerHTML.slice(0, 200))"""
    )
    assert wide == []


def test_cells_that_are_cut_off_can_be_scrolled_to(shown):
    boxes = shown.evaluate(
        """() => [...document.querySelectorAll(".box")].map((box) => {
          box.scrollLeft = 1e6; box.scrollTop = 1e6;
          const last = [...box.querySelectorAll("td")].pop();
          if (!last) return true;
          const cell = last.getBoundingClientRect(), frame = box.getBoundingClientRect();
          return cell.right <= frame.right + 1 && cell.bottom <= frame.bottom + 1;
        })"""
    )
    assert boxes
    assert all(boxes)


def test_words_stand_out_from_what_is_behind_them(shown):
    """At least 4.5 to 1, as the accessibility guidelines of the web ask for."""
    pairs = shown.evaluate(
        """() => ["h1", ".soft", "dt", "dd", "th", "td", ".bad"].map((name) => {
          const element = document.querySelector(name);
          let behind = element;
          while (getComputedStyle(behind).backgroundColor === "rgba(0, 0, 0, 0)") behind = behind.parentElement;
          return [name, getComputedStyle(element).color, getComputedStyle(behind).backgroundColor];
        })"""
    )
    for name, ink, paper in pairs:
        light, dark = sorted((luminance(ink), luminance(paper)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (name, ink, paper)


def luminance(colour):
    channels = np.array([int(each) for each in colour.removeprefix("rgb(").removesuffix(")").split(",")]) / 255
    linear = np.where(channels <= 0.03928, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_the_page_is_as_dark_as_the_reader_wishes(shown):
    is_dark = shown.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    behind = luminance(shown.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert behind < 0.02 if is_dark else behind > 0.9


def test_charts_are_painted(shown):
    from fastk.report.charts import MISSING, PRESENT

    heat, candles, line, *_ = [pixels(shown, place) for place in shown.query_selector_all("[data-item]")]
    for image in (heat, candles):
        assert count_of(image, PRESENT) > 300
        assert count_of(image, MISSING) > 300
    assert count_of(line, PRESENT) > 300
    assert count_of(line, MISSING) == 0


def test_hovering_tells_of_a_cell(shown):
    """Names in full, as text; that of the last row is the longest."""
    place = shown.query_selector("[data-item]")
    place.scroll_into_view_if_needed()
    box = place.bounding_box()
    tips = set()
    for row in range(len(HOSTILE) + 3):
        for across in range(115, 180, 6):
            shown.mouse.move(box["x"] + across, box["y"] + 14 + 18 * row)
            shown.wait_for_timeout(20)
            tips |= {tip.inner_text() for tip in shown.query_selector_all(".bk-tooltip-content")}
    told = " ".join(" ".join(tips).split())
    assert "month: 2024-01 rows: 3 present: 100.00% of expected" in told
    for name in HOSTILE:
        assert " ".join(f"{name}/own/1d".split()) in told
    assert shown.evaluate("typeof hacked") == "undefined"
    assert shown.problems == []
