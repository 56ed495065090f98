"""Files that somebody made up, with right checksums: any parser refuses them or gives what can be used.

Numbers near every power of two stand where counts, lengths and offsets are read. Another process does it, under limits
of memory and time. What once did harm stands in ``tests/regressions`` and is tried again. ``fuzz_by_coverage.py`` goes
on for as long as it is let, where atheris is installed.
"""

import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import temporary_folder
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from support import damage, fuzzing
from support.figures import Note
from support.processes import children
from support.torture import amounts

import fastk
from fastk.bridge.batch import Batch
from fastk.format import names, tables

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="stores are written on POSIX systems only")
REGRESSIONS = Path(__file__).resolve().parent.parent / "regressions"
KINDS = list(damage.FILES)


@pytest.fixture(scope="module")
def root() -> Iterator[Path]:
    with temporary_folder() as folder:
        damage.make_store(folder / "store")
        yield folder / "store"


def hunt(pipe: Any, work: Callable[[Any], str], strategy: Any, examples: int) -> None:
    """Try examples by hypothesis, in a process that has limits; tell how many came to which end, and signs of life."""
    damage.limit_memory()
    ends: Counter[str] = Counter()

    def attempt(example: Any) -> None:
        ends[work(example)] += 1
        if ends.total() % 50 == 0:
            pipe.send(None)

    options = settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink] if examples < 5_000 else [Phase.generate],
    )
    seed(examples)(options(given(strategy)(attempt)))()
    pipe.send(dict(ends))


def in_another_process(work: Callable[..., None], *arguments: Any) -> dict[str, int]:
    """What it tells at its end: how many examples came to which end."""
    with children((work, *arguments)) as (child,):
        told = [each for each in child.rest() if each is not None]
        assert child.end() == 0, "the process died"
    (ends,) = told
    return ends


def fuzz_parser(pipe: Any, kind: str, content: bytes, examples: int) -> None:
    def work(data: bytes) -> str:
        return "taken" if fuzzing.parse(kind, data) else "refused"

    hunt(pipe, work, fuzzing.changed(content), examples)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("examples", amounts(60, 1_500, 15_000))
def test_parsers_refuse_what_they_cannot_use(root: Path, kind: str, examples: int, figures: Note) -> None:
    ends = in_another_process(fuzz_parser, kind, damage.file_of(root, kind).read_bytes(), examples)
    figures("fuzzing", kind, ends)


def fuzz_store(pipe: Any, root: str, kind: str, examples: int) -> None:
    """Each time in a copy, whose other files name the changed one as their own."""
    os.environ["FASTK_KERNELS"] = "lazy"
    content, copy = damage.file_of(Path(root), kind).read_bytes(), Path(f"{root} {kind} copy")

    def work(data: bytes) -> str:
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(root, copy)
        fuzzing.plant(copy, kind, data)
        fuzzing.use(copy)
        fuzzing.change(copy)
        return "put into a store"

    hunt(pipe, work, fuzzing.changed(content), examples)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("examples", amounts(12, 25, 800)[1:])
def test_stores_with_files_that_were_made_up_do_no_harm(root: Path, kind: str, examples: int, figures: Note) -> None:
    figures("fuzzing", kind, in_another_process(fuzz_store, str(root), kind, examples))


# The bridge

