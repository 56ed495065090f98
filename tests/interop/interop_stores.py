"""What the tests of other libraries share: series of every dtype, rows for them, and where a column's memory is."""

from contextlib import contextmanager
from pathlib import Path

import numpy as np
from builders import FEBRUARY, JANUARY, MARCH, MINUTE, bars, joined, temporary_store
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fastk import BBO, BOOK_DELTA, KLINE, SCALAR, TRADE, Schema

DTYPES = ("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8", "S3")
EVERY_DTYPE = Schema(
    "every dtype",
    [
        ("ts", "i8"),
        *((f"a {dtype}", dtype) for dtype in DTYPES),
        ("price", "i8", "price_scale"),
        ("qty", "i4", "qty_scale"),
    ],
)
SCHEMAS = (KLINE, SCALAR, TRADE, BBO, BOOK_DELTA, EVERY_DTYPE)
UNITS = ("ms", "us", "ns")


@contextmanager
def three_months(**options):
    """Bars in three chunks: 7 in January, 5 in February, 2 in March."""
    with temporary_store(**options) as store:
        series = store.register_kline_series("BTC", "1m", MINUTE, price_scale=100, volume_scale=8)
        series.put(THREE_MONTHS)
        yield store, series


def _shifted(columns, by):
    return {name: column + by * (name != "ts") for name, column in columns.items()}


THREE_MONTHS = joined(bars(JANUARY, 7), _shifted(bars(FEBRUARY, 5), 10_000), _shifted(bars(MARCH, 2), 20_000))


@st.composite
def rows_of(draw, schema, unit="ms", decodable=False):
    """Columns of a few rows of a schema, over some months; with ``decodable`` scaled ones that floats hold exactly."""
    count = draw(st.integers(0, 12))
    month = {"ms": 1, "us": 1_000, "ns": 1_000_000}[unit] * (FEBRUARY - JANUARY)
    ts = draw(st.lists(st.integers(-5 * month, 5 * month), min_size=count, max_size=count, unique=True))
    columns = {"ts": np.array(sorted(ts), np.int64)}
    for field in schema.fields[1:]:
        if decodable and field.scale is not None:
            most = min(2**50, np.iinfo(field.dtype).max)
            elements = st.integers(-most, most)
        elif field.dtype.kind == "S":
            elements = st.binary(max_size=field.dtype.itemsize).map(lambda text: text.rstrip(b"\0"))
        else:
            elements = hnp.from_dtype(field.dtype)
        columns[field.name] = draw(hnp.arrays(field.dtype, count, elements=elements))
    return columns


def registered(store, schema, unit="ms", symbol="X"):
    """A series of a schema, its scales other than 1."""
    scales = {name: 10 ** (place + 1) for place, name in enumerate(schema.scale_names)}
    return store.register_series((symbol, "own", schema.name), schema, scales=scales, time_unit=unit)


def put_in_pieces(series, columns):
    """Puts rows in two commits, so that they lie in several chunks."""
    middle = len(columns["ts"]) // 2
    for low, high in ((0, middle), (middle, None)):
        series.append({name: column[low:high] for name, column in columns.items()})


def same_bytes(rows, columns):
    """Whether rows hold exactly these columns, NaN and signs of zero included."""
    return all(rows[name].tobytes() == np.ascontiguousarray(column).tobytes() for name, column in columns.items())


def address(array):
    """Where the memory of a numpy array begins."""
    return array.ctypes.data


def damage(store, column, value):
    """Flip a bit of a stored int64 value that stands once in the store, so that reading its block raises InvalidData.

    Rows that come back without an error were found without reading it: so tests see what is left unread.
    """
    for path in Path(store.root).rglob("*.chunk"):
        content = bytearray(path.read_bytes())
        place = content.find(np.int64(value).tobytes(), 0)
        if place >= 0:
            place = content.rfind(np.int64(value).tobytes())  # the header may hold it, too, as a zone
            content[place] ^= 1
            path.write_bytes(content)
            return
    raise AssertionError(f"{column} holds no {value}")
