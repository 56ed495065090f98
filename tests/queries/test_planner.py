"""The planner: pure, obedient where a plan is forced, and never far from the best way that its own estimates know."""

import dataclasses

import numpy as np
import pytest
from builders import use_kernels
from hypothesis import given
from hypothesis import strategies as st
from query_calls import columns_of, values_schema

from fastk import Between, Eq, Gt, Gte, InSet, Lt, Ne, NotInSet
from fastk.query import compared, indexed
from fastk.query.planner import COMPILED, NUMPY, Facts, Step, next_step

PROBE, PRUNE, MARK, SCAN = Step.PROBE, Step.PRUNE, Step.MARK, Step.SCAN
COSTS = st.sampled_from([COMPILED, NUMPY])


class Chunk:
    """What a planner finds out about a chunk as it goes, and what each way would cost."""

    def __init__(self, costs, rows, ranges, blocks, indexed, found, undecided):
        self.costs, self.found, self.undecided = costs, found, undecided
        self.facts = Facts(rows, ranges, blocks, indexed)

    def steps(self, plan="auto"):
        facts, steps = dataclasses.replace(self.facts), []
        while True:
            steps.append(next_step(plan, facts, self.costs))
            if steps[-1] is PROBE:
                facts.found = self.found
            elif steps[-1] is PRUNE:
                facts.undecided = self.undecided
            if steps[-1] in (MARK, SCAN) or facts.found == 0 or facts.undecided == 0:
                return steps

    def cost(self, steps):
        """The sum of the estimates; what is compared in the end is what the zones left open."""
        facts, costs = self.facts, self.costs
        compared = self.undecided if PRUNE in steps else facts.rows
        each = {
            PROBE: lambda: costs.probe(facts.indexed, facts.ranges),
            PRUNE: lambda: costs.prune(facts.blocks, facts.ranges),
            MARK: lambda: costs.take(self.found),
            SCAN: lambda: costs.scan(compared, facts.ranges),
        }
        return sum(each[step]() for step in steps)

    def ways(self):
        """Every way to the answer, known from its end."""
        yield [SCAN]
        if self.facts.blocks:
            yield [PRUNE, SCAN] if self.undecided else [PRUNE]
        if self.facts.indexed is not None:
            yield [PROBE, MARK] if self.found else [PROBE]


