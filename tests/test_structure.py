"""The house rules that a program can check: layers, lengths, docstrings, what `import fastk` costs, no local paths."""

import ast
import functools
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent

# A room is a module or package right below fastk. It may import from itself and from lower layers; rooms of one layer
# do not know each other. FACE is fastk/__init__.py: what users import, so that only what stands above it may import it.
FACE = "fastk itself"
LAYERS = (
    ("errors",),
    ("arrays",),
    ("times",),
    ("partition",),
    ("keys",),
    ("schema",),
    ("kernels",),
    ("io",),
    ("format",),
    ("engine",),
    ("query", "recovery", "registry"),
    ("matrix", "replay", "session"),
    ("interop",),
    ("store",),
    ("inspect",),
    ("report",),
    (FACE,),
    ("bridge",),
    ("cli",),
    ("__main__",),
)
LEVEL = {room: level for level, layer in enumerate(LAYERS) for room in layer}
VOCABULARY = frozenset({"errors", "arrays", "times", "partition", "keys", "schema"})

# Narrower than the layers: kernels stand alone, and recovery works when the engine cannot.
ONLY = {"kernels": frozenset[str](), "recovery": VOCABULARY | {"kernels", "io", "format"}}

# Rows.to_pandas and its kin find the optional libraries when they are called.
WHEN_CALLED = {("engine", "interop"), ("matrix", "interop")}

LONGEST_FILE = 600
LONGEST_FUNCTION = 80
HEAVY = (
    "numba",
    "pandas",
    "polars",
    "pyarrow",
    "duckdb",
    "rich",
    "bokeh",
    "jinja2",
    "crc32c",
    "sqlite3",
)


@dataclass(frozen=True)
class Import:
    """One import of something of fastk, wherever it stands in a module."""

    path: Path
    line: int
    source: str  # the room that imports
    target: str  # the room that is imported
    name: str
    when_called: bool


def python_files(package: Path) -> list[Path]:
    """Every module of the package, those behind symbolic links included."""
    folders = os.walk(package, followlinks=True)
    return sorted(Path(folder, name) for folder, _, names in folders for name in names if name.endswith(".py"))


def room_of(dotted: str) -> str:
    """The room of a full module name: fastk.io.disk lives in io."""
    parts = dotted.split(".")
    return parts[1] if len(parts) > 1 else FACE


def module_name(path: Path, package: Path) -> str:
    parts = path.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_room(package: Path, name: str) -> bool:
    return name in LEVEL or (package / name).is_dir() or (package / f"{name}.py").is_file()


def base_of(node: ast.ImportFrom, path: Path, package: Path) -> str:
    """What `from BASE import ...` names, in full, also when it is relative."""
    if not node.level:
        return node.module or ""
    parents = module_name(path.parent / "__init__.py", package).split(".")
    return ".".join(parents[: len(parents) - node.level + 1] + ([node.module] if node.module else []))


def imported_names(node: ast.AST, path: Path, package: Path) -> list[str]:
    """The full names that a node imports: nothing for most nodes. Calls of import_module count as imports."""
    match node:
        case ast.Import(names=names):
            return [name.name for name in names]
        case ast.ImportFrom(names=names):
            base = base_of(node, path, package)
            rooms = base == package.name
            return [f"{base}.{name.name}" if rooms and is_room(package, name.name) else base for name in names]
        case ast.Call(func=ast.Attribute(attr="import_module") | ast.Name(id="import_module" | "__import__")):
            return [word.value for word in node.args[:1] if isinstance(word, ast.Constant)]
    return []


def walk(node: ast.AST, in_function: bool = False) -> Iterator[tuple[ast.AST, bool]]:
    """Every node, and whether it stands in a function."""
    for child in ast.iter_child_nodes(node):
        yield child, in_function
        yield from walk(child, in_function or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda))


@functools.cache
def tree_of(path: Path) -> ast.Module:
    """A module parsed, once for all rules."""
    return ast.parse(path.read_text(encoding="utf-8"))


def imports_of(path: Path, package: Path) -> Iterator[Import]:
    source = room_of(module_name(path, package))
    for node, in_function in walk(tree_of(path)):
        for name in imported_names(node, path, package):
            if name.split(".")[0] == package.name:
                yield Import(path, node.lineno, source, room_of(name), name, in_function)


def allowed_rooms(source: str) -> frozenset[str]:
    lower = frozenset(room for room, level in LEVEL.items() if level < LEVEL[source])
    return ONLY.get(source, lower)


def complaint(found: Import) -> str | None:
    """Why an import is against the layers, or None."""
    if unknown := {found.source, found.target} - LEVEL.keys():
        return f"{', '.join(sorted(unknown))} stands in no layer: add it to LAYERS, as low as it can be"
    if found.source == found.target or found.target in allowed_rooms(found.source):
        return None
    if found.when_called and (found.source, found.target) in WHEN_CALLED:
        return None
    allowed = sorted(allowed_rooms(found.source), key=LEVEL.__getitem__)
    return f"{found.source} may import from itself and from: {', '.join(allowed) or 'nothing else of fastk'}"


def layer_faults(package: Path) -> list[str]:
    """One line for each import that breaks a rule: file, line, import, rule."""
    every = (found for path in python_files(package) for found in imports_of(path, package))
    return [
        f"{found.path.relative_to(package.parent)}:{found.line}: imports {found.name}: {rule}"
        for found in every
        if (rule := complaint(found))
    ]


