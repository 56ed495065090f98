"""How long the proof takes: a sample with every check, more with all tests, the most where FASTK_TORTURE is set."""

import os
from typing import Any

import pytest

TORTURE = bool(os.environ.get("FASTK_TORTURE"))
only_torture = pytest.mark.skipif(not TORTURE, reason="takes minutes: set FASTK_TORTURE=1")


def amounts(few: Any, many: Any, most: Any) -> list[Any]:
    """Parameters of a test: in the fast part, in the slow part, and in the longest form."""
    return [few, pytest.param(many, marks=pytest.mark.slow), pytest.param(most, marks=[pytest.mark.slow, only_torture])]