@st.composite
def chunks(draw):
    rows = draw(st.integers(1, 100) | st.integers(1, 10**6))
    size = draw(st.sampled_from([16, 256, 4_096]))
    indexed = draw(st.none() | st.integers(rows, 3 * rows))
    found = 0 if indexed is None else draw(st.integers(0, indexed) | st.integers(0, min(indexed, 50)))
    undecided = draw(st.integers(0, rows) | st.integers(0, min(rows, 50)))
    ranges = draw(st.integers(1, 4) | st.integers(1, 5_000))
    return Chunk(draw(COSTS), rows, ranges, draw(st.sampled_from([0, rows // size])), indexed, found, undecided)


@pytest.mark.slow
@given(chunks(), st.sampled_from(["auto", "scan", "zones", "index"]))
def test_the_same_facts_give_the_same_step_and_stay_what_they_were(chunk, plan):
    before = dataclasses.replace(chunk.facts)
    assert chunk.steps(plan) == chunk.steps(plan)
    assert next_step(plan, chunk.facts, chunk.costs) is next_step(plan, chunk.facts, chunk.costs)
    assert chunk.facts == before


@pytest.mark.slow
@given(chunks())
def test_forced_plans_are_obeyed(chunk):
    index = [SCAN] if chunk.facts.indexed is None else [PROBE, MARK] if chunk.found else [PROBE]
    assert chunk.steps("scan") == [SCAN]
    assert chunk.steps("zones") == ([PRUNE, SCAN] if chunk.undecided else [PRUNE])
    assert chunk.steps("index") == index


@pytest.mark.slow
@given(chunks())
def test_each_step_is_taken_once_and_only_where_it_is_possible(chunk):
    steps = chunk.steps()
    assert len(set(steps)) == len(steps)
    assert chunk.facts.indexed is not None or not {PROBE, MARK} & set(steps)
    assert chunk.facts.blocks or PRUNE not in steps
    assert MARK not in steps or PROBE in steps


@pytest.mark.slow
@given(chunks())
def test_with_everything_known_the_cheapest_end_is_chosen(chunk):
    facts, costs = chunk.facts, chunk.costs
    known = dataclasses.replace(facts, undecided=chunk.undecided, found=None if facts.indexed is None else chunk.found)
    scan, mark = costs.scan(chunk.undecided, facts.ranges), costs.take(chunk.found)
    step = next_step("auto", known, costs)
    assert step is (MARK if facts.indexed is not None and mark <= scan else SCAN)


@pytest.mark.slow
@given(chunks())
def test_looking_around_never_costs_more_than_three_times_the_best_way(chunk):
    """Each look costs less than what was known to work, and there are two to take."""
    best = min(chunk.cost(way) for way in chunk.ways())
    assert chunk.cost(chunk.steps()) <= 3 * best


@pytest.mark.parametrize("costs", [COMPILED, NUMPY], ids=["compiled", "numpy"])
class TestTypicalChunks:
    """A month of minutes: 44,640 rows, 175 fine zones or 11 coarse ones."""

    def steps(self, costs, found, undecided, *, ranges=1, blocks=175, indexed=44_640, rows=44_640):
        return Chunk(costs, rows, ranges, blocks, indexed, found, undecided).steps()

    def test_a_few_scattered_rows_come_from_the_index(self, costs):
        assert self.steps(costs, 20, 44_640)[-1] is MARK
        assert self.steps(costs, 20, 44_640)[0] is PROBE

    def test_none_are_known_after_one_look(self, costs):
        assert self.steps(costs, 0, 44_640) == [PROBE]

    def test_a_few_values_of_a_set_come_from_the_index(self, costs):
        assert self.steps(costs, 60, 44_640, ranges=20)[-1] is MARK

    def test_half_of_the_rows_are_compared(self, costs):
        assert self.steps(costs, 22_000, 44_640)[-1] is SCAN
        assert self.steps(costs, 22_000, 44_640, blocks=0, indexed=None) == [SCAN]

    def test_zones_come_before_comparing_where_they_pay(self, costs):
        assert self.steps(costs, 0, 900, indexed=None) == [PRUNE, SCAN]
        assert self.steps(costs, 22_000, 900)[-2:] == [PRUNE, SCAN]
        assert self.steps(costs, 22_000, 0)[-1] is PRUNE

    def test_a_few_rows_are_compared_at_once(self, costs):
        """A look at zones or index would cost as much."""
        assert self.steps(costs, 5, 40, rows=40, blocks=0, indexed=40) == [SCAN]


class TestOnRealChunks:
    """The steps that queries take: `value` is scattered, `plain` grows and has the header's coarse zones only."""

    ROWS = 40_000

    @pytest.fixture(autouse=True)
    def _compiled(self, monkeypatch):
        use_kernels(monkeypatch, "compiled")

    @pytest.fixture
    def series(self, store):
        series = store.register_series(("X", "own", "month"), values_schema(partition="month"))
        rows = np.arange(self.ROWS)
        series.put({**columns_of(rows * 1_000, rows * 7_919 % self.ROWS), "plain": rows})
        return series

    @pytest.mark.parametrize(
        "condition",
        [
            Eq(7),
            Between(100, 130),
            InSet([3, 99, 7_000]),
            Lt(5),
            Ne(7),
            NotInSet([1, 30_000]),
            InSet(range(0, 9_999, 99)),
        ],
    )
    def test_few_scattered_rows_come_from_the_index(self, series, steps, condition):
        found = series.where("value", condition).stats
        (taken,) = steps()
        assert taken[-1] is MARK
        assert found.rows_checked < 200

    @pytest.mark.parametrize("condition", [Gt(4_000), Lt(30_000), InSet(range(5, 39_000)), NotInSet(range(5, 30_000))])
    def test_many_scattered_rows_are_compared(self, series, steps, condition):
        found = series.where("value", condition).stats
        (taken,) = steps()
        assert taken[-1] is SCAN
        assert found.rows_checked > 0.99 * self.ROWS

    def test_of_a_large_set_what_lies_beyond_the_chunk_costs_nothing(self, series, steps):
        found = series.where("value", InSet([*range(-200_000, 0, 2), 7, 30_001])).stats
        assert steps() == [[PROBE, MARK]]
        assert found.rows_checked == found.rows_matched == 2

    def test_many_values_close_together_are_compared_where_rows_are_near_them(self, series, steps):
        """Looking each up in the index would take longer than comparing all rows with their span."""
        rows = np.arange(self.ROWS)
        series.put(columns_of((10**6 + rows) * 3_000, rows * 7_919 % self.ROWS * 1_000))
        found = series.where("value", InSet(range(20_000_000, 20_020_000, 2)), 10**6 * 3_000).stats
        assert steps() == [[SCAN]]
        assert found.rows_matched == 20

    @pytest.mark.parametrize("condition", [Gt(39_000), Between(10_000, 11_000), Eq(77), NotInSet(range(500, 39_500))])
    def test_clustered_rows_are_found_by_zones(self, series, steps, condition):
        found = series.where("plain", condition).stats
        assert steps() == [[PRUNE, SCAN]]
        assert found.blocks_considered == 10
        assert found.blocks_scanned <= 2

    @pytest.mark.parametrize("condition", [Gte(0), Lt(0), Ne(-1), InSet([-1, 50_000]), NotInSet([])])
    def test_the_span_of_the_chunk_decides_before_any_step(self, series, steps, condition):
        found = series.where("value", condition).stats
        assert steps() == []
        assert found.chunks_pruned == 1

    def test_each_chunk_has_its_own_plan(self, series, steps, monkeypatch):
        monkeypatch.setattr(indexed, "MOST_RANGES", 0)  # chunk by chunk
        monkeypatch.setattr(compared, "_FEWEST_CHUNKS", 10**9)
        hour = 3_600_000
        series.put({**columns_of([700 * hour + n for n in range(40)], list(range(40))), "plain": range(40)})
        series.where("value", Eq(7))
        assert [taken[-1] for taken in steps()] == [MARK, SCAN]

    def test_forced_plans_are_obeyed(self, series, steps):
        for plan, expected in (("scan", [SCAN]), ("zones", [PRUNE, SCAN]), ("index", [PROBE, MARK])):
            series.where("value", Between(100, 20_000), plan=plan)
            assert steps() == [expected]
        series.where("plain", Eq(5), plan="index")
        assert steps() == [[SCAN]]