NUMBERS = st.integers() | st.sampled_from([*fuzzing.NUMBERS, -(2**63), -(2**63) - 1]) | st.floats() | st.none()
VALUES = st.recursive(
    NUMBERS | st.booleans() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


def mostly(usual: Any, other: Any = VALUES) -> Any:
    """Something right nine times out of ten, so that a whole line may be right; else anything."""
    return st.integers(0, 9).flatmap(lambda dice: usual if dice else other)


SMALL = mostly(st.integers(0, 40).map(lambda minute: 60_000 * minute), st.integers(-3, 2_000_000) | VALUES)
NAMES = ("ts", "open", "high", "low", "close", "volume", "value")
RECORDS = mostly(st.lists(st.fixed_dictionaries(dict.fromkeys(NAMES, SMALL)), max_size=5))
INPUTS = mostly(
    st.fixed_dictionaries(
        {
            "timeframe_ms": mostly(st.just(60_000)),
            "price_scale": mostly(st.just(100)),
            "volume_scale": mostly(st.just(1)),
            "records": RECORDS,
        }
    )
)
WORDS = st.sampled_from(["BTC", "1m", "feature", "Between", "", "..", "a/b", "\0"]) | st.text(max_size=5) | VALUES
OPTIONS = {
    "symbol": mostly(st.sampled_from(["BTC", "ETH"]), WORDS),
    "timeframe": mostly(st.just("1m"), WORDS),
    "category": mostly(st.just("feature"), WORDS),
    "name": mostly(st.just("gap"), WORDS),
    "indicator_name": mostly(st.just("rsi"), WORDS),
    "predicate": mostly(st.sampled_from(["Eq", "Between", "InSet", "Gte"]), WORDS),
    **dict.fromkeys(("start_ts", "end_ts", "value", "min", "max"), SMALL),
    "values": mostly(st.lists(st.integers(0, 9), max_size=4)),
    "return_values": mostly(st.booleans()),
    "id": VALUES,
}
COMMANDS = mostly(st.sampled_from(sorted(fuzzing.COMMANDS)))
OTHERS = mostly(st.just(set()), st.sets(st.sampled_from(sorted(OPTIONS)), max_size=2))


@st.composite
def lines(draw: Any) -> bytes:
    """A command with the options that it takes, more or fewer; sometimes spoilt as text."""
    name = draw(COMMANDS)
    wanted = {option.key for option in fuzzing.COMMANDS[name].options} if name in list(fuzzing.COMMANDS) else set()
    chosen = (wanted & set(OPTIONS)) ^ draw(OTHERS)
    request = {"command": name, **{each: draw(OPTIONS[each]) for each in sorted(chosen)}, "input": draw(INPUTS)}
    text = json.dumps(request).encode()
    return draw(mostly(st.just(text), fuzzing.changed(text)))


def fuzz_lines(pipe: Any, root: str, examples: int) -> None:
    batch = Batch(root)

    def work(line: bytes) -> str:
        answer = json.loads(batch.answer(line.replace(b'"root"', b'"r00t"')))
        if "error" not in answer:
            return "taken"
        assert answer["error"]["type"] in KNOWN_ERRORS, answer
        return "refused"

    hunt(pipe, work, lines(), examples)


KNOWN_ERRORS = {"InvalidInput", "NotFound", "Conflict", "InvalidData", "StoreClosed"}


@pytest.mark.parametrize("examples", amounts(120, 2_000, 15_000))
def test_the_bridge_answers_any_line(tmp_path: Path, examples: int, figures: Note) -> None:
    figures("fuzzing", "line for the bridge", in_another_process(fuzz_lines, str(tmp_path / "store"), examples))


# What was found


@pytest.mark.parametrize("path", sorted(REGRESSIONS.glob("*/*")), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_what_once_did_harm_is_refused(path: Path, figures: Note) -> None:
    """Each file was taken for a sound one, and what was done with it then ended in an error that is none of FastK's."""
    kind = path.parent.name.replace("-", " ")
    with pytest.raises(fastk.InvalidData):
        fuzzing.PARSERS[kind](fuzzing.resealed(kind, path.read_bytes()))
    figures("fuzzing", kind, {"cases kept": 1})


def plant_table(root: Path, *, counted: bool = True, **values: int) -> None:
    """Let the first chunk of the series' table have other values; ``counted``: the manifest agrees."""
    content = damage.file_of(root, "chunk table").read_bytes()
    items = np.frombuffer(content[40:-4], tables.CHUNK).copy()
    for name, value in values.items():
        items[name][0] = value
    fuzzing.plant(root, "chunk table", content[:40] + items.tobytes() + bytes(4), counted=counted)


class TestNumbersAtTheirEnd:
    @pytest.fixture
    def copy(self, root: Path, tmp_path: Path) -> Path:
        return Path(shutil.copytree(root, tmp_path / "copy"))

    @pytest.mark.parametrize("numbers", ["99999999999999-0000", "00000009-9999999"])
    def test_a_file_name_with_a_number_that_no_commit_gets_is_no_name_of_ours(self, copy: Path, numbers: str) -> None:
        """The next commit once got a number behind it, which no id holds, and so did every later one."""
        planted = damage.file_of(copy, "chunk").with_name(f"2024-01-01T09.{numbers}.chunk")
        planted.write_bytes(b"of somebody else")
        with fastk.open(copy) as store:
            assert store.series(damage.KEY).delete_range().deleted == damage.HOURS * damage.ROWS
            assert store.series(damage.KEY).sequence == 4
        assert planted.read_bytes() == b"of somebody else"

    def test_the_last_commit_number_is_the_last(self, copy: Path) -> None:
        planted = damage.file_of(copy, "chunk").with_name(f"2024-01-01T09.{names.LAST_SEQUENCE}-0000.chunk")
        planted.write_bytes(b"")
        with fastk.open(copy) as store, pytest.raises(fastk.InvalidData, match="none behind it: remove the file"):
            store.series(damage.KEY).delete_range()
        assert is_whole(copy)

    def test_the_last_generation_is_followed_by_itself(self, copy: Path) -> None:
        plant_table(copy, generation=2**32 - 1)
        with fastk.open(copy) as store:
            series = store.series(damage.KEY)
            series.delete_range(damage.START, damage.START)
            assert len(series) == damage.HOURS * damage.ROWS - 1
            series.verify()

    @pytest.mark.parametrize(("field", "value"), [("kind", 3), ("state", 0), ("state", 5)])
    def test_kinds_and_states_that_do_not_exist_are_damage(self, copy: Path, field: str, value: int) -> None:
        plant_table(copy, **{field: value})
        with fastk.open(copy, "r") as store:
            for look in (store.series(damage.KEY).chunk_inventory, store.series(damage.KEY).range):
                with pytest.raises(fastk.InvalidData, match="does not exist"):
                    look()
        assert {str(each.code) for each in damage.verdicts_of(str(copy))} == {"corrupt_table"}

    @pytest.mark.parametrize(
        ("counted", "values", "complaint"),
        [
            (False, {"rows": 5}, "than the manifest says"),
            (False, {"start_ts": 0}, "than the manifest says"),
            (True, {"rows": 0}, "without rows"),
            (True, {"start_ts": 2**62}, "end before they begin"),
            (True, {"rows": 5}, "rows, and its table says 5"),
            (True, {"rows": 2**20}, "more rows than bytes"),
            (True, {"rows": 2**63}, "more rows than tables can have"),
            (True, {"file_length": 2**63}, "a size that no file has"),
        ],
    )
    def test_numbers_that_the_files_beside_do_not_bear_out_are_damage(
        self, copy: Path, counted: bool, values: dict[str, int], complaint: str
    ) -> None:
        """Positions are counted by the table: once `ranges` looked behind its end, and opening never ended."""
        plant_table(copy, counted=counted, **values)
        times = damage.EXPECTED[damage.KEY]["ts"]
        with fastk.open(copy, "r") as store, pytest.raises(fastk.InvalidData, match=complaint):
            store.series(damage.KEY).ranges(times, times + damage.HOUR)
        assert damage.verdicts_of(str(copy))


def is_whole(root: Path) -> bool:
    """Whether all rows of the small store are there."""
    return damage.refusals(str(root)) == 0


def test_files_are_sealed_anew_so_that_parsers_go_on(root: Path) -> None:
    """Else all of this would only try checksums."""
    for kind in KINDS:
        content = damage.file_of(root, kind).read_bytes()
        assert fuzzing.resealed(kind, content) == content
        fuzzing.PARSERS[kind](content)
    content = damage.file_of(root, "manifest").read_bytes()
    changed = fuzzing.Edit(24, 8, 99).applied(content)  # the commit that last changed rows
    fuzzing.PARSERS["manifest"](fuzzing.resealed("manifest", changed))
