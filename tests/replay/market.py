"""Series with rows drawn by hypothesis, put in several commits."""

import numpy as np
from hypothesis import strategies as st

from fastk import Schema

HOUR = 3_600_000
# Few times, so that they meet; in three partitions of an hour; and one far away.
TIMES = st.integers(0, 5) | st.sampled_from([HOUR - 1, HOUR, HOUR + 1, 3 * HOUR])
ROWS = st.lists(st.tuples(TIMES, st.integers(0, 6)), max_size=14)

TICK = Schema(
    "tick", [("ts", "i8"), ("number", "i8"), ("tag", "i4")], unique_ts=False, sequence_field="number", partition="hour"
)
LOOSE = Schema("loose", [("ts", "i8"), ("tag", "i4")], unique_ts=False, partition="hour")
SINGLE = Schema("single", [("ts", "i8"), ("tag", "i4")], partition="hour")
SCHEMAS = TICK, LOOSE, SINGLE

SERIES = st.lists(st.tuples(st.sampled_from(SCHEMAS), ROWS, st.integers(1, 6)), min_size=1, max_size=5)


def register(store, drawn, unit_of=lambda place: "ms"):
    """A series for each (schema, rows, rows a put); tags number the rows as drawn."""
    handles = []
    for place, (schema, rows, step) in enumerate(drawn):
        handle = store.register_series((f"S{place}", "own", "x"), schema, time_unit=unit_of(place))
        put_rows(handle, schema, rows, step)
        handles.append(handle)
    return handles


def put_rows(handle, schema, rows, step):
    """Put rows in pieces that end where a ts ends: rows of one ts without a number belong into one commit."""
    kept = distinct(schema, sorted(rows, key=lambda row: row[0]))
    while kept:
        size = min(step, len(kept))
        while size < len(kept) and kept[size - 1][0] == kept[size][0]:
            size += 1
        columns = {"ts": [ts for ts, _ in kept[:size]], "tag": np.arange(size, dtype=np.int32)}
        if schema is TICK:
            columns["number"] = [number for _, number in kept[:size]]
        handle.put(columns)
        kept = kept[size:]


def distinct(schema, rows):
    """Without rows that the record type forbids: of a ts that is stored, or of a number that it has there."""
    if schema is LOOSE:
        return rows
    key = (lambda row: row) if schema is TICK else (lambda row: row[0])
    return list({key(row): row for row in rows}.values())


def expected_order(handles, priority, per_unit=lambda handle: 1):
    """(ts, source, row) of every row by python's stable sort, as the order is declared."""
    rank = {name: place for place, name in enumerate(priority)}
    events = []
    for source, handle in enumerate(handles):
        rows = handle.range()
        numbers = rows.number.tolist() if "number" in rows.schema.names else [0] * len(rows)
        kind = rank.get(rows.schema.name, len(rank))
        for row, (ts, number) in enumerate(zip(rows.ts.tolist(), numbers, strict=True)):
            events.append((ts * per_unit(handle), kind, source, number, row))
    return [(ts, source, row) for ts, _, source, _, row in sorted(events)]


def events_of(batches):
    """The same of batches."""
    return [
        event
        for batch in batches
        for event in zip(batch.ts.tolist(), batch.source.tolist(), batch.row.tolist(), strict=True)
    ]
