"""What a condition means, in plain python; and stores whose chunks are unlike each other."""

import contextlib

import fastk
from fastk import Between, Eq, Gt, Gte, InSet, Lt, Lte, Ne, NotInSet, Schema

PLANS = ("auto", "scan", "zones", "index")
KEY = ("X", "own", "values")


def satisfies(value, condition, convert=lambda bound: bound):
    """Whether one python value satisfies a condition whose bounds become the column's by ``convert``."""
    match condition:
        case Eq(bound):
            return value == convert(bound)
        case Ne(bound):
            return value != convert(bound)
        case Gt(bound):
            return value > convert(bound)
        case Gte(bound):
            return value >= convert(bound)
        case Lt(bound):
            return value < convert(bound)
        case Lte(bound):
            return value <= convert(bound)
        case Between(least, greatest, True):
            return convert(least) <= value <= convert(greatest)
        case Between(least, greatest, False):
            return convert(least) < value < convert(greatest)
        case InSet(bounds):
            return any(value == convert(bound) for bound in bounds)
        case NotInSet(bounds):
            return all(value != convert(bound) for bound in bounds)
    raise AssertionError(condition)


def values_schema(dtype="i8", **options):
    """Rows of a value, a number that counts up, and what names no row: ``plain`` has neither zone map nor index."""
    fields = [("ts", "i8"), ("value", dtype), ("plain", dtype), ("number", "i8"), ("text", "S3")]
    indexed = {"zone_maps": ["value"], "value_indexes": ["value"]}
    return Schema(
        "values", fields, unique_ts=False, sequence_field="number", **{"partition": "hour", **indexed, **options}
    )


def columns_of(ts, values):
    """The columns of that schema."""
    numbers = range(len(ts))
    return {
        "ts": ts,
        "value": values,
        "plain": values,
        "number": numbers,
        "text": [b"%03d" % (n % 1000) for n in numbers],
    }


@contextlib.contextmanager
def reopened(store, key=KEY, **options):
    """A series as a fresh reader sees it: nothing mapped, nothing verified."""
    with fastk.open(store.root, "r", **options) as other:
        yield other.series(key)
