"""Drawings by bokeh, as items that a page embeds. Their colours of text and lines come from the page's style sheet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from bokeh.embed import json_item
from bokeh.models import ColumnDataSource, FixedTicker, HoverTool, LinearColorMapper, NoOverlap, PlainText, Range1d
from bokeh.plotting import figure
from bokeh.resources import Resources

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fastk.inspect.sampling import Sample
    from fastk.report.heat_map import HeatRow

    Item = dict[str, Any]

MISSING, PARTIAL, PRESENT = (201, 84, 16), (214, 190, 92), (24, 122, 138)
"""Colours that both backgrounds and eyes without red or green tell apart."""
_ROW_HEIGHT, _AXIS_HEIGHT, _CHART_HEIGHT = 18, 34, 340
_LONGEST_LABEL = 22


def library() -> str:
    """The scripts that draw the items."""
    return "\n".join(Resources(mode="inline", components=["bokeh"], minified=True).js_raw)


def palette() -> list[str]:
    """256 colours from missing to present."""
    ends = np.array([MISSING, PARTIAL, PRESENT])
    mixed = [np.interp(np.linspace(0, 2, 256), range(3), ends[:, channel]) for channel in range(3)]
    return [f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in np.rint(mixed).astype(int).T.tolist()]


def heat_panel(rows: Sequence[HeatRow], span: tuple[int, int]) -> Item:
    """Some series of a heat map, below each other."""
    starts, stop = _month_ms(np.array(span))
    plot = _plot(len(rows) * _ROW_HEIGHT + _AXIS_HEIGHT, x_range=Range1d(start=starts, end=stop))
    plot.y_range = Range1d(start=len(rows) - 0.5, end=-0.5)
    plot.yaxis.ticker = FixedTicker(ticks=list(range(len(rows))))
    # Plain text: in other labels the library would take $$ for a formula, and fetch what sets it.
    plot.yaxis.major_label_overrides = {place: PlainText(text=shortened(row.key)) for place, row in enumerate(rows)}
    plot.ygrid.visible = False
    plot.yaxis.major_tick_in = plot.yaxis.major_tick_out = 0
    image = plot.image(
        image="present",
        x="start",
        y="place",
        dw="width",
        dh=0.8,
        source=_heat_source(rows),
        color_mapper=LinearColorMapper(palette=palette(), low=0, high=1),
    )
    tips = [
        ("series", "@key"),
        ("month", "@year-@month{%02d}"),
        ("rows", "@rows{0,0}"),
        ("present", "@present{0.00%} @meaning"),
    ]
    plot.add_tools(HoverTool(renderers=[image], tooltips=tips, formatters={"@month": "printf"}))
    return _item(plot)


def _heat_source(rows: Sequence[HeatRow]) -> ColumnDataSource:
    starts = [_month_ms(row.edges[:-1]) for row in rows]
    stops = [float(_month_ms(row.edges[-1:])[0]) for row in rows]
    return ColumnDataSource(
        {
            "key": [row.key for row in rows],
            "meaning": ["of expected" if row.has_timeframe else "of the fullest" for row in rows],
            "present": [row.present[None, :] for row in rows],
            "rows": [_counts(row.rows)[None, :] for row in rows],
            "year": [(1970 + row.edges[None, :-1] // 12).astype(np.int16) for row in rows],
            "month": [(row.edges[None, :-1] % 12 + 1).astype(np.uint8) for row in rows],
            "start": [float(each[0]) for each in starts],
            "width": [stop - float(each[0]) for each, stop in zip(starts, stops, strict=True)],
            "place": [place - 0.4 for place in range(len(rows))],
        }
    )


def _counts(rows: NDArray[np.int64]) -> NDArray[Any]:
    """In the smallest numbers that JavaScript takes."""
    return rows.astype(np.uint32 if int(rows.max()) < 1 << 32 else np.float64)


def _month_ms(months: NDArray[np.int64]) -> NDArray[np.float64]:
    return months.astype("<M8[M]").astype("<M8[ms]").astype(np.float64)


def bars(sample: Sample, per_ms: float) -> Item:
    """Candles: each of one stretch of time."""
    starts, width = sample.starts / per_ms, sample.width / per_ms
    rises = sample.last >= sample.first
    source = ColumnDataSource(
        {
            "time": starts + width / 2,
            "start": starts,
            "open": sample.first,
            "low": sample.least,
            "high": sample.greatest,
            "close": sample.last,
            "rows": sample.rows.astype(np.float64),
            "colour": [_css(PRESENT if rise else MISSING) for rise in rises.tolist()],
        }
    )
    plot = _plot(_CHART_HEIGHT)
    plot.segment("time", "high", "time", "low", color="colour", source=source)
    bodies = plot.vbar("time", width * 0.7, "open", "close", color="colour", source=source)
    names = ("open", "high", "low", "close")
    tips = [
        ("from", "@start{%F %T}"),
        *((name, f"@{name}{{0,0.[00000000]}}") for name in names),
        ("rows", "@rows{0,0}"),
    ]
    plot.add_tools(HoverTool(renderers=[bodies], tooltips=tips, formatters={"@start": "datetime"}, mode="vline"))
    return _item(plot)


def line(sample: Sample, per_ms: float) -> Item:
    """A line through the first, least, greatest and last value of each stretch of time."""
    starts, width = sample.starts / per_ms, sample.width / per_ms
    middle = starts + width / 2
    times = np.stack([starts, middle, middle, starts + width], 1)
    values = np.stack([sample.first, sample.least, sample.greatest, sample.last], 1)
    plot = _plot(_CHART_HEIGHT)
    source = ColumnDataSource({"time": times.ravel(), "value": values.ravel()})
    drawn = plot.line("time", "value", color=_css(PRESENT), line_width=1.5, source=source)
    tips = [("time", "@time{%F %T}"), ("value", "@value{0,0.[00000000]}")]
    plot.add_tools(HoverTool(renderers=[drawn], tooltips=tips, formatters={"@time": "datetime"}, mode="vline"))
    return _item(plot)


def _plot(height: int, **options: Any) -> Any:
    """An empty drawing over time, as wide as the page; nothing in it takes a finger's swipe from the page."""
    plot = figure(
        height=height,
        sizing_mode="stretch_width",
        x_axis_type="datetime",
        tools="",
        toolbar_location=None,
        background_fill_color=None,
        border_fill_color=None,
        outline_line_color=None,
        min_border_right=28,
        **options,
    )
    plot.axis.minor_tick_line_color = None
    plot.axis.axis_line_color = None
    plot.xaxis.major_label_policy = NoOverlap(min_distance=8)
    return plot


def _item(plot: Any) -> Item:
    return dict(json_item(plot))


def _css(colour: tuple[int, int, int]) -> str:
    return f"rgb{colour}"


def shortened(text: str) -> str:
    """A label that leaves room for the drawing on a phone: its middle left out."""
    if len(text) <= _LONGEST_LABEL:
        return text
    half = (_LONGEST_LABEL - 1) // 2
    return f"{text[:half]}…{text[-half:]}"


def height_of(item: Item) -> int:
    """How many pixels high a drawing is."""
    height: int = item["doc"]["roots"][0]["attributes"]["height"]
    return height
