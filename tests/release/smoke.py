"""What a user does first, with nothing installed but FastK and what it needs. Run by itself, in an empty folder.

No import from the tests, no optional library: an environment that has one is refused.
"""

import importlib.metadata
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np

import fastk

SCRIPTS = Path(sys.executable).parent
MINUTE = 60_000
START = 1_706_745_600_000
OPTIONAL = ("bokeh", "duckdb", "jinja2", "mkdocs", "pandas", "plotly", "polars", "pyarrow", "rich", "shtab", "torch")


def run(program, *arguments, status=0, given=None):
    """What a script of FastK prints; on stderr, where it is to fail."""
    command = [SCRIPTS / program, *arguments]
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    assert done.returncode == status, (command, done.returncode, done.stderr)
    assert "Traceback" not in done.stderr, done.stderr
    return done.stderr if status else done.stdout


def check_environment():
    """Nothing optional is there; what a wheel is to hold is."""
    assert [name for name in OPTIONAL if importlib.util.find_spec(name)] == []
    assert fastk.__version__ == importlib.metadata.version("fastk-engine")
    files = {str(file).split("dist-info/")[-1] for file in importlib.metadata.files("fastk-engine")}
    for needed in ("fastk/py.typed", "licenses/LICENSE", "fastk/kernels/__init__.py"):
        assert needed in files, needed
    assert any(name.startswith("fastk/bridge/schemas/") for name in files)


def check_public_names():
    """Every one can be imported without an extra."""
    for name in fastk.__all__:
        assert getattr(fastk, name) is not None or name == "__version__"


def check_store():
    """Open, put, range, where, and what goes with them."""
    minutes = np.arange(1_000)
    price = 100 + minutes % 50
    rows = {"ts": START + MINUTE * minutes, **dict.fromkeys(("open", "high", "low", "close"), price), "volume": minutes}
    with fastk.open("store") as store:
        series = store.register_kline_series("BTC", "1m", MINUTE, price_scale=100)
        assert series.put(rows).accepted == 1_000
        assert series.put(rows, on_conflict="skip_identical").identical == 1_000
        assert series.range("2024-02-01T01:00", "2024-02-01T02:00", closed="left").close.sum() == price[60:120].sum()
        assert len(series.where("volume", fastk.Gt(989)).rows) == 10
        assert series.at_many(rows["ts"][::100]).found.all()
        assert store.feature_matrix([series.key], columns=["close"]).values.shape == (1_000, 1)
        assert series.verify().blocks > 0
        store.snapshot("btc", "1", base="research")
    assert len(fastk.warmup()) > 10


def check_commands():
    """Each program answers; what needs an extra names it, in one line."""
    version = f"fastk {fastk.__version__}\n"
    assert run("fastk", "--version") == run("fastk-engine", "--version") == version
    assert json.loads(run("fastk_admin", "scrub", "--root", "store"))[0]["validation"]["manifest_exists"]
    assert json.loads(run("fastk", "admin", "health", "--root", "store"))["series_count"] == 1
    assert json.loads(run("fastk", "registry", "list", "--base", "research"))[0]["dataset_id"] == "btc"
    window = ("--start-ts", str(START), "--end-ts", str(START + MINUTE))
    answer = run("fastk_bridge", "read-kline-range", "--root", "store", "--symbol", "BTC", "--timeframe", "1m", *window)
    assert len(json.loads(answer)["records"]) == 2
    assert "kernels ready" in run("fastk", "warmup")
    Path("bars.csv").write_text("ts,open,high,low,close,volume\n")
    kline = ("--symbol", "BTC", "--category", "kline", "--name", "1m")
    needing = {
        ("demo",): "demo",
        ("completion", "bash"): "cli",
        ("report", "store", "-o", "report.html"): "report",
        ("export", "store", "others.csv", *kline): "files",
        ("import", "store", "bars.csv", *kline): "files",
    }
    for command, extra in needing.items():
        said = run("fastk", *command, status=1)
        assert re.fullmatch(rf"fastk: .*pip install 'fastk-engine\[{extra}\]'\n", said), said


if __name__ == "__main__":
    for check in (check_environment, check_public_names, check_store, check_commands):
        check()
    print(f"fastk {fastk.__version__} on Python {sys.version.split()[0]}, numpy {np.__version__}: all is well")
