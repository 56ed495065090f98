"""What a process imports before its first answer, beyond numpy: no more than that answer needs.

Each module costs a tenth of a millisecond, and what it does at import may cost more: a dataclass 0.3 to 0.8, a pattern
up to 0.2.
"""

import os
import subprocess
import sys

import pytest
from builders import JANUARY, MINUTE, bars

import fastk

# A module that is new here costs every process. Import it where it is used, unless every first read needs it.
OF_THE_STANDARD_LIBRARY = {"_bisect", "_json", "bisect", "fnmatch", "gc", "json", "mmap"}
OF_SOME_NUMPY = {"__future__", "errno", "importlib"}  # which loads them itself in other versions
OF_A_READ = {
    "arrays",
    "engine",
    "engine.cache",
    "engine.chunk_index",
    "engine.chunks",
    "engine.files",
    "engine.gate",
    "engine.layouts",
    "engine.mapped",
    "engine.pieces",
    "engine.reader",
    "engine.rows",
    "engine.snapshot",
    "errors",
    "format",
    "format.binary",
    "format.chunk",
    "format.manifest",
    "format.names",
    "format.store_file",
    "format.tables",
    "io",
    "io.disk",
    "io.mapping",
    "kernels",
    "kernels.plain",
    "kernels.plain.checksum",
    "keys",
    "partition",
    "schema",
    "schema.fixed",
    "schema.schema",
    "schema.settings",
    "store",
    "store.datasets",
    "store.file_names",
    "store.matrix_names",
    "store.metrics_names",
    "store.original_names",
    "store.query_names",
    "store.read_names",
    "store.recovery_names",
    "store.replay_names",
    "store.series",
    "store.session_names",
    "store.store",
    "store.upkeep",
    "times",
}
OF_THE_BRIDGE = {
    "bridge",
    "bridge.answers",
    "bridge.commands",
    "bridge.failures",
    "bridge.main",
    "bridge.options",
    "bridge.reads",
    "bridge.rows_text",
    "bridge.series_keys",
    "bridge.stored",
}
ROWS = 4
LAST = JANUARY + (ROWS - 1) * MINUTE
READ = """
import fastk
rows = fastk.open(sys.argv[1], "r").kline("BTC", "1m").range({JANUARY}, {LAST})
assert len(rows.close) == {ROWS}
"""
BRIDGE_READ = """
from fastk.bridge.main import main
read = ["read-kline-range", "--root", sys.argv[1], "--symbol", "BTC", "--timeframe", "1m"]
assert main([*read, "--start-ts", "{JANUARY}", "--end-ts", "{LAST}"]) == 0
"""
BATCH_READ = """
found, _ = fastk.open(sys.argv[1], "r").kline("BTC", "1m").at_many(rows.ts)
assert len(found) == {ROWS}
"""
WRITE = """
import fastk
columns = {name: [1, 2, 3] for name in fastk.KLINE.names}
with fastk.open("{NEW}") as store:
    store.register_kline_series("BTC", "1m", 1).put(columns)
"""
MATRIX = """
import fastk
matrix = fastk.open(sys.argv[1], "r").feature_matrix([("BTC", "kline", "1m")])
assert len(matrix.ts) == {ROWS}
"""
REFUSE_PATTERNS = """
import json, numpy, re
re.match = re.search = re.fullmatch = re.sub = re.split = re.findall = re.finditer = None
"""
THREADS = "/proc/self/task"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cold") / "store"
    with fastk.open(folder) as store:
        store.register_kline_series("BTC", "1m", MINUTE).put(bars(count=ROWS))
    return folder


def run(code, root, **environment):
    """What a fresh process says on stderr."""
    usual = {name: value for name, value in os.environ.items() if name not in ("FASTK_KERNELS", "OPENBLAS_NUM_THREADS")}
    filled = code.replace("{JANUARY}", str(JANUARY)).replace("{LAST}", str(LAST)).replace("{ROWS}", str(ROWS))
    command = [sys.executable, "-c", f"import os, sys\n{filled}", str(root)]
    done = subprocess.run(
        command, env=usual | environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True
    )
    return done.stderr


