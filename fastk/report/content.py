"""From facts to the text of the page: the template filled, everything that comes from the store escaped."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import resources
from typing import TYPE_CHECKING, Any

import jinja2
from markupsafe import Markup

from fastk.errors import FastKError, NotFound
from fastk.inspect.one_series import drawn_column
from fastk.inspect.sampling import sample
from fastk.inspect.words import bytes_text, count_text, part_text
from fastk.keys import matches
from fastk.report import charts, tables
from fastk.report.heat_map import heat_map

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from fastk.inspect.facts import SeriesFacts, StoreFacts
    from fastk.report.charts import Item
    from fastk.report.heat_map import HeatMap
    from fastk.store.series import Series
    from fastk.store.store import FastKStore

MOST_CHARTS = 12
_CANDLES = ("open", "low", "high", "close")


@dataclass
class _Items:
    """The drawings, each under an id of the page."""

    items: list[tuple[str, Item]] = field(default_factory=list)

    def add(self, item: Item) -> dict[str, Any]:
        """Take one in; what its place in the page needs to know."""
        identity = f"item-{len(self.items)}"
        self.items.append((identity, item))
        return {"id": identity, "height": charts.height_of(item)}


def page_of(store: FastKStore, facts: StoreFacts, patterns: list[str], title: str, now: datetime) -> str:
    """The whole page. NotFound if a pattern for the series to draw matches none."""
    chosen = _chosen(facts, patterns)
    coverage, items = heat_map(store, facts.series), _Items()
    panels = [items.add(charts.heat_panel(rows, coverage.span)) for rows in coverage.panels()]
    drawn = [_chart(store.series((each.symbol, each.category, each.name)), each, items) for each in chosen]
    return _template().render(
        title=title,
        made=f"{now:%Y-%m-%d %H:%M} UTC for {facts.seconds:.1f} s",
        facts=facts,
        cards=_cards(facts),
        looked=_looked(facts),
        health=tables.health_table(facts),
        panels=panels,
        coverage_words=_coverage_words(coverage),
        charts=drawn,
        series=tables.series_table(facts),
        left_out=_left_out(facts),
        sizes=tables.size_table(facts),
        gaps=tables.gap_table(facts) if any(each.gaps for each in facts.series) else None,
        gap_words=tables.gap_words(facts),
        pruning=tables.pruning_table(facts),
        items=items.items,
        library=Markup(charts.library()),
    )


def _template() -> jinja2.Template:
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    environment.globals["part_text"] = part_text
    environment.policies["json.dumps_kwargs"] = {}  # not sorted: an item's first mention of an object describes it
    return environment.from_string(resources.files("fastk.report").joinpath("page.html").read_text("utf-8"))


def _cards(facts: StoreFacts) -> list[tuple[str, str, str]]:
    broken = sum(not each.is_sound for each in facts.series)
    health = "sound" if facts.is_sound else f"{broken or 1:,} damaged"
    return [
        ("series", f"{len(facts.series):,}", ""),
        ("rows", f"{facts.rows:,}", ""),
        ("chunks", f"{facts.chunks:,}", ""),
        ("deltas", f"{sum(each.states.get('active', 0) for each in facts.series):,}", ""),
        ("size", bytes_text(facts.sizes.total + facts.dropped_bytes + facts.quarantine_bytes), ""),
        ("health", health, "good" if facts.is_sound else "bad"),
    ]


def _looked(facts: StoreFacts) -> str:
    how = (
        "Every block of every column and sidecar was compared with its checksum."
        if facts.scrubbed
        else "Manifests, tables, headers and sizes were compared; columns were not read (--scrub reads them)."
    )
    notes = sum(each.notes for each in facts.series)
    return f"{how} {count_text(notes, 'note')} beside that: see fastk_admin validate --verbose." if notes else how


def _coverage_words(coverage: HeatMap) -> str:
    cell = "a month" if coverage.months == 1 else f"{coverage.months} months"
    words = [
        f"A row is a series, a cell is {cell} in UTC: the part of the rows that the timeframe asks for between the "
        f"series' first and last row; without a timeframe, the part of its own fullest cell."
    ]
    if coverage.left_out:
        words.append(f"{count_text(coverage.left_out, 'series', 'series')} more are not drawn.")
    return " ".join(words)


def _left_out(facts: StoreFacts) -> str:
    more = len(facts.series) - tables.MOST_ROWS
    return f"The first {tables.MOST_ROWS:,}; {more:,} more are not listed." if more > 0 else ""


# The series that are drawn


def _chosen(facts: StoreFacts, patterns: list[str]) -> Sequence[SeriesFacts]:
    """Those that match, in the order of the patterns; without any the one with the most rows."""
    filled = [each for each in facts.series if each.rows]
    if not patterns:
        return sorted(filled, key=lambda each: each.rows, reverse=True)[:1]
    found: dict[str, SeriesFacts] = {}
    for pattern in patterns:
        matching = {each.key: each for each in facts.series if matches(each.key, pattern)}
        if not matching:
            raise NotFound(f"no series matches {pattern!r}; patterns are for symbol/category/name")
        found |= matching
    return list(found.values())[:MOST_CHARTS]


def _chart(series: Series, facts: SeriesFacts, items: _Items) -> dict[str, Any]:
    """A drawing and its words; words alone where there is nothing to draw."""
    try:
        item, words = _drawing(series, facts)
    except (FastKError, OSError) as error:
        item, words = None, f"It cannot be drawn: {error}"
    return {"title": facts.key, "words": words, "id": None} | ({} if item is None else items.add(item))


def _drawing(series: Series, facts: SeriesFacts) -> tuple[Item | None, str]:
    column = drawn_column(series.schema)
    if not facts.rows or column is None:
        return None, "It has nothing to draw."
    has_bars = set(_CANDLES) <= set(series.schema.names)
    found = sample(series, _CANDLES if has_bars else (column,) * 4)
    per_ms = series.settings.time_unit.per_second / 1000
    item = charts.bars(found, per_ms) if has_bars else charts.line(found, per_ms)
    what = "candles" if has_bars else column
    return item, f"{what}: {facts.rows:,} rows in {len(found.starts):,} stretches of equal time, no extreme left out."
