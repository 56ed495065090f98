"""Other libraries are loaded when they are used, and one that is missing is asked for by name."""

import subprocess
import sys

import pytest
from builders import bars, contents
from interop_stores import three_months

import fastk

LIBRARIES = {"pandas", "polars", "pyarrow", "duckdb"}


def loaded_by(code):
    """Which of the libraries a process has loaded after some code."""
    report = f"import sys\n{code}\nprint(*sorted({LIBRARIES!r} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.slow
def test_what_each_way_loads(tmp_path):
    with three_months() as (store, _):
        rows = (
            f"import fastk; store = fastk.open({str(store.root)!r}, mode='r'); rows = store.kline('BTC', '1m').range()"
        )
        assert loaded_by(rows + "; rows.to_numpy(); repr(rows); rows._repr_html_(); store._repr_html_()") == set()
        assert loaded_by(rows + "; rows.to_pandas()") - {"pyarrow"} == {"pandas"}  # pandas itself may load pyarrow
        assert loaded_by(rows + "; rows.to_arrow()") - {"pandas"} == {"pyarrow"}
        assert "duckdb" not in loaded_by(rows + "; rows.to_polars()")
    put = "import fastk; s = fastk.open({!r}).register_kline_series('B', '1m', 60000); s.put({!r})"
    rows = {name: column.tolist() for name, column in bars().items()}
    assert loaded_by(put.format(str(tmp_path / "store"), rows)) == set()
    assert contents(tmp_path / "store")


USES = [
    ("pandas", "pandas", lambda store, series: series.range().to_pandas()),
    ("pyarrow", "arrow", lambda store, series: series.range().to_arrow()),
    ("pyarrow", "arrow", lambda store, series: series.range().__arrow_c_stream__()),
    ("pyarrow", "arrow", lambda store, series: series.arrow_dataset()),
    ("polars", "polars", lambda store, series: series.range().to_polars()),
    ("polars", "polars", lambda store, series: series.lazy()),
    ("polars", "polars", lambda store, series: fastk.polars.scan(series)),
    ("duckdb", "duckdb", lambda store, series: fastk.duckdb.connect(store)),
]


@pytest.mark.parametrize(("library", "extra", "use"), USES)
def test_a_missing_library_is_named_with_its_extra(monkeypatch, library, extra, use):
    for name in [name for name in sys.modules if name.partition(".")[0] == library]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, library, None)
    with three_months() as (store, series), pytest.raises(ModuleNotFoundError) as missing:
        use(store, series)
    assert str(missing.value) == f"this needs {library}, which is not installed: pip install 'fastk-engine[{extra}]'"


def test_a_library_that_is_too_old_is_named_with_what_it_takes(monkeypatch):
    duckdb = pytest.importorskip("duckdb")
    monkeypatch.setattr(duckdb, "__version__", "1.4.1")
    words = r"needs duckdb 2 or newer, and 1\.4\.1 is installed: pip install 'fastk-engine\[duckdb\]'"
    with three_months() as (store, series), duckdb.connect() as connection:
        with pytest.raises(ModuleNotFoundError, match=words):
            fastk.duckdb.connect(store)
        with pytest.raises(ModuleNotFoundError, match=words):
            fastk.duckdb.register(connection, series)


def test_modules_for_other_libraries_do_not_hide_them():
    assert not {"polars", "duckdb"} & set(fastk.__all__)
    assert fastk.polars.__name__.startswith("fastk.interop.")
    assert fastk.duckdb.__name__.startswith("fastk.interop.")
    with pytest.raises(AttributeError, match="no attribute 'pandas'"):
        _ = fastk.pandas
