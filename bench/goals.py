"""What each workload should reach, as data: ``limit = ratio x baseline + plus``, and why this much."""

from __future__ import annotations

from typing import NamedTuple


class Goal(NamedTuple):
    """The most that FastK may take, in the unit of the workload."""

    ratio: float
    plus: float
    text: str
    reason: str

    def limit(self, baseline: float) -> float:
        """The goal beside a measured baseline."""
        return self.ratio * baseline + self.plus


def beside(ratio: float, reason: str) -> Goal:
    """A ratio to the baseline of the same run."""
    return Goal(ratio, 0.0, f"{ratio:g} x", reason)


def absolute(limit: float, unit: str, reason: str) -> Goal:
    """A figure of its own."""
    return Goal(0.0, limit, f"{limit:,g} {unit}", reason)


_PROTOTYPE = (
    "What a bare prototype with a compiled search over month blocks and lazy columns reached, without checksums, "
    "commits or snapshots: the whole engine must cost no more than that."
)
_SEGMENTS = (
    "The prototype's reads over several chunks; pieces cost one slice a chunk where a single .npy file has one slice "
    "in all."
)
_QUERIES = (
    "Set before queries were built: what bare kernels and a value index should need for these rows, however many "
    "chunks they lie in."
)
_MATRICES = (
    "What a bare kernel reached that divides into whole cache lines on two threads, both of them busy with page faults."
)
_BRIDGE = (
    "Callers that start a process for each command wait for the import of numpy anyhow; the command may add 0.6 of it."
)
_NO_COST = "The same code runs; what is more than that is noise of the machine."
_TIERS = "Who writes each minute as it comes must not pay for it at each read."
_BATCH = "A caller that keeps the process waits for its rows, not for the command around them."

PLANS = beside(1.3, "Choosing costs a look at the sidecars, and estimates err; more than that is a wrong plan.")

GOALS = {
    "point, hit": beside(0.48, _PROTOTYPE),
    "point, miss": beside(0.85, _PROTOTYPE),
    **{f"range {rows:,} rows, sum of close": beside(0.78, _PROTOTYPE) for rows in (16, 64, 256, 1_024)},
    **{
        f"range {rows:,} rows, all six columns taken": beside(
            0.95, "With every column taken, laziness saves nothing, and the engine still costs less than plain slices."
        )
        for rows in (16, 64, 256, 1_024)
    },
    "range 4,096 rows across months, sum of close": beside(1.2, _SEGMENTS),
    "full series, sum of close over segments": beside(1.3, _SEGMENTS),
    "latest 1,024, sum of close": beside(0.78, _PROTOTYPE),
    "scan close of all symbols": beside(1.05, "Both sum the same bytes at the speed of memory."),
    **{
        name: beside(ratio, _QUERIES)
        for name, ratio in {
            "where value > x, 1% match": 0.27,
            "where value between, 0.1% match": 0.10,
            "where value == x, a third matches": 0.24,
            "where value in 3 values": 0.036,
            "where value != x, two thirds match": 0.27,
        }.items()
    },
    **{
        f"merged replay, 24 series x 400,000 rows, each event{form}": Goal(
            0.0,
            1 / 30,
            "30 M events/s",
            "A backtest should wait for its own work; compiled merging of 24 series takes some 15 ns an event.",
        )
        for form in ("", ", beside a stable sort", ", by sequence")
    },
    "feature matrix, 8 x 20 features, one month": beside(0.60, _MATRICES),
    "feature matrix, 8 x 20 features, all months": beside(0.63, _MATRICES),
    "peak memory, feature matrix of all months": beside(
        1.0, "The values once: what is read leaves the process's memory again, and nothing is made on the way."
    ),
    "at_many, 10,000 random timestamps, each": absolute(
        0.1, "us", "For many small reads the batch calls are the answer: 0.1 us a timestamp or less."
    ),
    "attach 10,000 series, each": absolute(
        50, "us", "10,000 series in half a second: opening, reading and checking a small file takes some 30 us of it."
    ),
    "range 16 rows, session": beside(1.1, _NO_COST),
    "range 16 rows, metrics off again": beside(1.1, _NO_COST),
    "initial write, durable": beside(
        1.5, "Checksums, zones and a manifest on top of the bytes; the syncs are the same."
    ),
    "append 64 rows, durable": Goal(
        1.0,
        150.0,
        "syncs + 0.15 ms",
        "A commit cannot cost less than its syncs; planning, encoding and lock get 0.15 ms.",
    ),
    "append at 10,000 chunks": beside(
        1.2, "Appending costs the same at any number of chunks; a fifth is left to the noise of the disk."
    ),
    **{
        f"{month}: {what}": beside(2.0, _TIERS)
        for month in ("a month of minutes, over", "a month less one minute", "a month of 4,095 minutes")
        for what in (
            "one row",
            "64 rows, sum of close",
            "1,024 rows, sum of close",
            "all, sum of close",
            "all, sum of close over segments",
            "where close > x, 1% match",
        )
    },
    "attach, 10,000 chunks": absolute(1_000, "us", "10,000 chunks attach in about a millisecond."),
    **{
        name: beside(1.2, "A program that imports FastK should not start later than one that imports numpy.")
        for name in ("import fastk", "import fastk and its store")
    },
    "fresh process to the first 1,024 rows": beside(
        1.35, "Most of it is the import of numpy, which both pay; the engine may add about 30 ms."
    ),
    "bridge, 1,000 bars": beside(1.6, _BRIDGE),
    "bridge, 41,667 bars": Goal(0.0, 200_000.0, "200 ms", "A month of minutes as JSON, before a caller has to wait."),
    "bridge in batch mode, an inventory, each": absolute(500, "us", _BATCH),
    "bridge in batch mode, 1,000 bars, each": Goal(1.0, 500.0, "encoding + 0.5 ms", _BATCH),
    "peak memory, full series": absolute(60, "MB", "A plain read imports no numba and copies nothing."),
}

# The Rust engine, called from Rust, and raw npy beside it: us in one run on a machine of this kind, 2026-11-22. It is
# not run here; its ratio to raw npy can stand beside FastK's.
ORIGINAL = {
    "point, hit": (7.0, 2.6),
    "point, miss": (2.9, 2.5),
    "range 16 rows, sum of close": (9.1, 3.4),
    "range 64 rows, sum of close": (9.3, 3.8),
    "range 256 rows, sum of close": (9.8, 4.8),
    "range 1,024 rows, sum of close": (11.2, 10.1),
    "range 4,096 rows across months, sum of close": (15.0, 37.0),
    "full series, sum of close over segments": (82.0, 931.0),
    "latest 1,024, sum of close": (2.8, 6.1),
    "scan close of all symbols": (690.0, 8_900.0),
    "where value > x, 1% match": (242.0, 526.0),
    "where value between, 0.1% match": (291.0, 858.0),
    "where value == x, a third matches": (636.0, 294.0),
    "where value in 3 values": (297.0, 5.2),
    "where value != x, two thirds match": (745.0, 989.0),
    "feature matrix, 8 x 20 features, one month": (28_000.0, 62_000.0),
    "feature matrix, 8 x 20 features, all months": (117_000.0, 425_000.0),
    "initial write, durable": (61_000.0, 578_000.0),
    "append 64 rows, durable, beside raw npy in place": (1_300.0, 1_140.0),
}


def original_ratio(name: str) -> float | None:
    """What the original took beside raw npy, where it was measured."""
    raw, original = ORIGINAL.get(name, (1.0, None))
    return None if original is None else original / raw
