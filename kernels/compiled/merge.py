"""A k-way merge of sorted runs by a tree of losers (Knuth, volume 3, 5.4.1): one comparison a level for each event.

A node holds one word: how far an event's ts is from an origin, and behind it the number of its run, so that comparing
words compares ts first and breaks ties by run. Words that would not fit wait: the tree is built anew from a later
origin once all others have gone. Measured on 24 runs of random ts: three times as fast as ts and run apart.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from ..interface import Column, Int64Array, Uint8Array, Words
from ..plain.merging import merge as plain_merge
from .bits import clear, either, workspace
from .compile import KernelByDtype, array_type, part

_INT64S, _OUT_INT64S = array_type(types.int64), array_type(types.int64, readonly=False)
_WAITS = np.uint64(2**64 - 1)
_GREATEST = 2**63 - 1


@part
def _word(ts: Int64Array, position: int, stop: int, run: np.uint64, origin: int, bits: int) -> np.uint64:
    """The next event of a run; one that is over waits like those that do not fit."""
    if position == stop:
        return _WAITS
    distance = np.uint64(ts[np.uint64(position)] - origin)  # exact: it may pass 2**63, and ts is not before the origin
    if distance >> np.uint64(63 - bits):
        return _WAITS
    return (distance << np.uint64(bits)) | run


@part
def _play(tree: Words, leaf: np.uint64, word: np.uint64) -> np.uint64:
    """Play from a leaf up to the root: at each node the loser stays and the winner goes on. Gives the winner.

    Least and greatest are no branches: events of many runs come in no order that a processor could guess.
    """
    node = leaf >> np.uint64(1)
    while node > np.uint64(0):
        other = tree[node]
        loses = other < word
        tree[node] = either(loses, word, other)
        word = either(loses, other, word)
        node >>= np.uint64(1)
    return word


@part
def _build(ts: Int64Array, positions: Int64Array, stops: Int64Array, origin: int, bits: int, tree: Words) -> np.uint64:
    """A tree of the next events of all runs; gives the winner."""
    clear(tree)  # imaginary winners, each of which a word drives out at the top
    leaves = np.uint64(len(tree))
    word = _WAITS
    for run in range(leaves):
        word = _WAITS if run >= len(positions) else _word(ts, positions[run], stops[run], np.uint64(run), origin, bits)
        word = _play(tree, run + leaves, word)
    return word


@part
def _origin(ts: Int64Array, positions: Int64Array, stops: Int64Array) -> int:
    """The least ts that is left."""
    least = _GREATEST
    for run in range(len(positions)):
        if positions[run] < stops[run]:
            first = ts[positions[run]]
            least = either(first < least, first, least)
    return least


@part
def _events_left(positions: Int64Array, stops: Int64Array) -> int:
    left = 0
    for run in range(len(positions)):
        left += stops[run] - positions[run]
    return left


def _merge(
    ts: Int64Array,
    stops: Int64Array,
    final: Uint8Array,
    labels: Column,
    shifts: Int64Array,
    positions: Int64Array,
    out_labels: Column,
    out_rows: Int64Array,
    out_ts: Int64Array,
) -> int:
    bits = 0
    while 1 << bits < len(positions):
        bits += 1
    leaves: Any = np.uint64(1 << bits)
    mask = np.uint64((1 << bits) - 1)
    tree = workspace(np.int64(leaves), np.uint64(0))
    origin = 0
    word = _WAITS
    events: int = min(len(out_ts), _events_left(positions, stops))
    for event in range(events):
        if word == _WAITS:
            origin = _origin(ts, positions, stops)
            word = _build(ts, positions, stops, origin, bits, tree)
        run: Any = word & mask
        position = positions[run]
        out_labels[event] = labels[run]
        out_rows[event] = position + shifts[run]
        out_ts[event] = ts[np.uint64(position)]
        position += 1
        positions[run] = position
        stop = stops[run]
        if position == stop and not final[run]:
            return event + 1
        word = _play(tree, run + leaves, _word(ts, position, stop, run, origin, bits))
    return events


_MERGE = KernelByDtype(
    _merge,
    plain_merge,
    lambda label: (
        *(_INT64S, _INT64S, array_type(types.uint8), array_type(label), _INT64S),
        *(_OUT_INT64S, array_type(label, readonly=False), _OUT_INT64S, _OUT_INT64S),
    ),
)


def merge(
    ts: Int64Array,
    stops: Int64Array,
    final: Uint8Array,
    labels: Column,
    shifts: Int64Array,
    positions: Int64Array,
    out_labels: Column,
    out_rows: Int64Array,
    out_ts: Int64Array,
) -> int:
    """Merge the sorted runs ts[positions[i]:stops[i]] until `out_ts` is full or a run that goes on is over."""
    events: int = _MERGE[labels.dtype](ts, stops, final, labels, shifts, positions, out_labels, out_rows, out_ts)
    return events
