"""A store with a small market."""

import pytest
from session_calls import fill


@pytest.fixture
def market(store):
    """The store of all session tests: two kline series, trades, a feature."""
    return fill(store)