def loaded(code, root):
    """The modules that a process has loaded beyond those of ``import numpy``."""
    tell = "print(*sys.modules, file=sys.stderr)"
    everything, of_numpy = (set(run(f"{each}\n{tell}", root).split()) for each in (code, "import numpy"))
    return everything - of_numpy


def of_fastk(modules):
    """The names of FastK's modules."""
    return {name.removeprefix("fastk.") for name in modules if name.startswith("fastk.")}


def of_the_standard_library(modules):
    return {name.partition(".")[0] for name in modules} - {"fastk"}


def test_a_first_read_imports_what_it_needs(root):
    modules = loaded(READ, root)
    assert of_fastk(modules) == OF_A_READ
    assert of_the_standard_library(modules) - OF_THE_STANDARD_LIBRARY - OF_SOME_NUMPY == set()


def test_to_import_the_store_takes_no_more_than_to_open_one_but_its_json(root):
    modules = loaded("import fastk\nfastk.FastKStore", root)
    assert of_fastk(modules) - OF_A_READ == set()
    assert of_the_standard_library(modules) - OF_THE_STANDARD_LIBRARY - OF_SOME_NUMPY == set()
    assert "json" not in modules


def test_a_first_read_of_the_bridge_imports_no_more(root):
    modules = loaded(BRIDGE_READ, root)
    assert of_fastk(modules) - OF_A_READ - OF_THE_BRIDGE == set()
    assert of_the_standard_library(modules) - OF_THE_STANDARD_LIBRARY - OF_SOME_NUMPY == set()


def test_a_first_read_compiles_no_pattern(root):
    """None is kept, and none looked for: the patterns of the json package alone."""
    kept = "(name for name, module in sys.modules.items() if name.startswith('fastk')"
    found = "any(isinstance(value, re.Pattern) for value in vars(module).values()))"
    assert run(f"{REFUSE_PATTERNS}{READ}\nprint(*{kept} if {found}, file=sys.stderr)", root).split() == []


@pytest.mark.parametrize("code", [f"{READ}\n{BATCH_READ}", WRITE], ids=["batch read", "write"])
def test_arrays_that_are_not_masked_do_not_import_numpys_masked_arrays(code, root, tmp_path):
    assert "numpy.ma" not in loaded(code.replace("{NEW}", str(tmp_path / "new")), root)


def test_a_matrix_in_memory_imports_nothing_that_saves_one(root):
    assert {"fastk.matrix.saved", "hashlib", "secrets"} & loaded(MATRIX, root) == set()


@pytest.mark.slow
def test_listings_import_nothing_that_looks_for_damage(root):
    code = "from fastk.cli.admin import main\nassert main(['list-series', '--root', sys.argv[1]]) == 0"
    damage = {f"recovery.{name}" for name in ("validate", "repair", "plan", "adoption", "listings")}
    assert of_fastk(loaded(code, root)) & damage == set()


@pytest.mark.skipif(not os.path.isdir(THREADS), reason="counts threads in /proc")
@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="numpy starts a thread a core")
@pytest.mark.parametrize("code", [BRIDGE_READ, "from fastk.cli.failures import prepare_process\nprepare_process()"])
def test_a_command_starts_no_threads_for_matrices_that_it_never_multiplies(root, code):
    count = f"import numpy\nprint(len(os.listdir({THREADS!r})), file=sys.stderr)"
    assert run(f"{code}\n{count}", root) == "1\n"


def test_the_environment_may_ask_for_those_threads(root):
    tell = "print(os.environ['OPENBLAS_NUM_THREADS'], file=sys.stderr)"
    assert run(f"{BRIDGE_READ}\n{tell}", root, OPENBLAS_NUM_THREADS="2") == "2\n"


@pytest.mark.parametrize(("command", "collects"), [("kline-inventory", False), ("batch", True)])
def test_only_a_batch_looks_for_garbage(root, command, collects):
    code = "import gc, fastk.bridge.main as bridge\nos._exit = lambda status: print(gc.isenabled(), file=sys.stderr)\n"
    series = [] if command == "batch" else ["--symbol", "BTC", "--timeframe", "1m"]
    assert run(f"{code}bridge.script([{command!r}, '--root', sys.argv[1], *{series!r}])", root) == f"{collects}\n"
