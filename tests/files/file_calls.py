"""What the tests of files share: files written as somebody else would, and imports of them."""

import gzip
from pathlib import Path

import pytest

from fastk import InvalidInput

BARS = ("X", "kline", "1m")
HEADER = "ts,open,high,low,close,volume"
MINUTE = 60_000
FIRST = 1_704_067_200_000  # 2024-01-01T00:00:00Z in ms


def bar_line(minute, price="100.5", volume="7"):
    return f"{FIRST + minute * MINUTE},{price},{price},{price},{price},{volume}"


def bar_text(minutes, header=HEADER, end="\n"):
    lines = [*([header] if header else []), *(bar_line(minute, f"{100 + minute}.25", minute) for minute in minutes)]
    return end.join(lines) + end


def write(folder, text, name="bars.csv"):
    """A file with this text or these bytes, packed where the name says so."""
    path = Path(folder) / name
    data = text.encode() if isinstance(text, str) else text
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


def take(store, path, key=BARS, **options):
    """Import with times in ms, unless the options say otherwise."""
    if "time_unit" not in options and "zone" not in options and "time_format" not in options:
        options["time_unit"] = "ms"
    return store.import_files(path, key, **options)


def refused(store, path, key=BARS, **options):
    """What an import says that is refused. It leaves neither rows nor files."""
    beside = sorted(Path(store.root).parent.iterdir())
    before = len(store.series(key)) if store.series(key).exists else None
    with pytest.raises(InvalidInput) as found:
        take(store, path, key, **options)
    store.refresh()
    assert sorted(Path(store.root).parent.iterdir()) == beside
    assert (len(store.series(key)) if store.series(key).exists else None) == before
    message = str(found.value)
    assert "\n" not in message
    return message
