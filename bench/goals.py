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
    "at_many, 10,000 random timestamps, each": absolute(
        0.1, "us", "For many small reads the batch calls are the answer: 0.1 us a timestamp or less."
    ),
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
    "attach, 10,000 chunks": absolute(1_000, "us", "10,000 chunks attach in about a millisecond."),
    "fresh process to the first 1,024 rows": beside(
        1.35, "Most of it is the import of numpy, which both pay; the engine may add about 30 ms."
    ),
    "peak memory, full series": absolute(60, "MB", "A plain read imports no numba and copies nothing."),
}
