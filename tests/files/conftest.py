"""Tests of files need the library that reads and writes them."""

import pytest

pytest.importorskip("pyarrow", reason="the extra fastk-engine[files]")