def project_files() -> list[Path]:
    """All files that git knows or would take: links, deleted files and folders left out."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    if listing.returncode:
        pytest.skip("this is no git checkout")
    paths = [CHECKOUT / name for name in sorted(set(listing.stdout.split("\0"))) if name]
    return [path for path in paths if path.is_file() and not path.is_symlink()]


def project_sources() -> list[Path]:
    return [path for path in project_files() if path.suffix == ".py"]


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Those of a module: they stand among statements, so that expressions are not looked into."""
    waiting: list[ast.AST] = [tree_of(path)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node
        inner = ast.iter_child_nodes(node)
        waiting += (each for each in inner if isinstance(each, ast.stmt | ast.ExceptHandler | ast.match_case))


def report(faults: list[str]) -> None:
    assert not faults, "\n" + "\n".join(faults)


def test_imports_go_downward():
    report(layer_faults(CHECKOUT / "fastk"))


def test_every_module_says_what_it_is():
    package = CHECKOUT / "fastk"
    bare = [path.relative_to(CHECKOUT) for path in python_files(package) if not ast.get_docstring(tree_of(path))]
    report([f"{path}: no docstring" for path in bare])


def test_files_are_short():
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in project_sources()}
    long = {path: length for path, length in lengths.items() if length > LONGEST_FILE}
    report([f"{path.relative_to(CHECKOUT)}: {length} lines, over {LONGEST_FILE}" for path, length in long.items()])


def test_functions_are_short():
    report(
        [
            f"{path.relative_to(CHECKOUT)}:{node.lineno}: {node.name} is over {LONGEST_FUNCTION} lines long"
            for path in project_sources()
            for node in functions(path)
            if (node.end_lineno or node.lineno) - node.lineno >= LONGEST_FUNCTION
        ]
    )


def test_nothing_names_the_machine_it_was_written_on():
    """Joined here from parts, so that this file passes its own test."""
    outside = ["." + "./shared"]
    anywhere = ["/wo" + "rk/", "far" + "m-"]
    faults = []
    for path in project_files():
        words = anywhere if CHECKOUT / "tests" in path.parents else anywhere + outside
        text = path.read_bytes().decode("utf-8", errors="replace")
        for number, line in enumerate(text.splitlines(), 1):
            faults += [f"{path.relative_to(CHECKOUT)}:{number}: {word}" for word in words if word in line]
    report(faults)


def test_importing_fastk_is_light():
    code = f"import sys, fastk; print(*sorted(set({HEAVY!r}) & sys.modules.keys()))"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == []


# The checker itself: each case is a module of a made-up fastk, and whether its import is against the layers.
CASES = [
    ("engine/reader.py", "from fastk.format import chunk", None),
    ("engine/reader.py", "from fastk.engine.rows import Rows", None),
    ("engine/reader.py", "from .rows import Rows", None),
    ("engine/reader.py", "from ..format.chunk import Header", None),
    ("engine/reader.py", "import numpy, os.path", None),
    ("engine/reader.py", "def late():\n    from fastk.interop import pandas", None),
    ("engine/reader.py", "from fastk.interop import pandas", "engine/reader.py:1: imports fastk.interop: engine may"),
    ("engine/reader.py", "import fastk.store", "imports fastk.store"),
    ("engine/reader.py", "from fastk import store", "imports fastk.store"),
    ("engine/reader.py", "from .. import store", "imports fastk.store"),
    ("engine/reader.py", "from fastk import FastKStore", "imports fastk: engine may"),
    ("engine/reader.py", "def late():\n    import fastk.store.face", "engine/reader.py:2: imports fastk.store.face"),
    ("io/disk.py", "if TYPE_CHECKING:\n    from fastk.engine import Reader", "io/disk.py:2: imports fastk.engine"),
    ("io/disk.py", "import importlib\nimportlib.import_module('fastk.engine')", "io/disk.py:2: imports fastk.engine"),
    ("times.py", "from fastk.errors import InvalidInput", None),
    ("errors.py", "from fastk.times import now", "errors may import from itself and from: nothing else of fastk"),
    ("query/plan.py", "from fastk.registry import Registry", "imports fastk.registry: query may"),
    ("recovery/scrub.py", "from fastk.io import disk", None),
    ("recovery/scrub.py", "from fastk.engine import reader", "recovery may import from itself and from: errors, "),
    ("kernels/search.py", "from fastk.kernels import portable", None),
    ("kernels/search.py", "from fastk.errors import InvalidInput", "kernels may import from itself and from: nothing"),
    ("cli/main.py", "import fastk", None),
    ("bridge/main.py", "from fastk.cli import main", "imports fastk.cli: bridge may"),
    ("__init__.py", "from fastk.store import FastKStore", None),
    ("__init__.py", "from .cli import main", "__init__.py:1: imports fastk.cli: fastk itself may"),
    ("__main__.py", "from fastk.cli.main import main", None),
    ("helpers.py", "from fastk.errors import InvalidInput", "helpers stands in no layer"),
]


@pytest.mark.parametrize(("path", "text", "expected"), CASES, ids=[f"{case[0]}: {case[1]}" for case in CASES])
def test_the_checker_sees(path, text, expected, tmp_path):
    module = tmp_path / "fastk" / path
    module.parent.mkdir(parents=True, exist_ok=True)
    module.write_text(text)
    faults = layer_faults(tmp_path / "fastk")
    assert len(faults) == (expected is not None)
    assert expected is None or expected in faults[0]


def test_the_checker_follows_links(tmp_path):
    (tmp_path / "kernels").mkdir()
    (tmp_path / "kernels" / "search.py").write_text("import fastk.engine")
    (tmp_path / "fastk").mkdir()
    (tmp_path / "fastk" / "kernels").symlink_to("../kernels")
    assert len(layer_faults(tmp_path / "fastk")) == 1
