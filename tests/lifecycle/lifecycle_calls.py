"""What the lifecycle tests share: a store on disk as bytes, its chunk files, and damage done to them."""

from pathlib import Path

import numpy as np
from builders import DAY, JANUARY, MINUTE, contents

import fastk
from fastk import CompactionPolicy

NO_TIERS = CompactionPolicy(tier_fanout=0)


def folder_of(store, series):
    """Where a series with plain names lies."""
    symbol, category, name = series.key
    return Path(store.root) / "series" / symbol / category / name


def chunk_files(store, series):
    """The names of all files in the series' chunk folder."""
    return {path.name for path in (folder_of(store, series) / "chunks").iterdir()}


def chunk_path(store, series, index):
    """The file of one chunk of the series."""
    return folder_of(store, series) / series.chunk_inventory()[index].relative_path


def damage(path):
    """Flip one bit in the first row of a chunk; a store that verified the block already does not look again."""
    data = bytearray(path.read_bytes())
    header = int.from_bytes(data[12:16], "little")
    data[header] ^= 1
    path.write_bytes(data)


def hide(path):
    """Put a link in the place of a chunk: the system refuses to open it, as it does a file of another user."""
    path.rename(path.with_suffix(".hidden"))
    path.symlink_to(path.with_suffix(".hidden"))


def unchanged(store):
    """A check that no file of a store changed since."""
    before = contents(store.root)

    def check():
        assert contents(store.root) == before

    return check


def spans(series):
    """The row counts of the chunks, in order of time."""
    return [meta.count for meta in series.chunk_inventory()]


def rows_of(series):
    """All rows as bytes, column by column."""
    rows = fastk.open(root_of(series), "r").series(series.key).range()
    return {name: np.asarray(rows[name]).tobytes() for name in rows.schema.names}


def root_of(series):
    """The root of the store of a handle."""
    return series._reader.files.folder.partition("/series/")[0]


def values(rows, name):
    """One column as a list."""
    return np.asarray(rows[name]).tolist()


def random_rows(schema, ts):
    """Rows of any schema at some times."""
    rng = np.random.default_rng(len(ts))
    columns = {"ts": np.array(ts, np.int64)}
    for field in schema.fields[1:]:
        raw = rng.integers(0, 100, len(ts))
        columns[field.name] = raw % 2 == 0 if field.dtype.kind == "b" else raw.astype(field.dtype)
        if field.dtype.kind == "f":
            columns[field.name][::3] = np.nan
    return columns


def appended(series, puts=4, rows=5):
    """Small puts into two partitions, each one chunk."""
    for start in (JANUARY, JANUARY + 31 * DAY):
        for number in range(puts):
            series.append(random_rows(series.schema, start + number * MINUTE + np.arange(rows) * 100))


def pictured(series):
    return {name: np.asarray(series.range()[name]).tobytes() for name in series.schema.names}
