"""Which series: (symbol, category, name), and the helpers that build such keys.

The store gives categories no meaning; the constants are the original's conventions for its callers.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import NamedTuple

from fastk.errors import InvalidInput

KLINE_CATEGORY = "kline"
TRADE_CATEGORY = "trade"
BBO_CATEGORY = "bbo"
BOOK_DELTA_CATEGORY = "book_delta"

INDICATOR_CATEGORY = "indicator"
FEATURE_CATEGORY = "feature"
FACTOR_CATEGORY = "factor"
SIGNAL_CATEGORY = "signal"
PORTFOLIO_CATEGORY = "portfolio"
RISK_CATEGORY = "risk"
METRIC_CATEGORY = "metric"
PORTFOLIO_SYMBOL = "__portfolio__"

NAME_SEPARATOR = "@@"


class SeriesKey(NamedTuple):
    """The full name of any series. A scalar's ``name`` is ``timeframe@@name``."""

    symbol: str
    category: str
    name: str

    def __str__(self) -> str:
        return f"{self.symbol}/{self.category}/{self.name}"


class ScalarSeriesKey(NamedTuple):
    """The name of a scalar series: symbol, timeframe, category and the scalar's own name."""

    symbol: str
    timeframe: str
    category: str
    name: str

    @property
    def series_key(self) -> SeriesKey:
        """The key under which the series is stored."""
        for part, value in zip(self._fields, self, strict=True):
            if not isinstance(value, str) or not value.strip():
                raise InvalidInput(f"{part} is blank in {self!r}")
        if NAME_SEPARATOR in self.timeframe or self.timeframe.endswith("@") or self.name.startswith("@"):
            raise InvalidInput(
                f"timeframe {self.timeframe!r} and name {self.name!r} are joined by '@@' and cannot be "
                f"told apart again: leave '@' out where they meet"
            )
        return SeriesKey(self.symbol, self.category, f"{self.timeframe}{NAME_SEPARATOR}{self.name}")

    @classmethod
    def of(cls, key: SeriesKey) -> ScalarSeriesKey:
        """The scalar key of a stored series name."""
        timeframe, _, name = key.name.partition(NAME_SEPARATOR)
        return cls(key.symbol, timeframe, key.category, name)


def as_series_key(key: SeriesKey | ScalarSeriesKey | tuple[str, str, str]) -> SeriesKey:
    """Accept any of the key forms (a plain triple is symbol, category, name)."""
    if isinstance(key, ScalarSeriesKey):
        return key.series_key
    if isinstance(key, tuple) and len(key) == 3 and all(isinstance(part, str) for part in key):
        return SeriesKey(*key)
    raise InvalidInput(f"{key!r} is no series key: give (symbol, category, name) or a ScalarSeriesKey")


def scoped_scalar_series_key(symbol: str, timeframe: str, category: str, name: str) -> ScalarSeriesKey:
    """Key of a scalar series in any category."""
    return ScalarSeriesKey(symbol, timeframe, category, name)


def indicator_series_key(symbol: str, timeframe: str, name: str) -> ScalarSeriesKey:
    """Key of an externally calculated indicator."""
    return ScalarSeriesKey(symbol, timeframe, INDICATOR_CATEGORY, name)


def feature_series_key(symbol: str, timeframe: str, name: str) -> ScalarSeriesKey:
    """Key of an externally calculated feature."""
    return ScalarSeriesKey(symbol, timeframe, FEATURE_CATEGORY, name)


def factor_series_key(symbol: str, timeframe: str, name: str) -> ScalarSeriesKey:
    """Key of an externally calculated factor."""
    return ScalarSeriesKey(symbol, timeframe, FACTOR_CATEGORY, name)


def signal_series_key(symbol: str, timeframe: str, name: str) -> ScalarSeriesKey:
    """Key of a signal-like scalar; its values mean what the caller says."""
    return ScalarSeriesKey(symbol, timeframe, SIGNAL_CATEGORY, name)


def risk_series_key(symbol: str, timeframe: str, name: str) -> ScalarSeriesKey:
    """Key of a risk figure."""
    return ScalarSeriesKey(symbol, timeframe, RISK_CATEGORY, name)


def metric_series_key(symbol: str, timeframe: str, name: str) -> ScalarSeriesKey:
    """Key of a metric."""
    return ScalarSeriesKey(symbol, timeframe, METRIC_CATEGORY, name)


def portfolio_series_key(timeframe: str, name: str) -> ScalarSeriesKey:
    """Key of a portfolio-wide scalar, stored under the reserved symbol ``__portfolio__``."""
    return ScalarSeriesKey(PORTFOLIO_SYMBOL, timeframe, PORTFOLIO_CATEGORY, name)


def matches(name: str, pattern: str) -> bool:
    """Whether a name matches a shell pattern, or is the pattern, letter by letter: ``A[1]`` is a name, too."""
    return name == pattern or fnmatchcase(name, pattern)


def reserved_scalar_categories() -> tuple[str, ...]:
    """The categories for which a key helper exists."""
    return (
        INDICATOR_CATEGORY,
        FEATURE_CATEGORY,
        FACTOR_CATEGORY,
        SIGNAL_CATEGORY,
        PORTFOLIO_CATEGORY,
        RISK_CATEGORY,
        METRIC_CATEGORY,
    )
