"""The tables of the contest: a line a question, a column a contestant, each beside FastK; losses last, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

from bench.peers.contest import Answered
from bench.peers.registry import contestant, version
from bench.table import aligned, figure

FASTK = "fastk"
AHEAD = 0.995  # what two digits show as less than 1


class Contest(NamedTuple):
    """All that was found: groups of lines by title, who took part and who is absent, whose files stayed in memory."""

    data: str
    words: list[str]
    absent: list[str]
    groups: dict[str, list[Answered]]
    still_warm: dict[str, float]


def as_lines(contest: Contest) -> list[str]:
    """All tables, then what was lost, who failed and who is absent."""
    order = [FASTK, *(word for word in contest.words if word != FASTK)]
    lines = ["", f"- data: {contest.data}"]
    lines += ["- a figure behind a time is that time divided by FastK's: above 1 FastK is faster", ""]
    lines += [f"- {contestant(word).name} ({version(word)}): {contestant(word).how}" for word in order]
    for title, answers in contest.groups.items():
        lines += ["", f"## {title}", "", *table_lines(answers, order, "MB" if "MB" in title else "us")]
    return [*lines, "", *loss_lines(contest), *failure_lines(contest)]


def table_lines(answers: Sequence[Answered], order: Sequence[str], unit: str) -> list[str]:
    """One group."""
    header = ["", *(contestant(word).name for word in order)]
    units = ["MB" if "MB" in each.title else unit for each in answers]
    rows = [[each.title, *(cell(each, word, own) for word in order)] for each, own in zip(answers, units, strict=True)]
    return aligned([header, *rows])


def cell(answered: Answered, word: str, unit: str) -> str:
    time = answered.times.get(word)
    if time is None:
        return "failed" if word in answered.failures else "-"
    ratio = beside_fastk(answered, word)
    text = figure(time, unit)
    return text if word == FASTK or ratio is None else f"{text}, {digits(ratio)}"


def beside_fastk(answered: Answered, word: str) -> float | None:
    """A contestant's figure divided by FastK's."""
    own = answered.times.get(FASTK)
    return answered.times[word] / own if own and word in answered.times else None


def digits(ratio: float) -> str:
    return f"{ratio:.2f}" if ratio < 10 else f"{ratio:,.0f}"


def loss_lines(contest: Contest) -> list[str]:
    """Who was ahead of FastK, line by line."""
    found = [
        f"- {title}: {each.title}: {', '.join(ahead)}"
        for title, answers in contest.groups.items()
        for each in answers
        if (ahead := faster(each))
    ]
    title = "Ahead of FastK, by their figure divided by FastK's:"
    return [title, "", *found] if found else ["Nobody is ahead of FastK."]


def faster(answered: Answered) -> list[str]:
    """Contestants with a smaller figure, the smallest first."""
    ratios = {word: beside_fastk(answered, word) for word in answered.times if word != FASTK}
    ahead = sorted((ratio, word) for word, ratio in ratios.items() if ratio is not None and ratio < AHEAD)
    return [f"{contestant(word).name} {digits(ratio)}" for ratio, word in ahead]


def failure_lines(contest: Contest) -> list[str]:
    lines = [
        f"- {contestant(word).name}, {each.title}: {problem}"
        for answers in contest.groups.values()
        for each in answers
        for word, problem in each.failures.items()
    ]
    lines = ["", "Not timed, because of a failure or another answer:", "", *lines] if lines else []
    if contest.absent:
        names = ", ".join(contestant(word).name for word in contest.absent)
        lines += ["", f"Absent, because not installed: {names}."]
    if contest.still_warm:
        names = ", ".join(f"{contestant(word).name} {share:.0%}" for word, share in contest.still_warm.items())
        lines += ["", f"Cold reads are not quite cold where files stay in the page cache: {names}."]
    return lines


def as_data(contest: Contest) -> dict[str, Any]:
    """All of it, for machines."""
    who = {word: contestant(word) for word in contest.words}
    return {
        "data": contest.data,
        "contestants": {word: {"name": k.name, "version": version(word), "how": k.how} for word, k in who.items()},
        "absent": contest.absent,
        "still_warm": contest.still_warm,
        "groups": {title: [data_of(each) for each in answers] for title, answers in contest.groups.items()},
    }


def data_of(answered: Answered) -> Mapping[str, Any]:
    ratios = {word: beside_fastk(answered, word) for word in answered.times}
    return {**asdict(answered), "beside_fastk": ratios}
