"""What a session is to attach: bindings of series, and plans made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastk import keys
from fastk.errors import InvalidInput
from fastk.keys import ScalarSeriesKey, SeriesKey


@dataclass(frozen=True, slots=True)
class BacktestKlineBinding:
    """One kline series of a plan."""

    symbol: str
    timeframe: str

    @property
    def series_key(self) -> SeriesKey:
        """The key under which the series is stored."""
        return SeriesKey(self.symbol, keys.KLINE_CATEGORY, self.timeframe)


@dataclass(frozen=True, slots=True)
class ScopedScalarBinding:
    """One scalar series of a plan: symbol, timeframe, category and the scalar's own name."""

    symbol: str
    timeframe: str
    category: str
    name: str

    @classmethod
    def indicator(cls, symbol: str, timeframe: str, name: str) -> ScopedScalarBinding:
        """An indicator."""
        return cls(symbol, timeframe, keys.INDICATOR_CATEGORY, name)

    @classmethod
    def feature(cls, symbol: str, timeframe: str, name: str) -> ScopedScalarBinding:
        """A feature."""
        return cls(symbol, timeframe, keys.FEATURE_CATEGORY, name)

    @classmethod
    def factor(cls, symbol: str, timeframe: str, name: str) -> ScopedScalarBinding:
        """A factor."""
        return cls(symbol, timeframe, keys.FACTOR_CATEGORY, name)

    @classmethod
    def signal(cls, symbol: str, timeframe: str, name: str) -> ScopedScalarBinding:
        """A signal."""
        return cls(symbol, timeframe, keys.SIGNAL_CATEGORY, name)

    @classmethod
    def portfolio(cls, timeframe: str, name: str) -> ScopedScalarBinding:
        """A figure of the portfolio, under its reserved symbol."""
        return cls(keys.PORTFOLIO_SYMBOL, timeframe, keys.PORTFOLIO_CATEGORY, name)

    @classmethod
    def risk(cls, symbol: str, timeframe: str, name: str) -> ScopedScalarBinding:
        """A figure of risk."""
        return cls(symbol, timeframe, keys.RISK_CATEGORY, name)

    @classmethod
    def metric(cls, symbol: str, timeframe: str, name: str) -> ScopedScalarBinding:
        """A metric."""
        return cls(symbol, timeframe, keys.METRIC_CATEGORY, name)

    def to_series_key(self) -> ScalarSeriesKey:
        """The scalar key of the series."""
        return ScalarSeriesKey(self.symbol, self.timeframe, self.category, self.name)

    @property
    def series_key(self) -> SeriesKey:
        """The key under which the series is stored."""
        return self.to_series_key().series_key


@dataclass(frozen=True, slots=True)
class BacktestPreparePlan:
    """What a backtest reads: kline and scalar bindings, and whether to prewarm them.

    Pairs (symbol, timeframe) and scalar keys stand for bindings as well.
    """

    kline: Sequence[BacktestKlineBinding | tuple[str, str]] = ()
    scalar: Sequence[ScopedScalarBinding | ScalarSeriesKey] = ()
    prewarm: bool = False

    @property
    def keys(self) -> list[SeriesKey]:
        """All series of the plan, klines first; InvalidInput for what is no binding, or has a blank name."""
        return [*map(kline_key, listed(self.kline)), *map(scalar_key, listed(self.scalar))]


def listed(bindings: Any) -> list[Any]:
    """What is given as a list of series."""
    try:
        if not isinstance(bindings, (str, bytes)):
            return list(bindings)
    except TypeError:
        pass
    raise InvalidInput(f"a list of series is wanted, not {bindings!r}")


def kline_key(binding: Any) -> SeriesKey:
    """The series of a kline binding or a pair (symbol, timeframe)."""
    if isinstance(binding, (tuple, list)) and len(binding) == 2:
        binding = BacktestKlineBinding(*binding)
    if not isinstance(binding, BacktestKlineBinding):
        raise InvalidInput(f"{binding!r} names no kline series: give BacktestKlineBinding(symbol, timeframe)")
    for part, value in (("symbol", binding.symbol), ("timeframe", binding.timeframe)):
        if not isinstance(value, str) or not value.strip():
            raise InvalidInput(f"{part} is blank in {binding!r}")
    return binding.series_key


def scalar_key(binding: Any) -> SeriesKey:
    """The series of a scalar binding or key."""
    if isinstance(binding, (ScopedScalarBinding, ScalarSeriesKey)):
        return binding.series_key
    raise InvalidInput(
        f"{binding!r} names no scalar series: give ScopedScalarBinding(symbol, timeframe, category, name)"
    )
