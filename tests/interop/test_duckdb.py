"""SQL over series: DuckDB gives what it makes of all rows, and is handed only the columns and parts that can matter."""

from datetime import UTC, datetime

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from builders import FEBRUARY, JANUARY, MINUTE, bars, temporary_store
from hypothesis import given, settings
from hypothesis import strategies as st
from interop_stores import THREE_MONTHS, damage, three_months

import fastk
from fastk import InvalidData, InvalidInput, Schema
from fastk.interop import arrow_dataset

FIELDS = [
    ("ts", "i8"),
    ("price", "i8", "price_scale"),
    ("small", "i1"),
    ("large", "u8"),
    ("f8", "f8"),
    ("yes", "?"),
    ("text", "S2"),
]
COUNT = 200


@pytest.fixture(scope="module")
def mixed():
    """Rows with few values in chunks of two months."""
    random = np.random.default_rng(3)
    with temporary_store() as store:
        schema = Schema("mixed", FIELDS)
        series = store.register_series(("X", "own", "mixed"), schema, scales={"price_scale": 100})
        series.put(
            {
                "ts": JANUARY + np.arange(COUNT) * 6 * 3_600_000,
                "price": np.sort(random.integers(-300, 300, COUNT)),
                "small": random.integers(-4, 5, COUNT).astype("i1"),
                "large": random.choice(np.array([0, 1, 2**63, 2**64 - 1], "u8"), COUNT),
                "f8": random.choice([-1.5, 0.0, -0.0, 2.5, np.nan, np.inf, -np.inf], COUNT),
                "yes": random.integers(0, 2, COUNT).astype(bool),
                "text": random.choice(np.array([b"a", b"bc", b""]), COUNT),
            }
        )
        yield series


def literals(name):
    if name == "ts":
        hours = st.integers(-10, COUNT * 6 + 10)
        return hours.map(lambda hour: f"make_timestamptz({(JANUARY + hour * 3_600_000) * 1_000})")
    if name == "f8":
        return st.sampled_from(["-1.5", "0", "2.5", "'nan'::double", "'inf'::double", "1"])
    if name == "large":
        return st.sampled_from(["0", "1", "2", str(2**63), str(2**64 - 1)])
    return st.integers(-310, 310).map(str) if name == "price" else st.integers(-6, 6).map(str)


@st.composite
def comparisons(draw):
    name = draw(st.sampled_from(["ts", "ts", "price", "price", "small", "large", "f8", "yes", "text"]))
    if name == "yes":
        return draw(st.sampled_from(["yes", "not yes", "yes = true", "yes is null"]))
    if name == "text":
        return draw(st.sampled_from(["text = 'a'::blob", "text <> 'bc'::blob", "text in ('a'::blob, ''::blob)"]))
    values = literals(name)
    kind = draw(st.sampled_from(["compare", "compare", "between", "in", "null"]))
    if kind == "compare":
        return f"{name} {draw(st.sampled_from(['=', '<>', '<', '<=', '>', '>=']))} {draw(values)}"
    if kind == "between":
        return f"{name} between {draw(values)} and {draw(values)}"
    if kind == "in":
        return f"{name} in ({', '.join(draw(st.lists(values, min_size=1, max_size=5)))})"
    return f"{name} is {draw(st.sampled_from(['', 'not ']))}null"


CONDITIONS = st.recursive(
    comparisons(),
    lambda inner: (
        st.builds("({} {} {})".format, inner, st.sampled_from(["and", "and", "or"]), inner)
        | inner.map("not ({})".format)
    ),
    max_leaves=4,
)


@pytest.fixture(scope="module", params=["stored", "natural units"])
def tables(request, mixed):
    """The series as a view, and all its rows as a table of DuckDB's own."""
    with duckdb.connect() as connection:
        fastk.duckdb.register(connection, mixed, "scanned", decoded=request.param == "natural units")
        connection.execute("create table copied as select * from scanned")
        yield connection


@pytest.mark.slow
@given(condition=CONDITIONS, columns=st.lists(st.sampled_from([field[0] for field in FIELDS]), min_size=1, unique=True))
@settings(max_examples=250)
def test_nothing_depends_on_what_is_pushed_down(tables, condition, columns):
    # Without an order DuckDB gives rows in any, from a table of Arrow as well: some of its plans are joins.
    query = f"select {', '.join(columns)} from {{}} where {condition} order by ts"
    found, expected = (tables.sql(query.format(table)).to_arrow_table() for table in ("scanned", "copied"))
    for name in columns:  # not the tables: NaN is not equal to itself there
        np.testing.assert_array_equal(found[name].to_numpy(), expected[name].to_numpy())


ONLY_FEBRUARY = "select \"close\" from \"BTC/kline/1m\" where ts between '2024-02-01 00:00Z' and '2024-02-02 00:00Z'"


def test_series_are_views_by_their_keys():
    with three_months() as (store, _):
        store.register_scalar_series(fastk.feature_series_key("BTC", "1m", "rsi"), MINUTE)
        with fastk.duckdb.connect(store) as connection:
            names = {
                name for (name,) in connection.sql("select view_name from duckdb_views() where not internal").fetchall()
            }
            assert {"BTC/kline/1m", "BTC/feature/1m@@rsi"} <= names
            assert connection.sql(ONLY_FEBRUARY).fetchall() == [(each,) for each in range(11_001, 11_051, 10)]
            assert connection.sql('select count(*) from "BTC/feature/1m@@rsi"').fetchall() == [(0,)]
        with fastk.duckdb.connect(store, category="feature") as connection, pytest.raises(duckdb.CatalogException):
            connection.sql(ONLY_FEBRUARY)


def test_times_are_instants_and_natural_units_doubles():
    with three_months() as (store, series):
        with fastk.duckdb.connect(store, decoded=True) as connection:
            connection.execute("set timezone = 'Asia/Tokyo'")
            ((ts, price),) = connection.sql('select ts, "close" from "BTC/kline/1m" limit 1').fetchall()
        assert ts == datetime(2024, 1, 1, tzinfo=UTC)
        assert price == 10.01
        assert len(series) == 14


def test_a_view_follows_its_store():
    with three_months() as (store, series), fastk.duckdb.connect(store) as connection:
        count = 'select count(*) from "BTC/kline/1m"'
        assert connection.sql(count).fetchall() == [(14,)]
        with fastk.open(store.root) as writer:
            writer.series(series.key).put(bars(FEBRUARY + 60 * MINUTE, 3))
        assert connection.sql(count).fetchall() == [(14,)]
        store.refresh()
        assert connection.sql(count).fetchall() == [(17,)]


def test_names_that_differ_in_case_alone_are_refused():
    with temporary_store() as store:
        for name in ("1m", "1M"):
            store.register_kline_series("BTC", name, MINUTE)
        with pytest.raises(InvalidInput, match="BTC/kline/1M and BTC/kline/1m differ in case alone"):
            fastk.duckdb.connect(store)
        with fastk.duckdb.connect(store, name="1m") as connection:
            fastk.duckdb.register(connection, store.kline("BTC", "1M"), "monthly")
            assert connection.sql("select count(*) from monthly").fetchall() == [(0,)]


@pytest.fixture
def scans(monkeypatch):
    """What DuckDB asks of datasets: columns, and the filter as text."""
    seen = []
    scanner = arrow_dataset.SeriesDataset.scanner

    def watched(self, columns=None, filter=None, **options):  # noqa: A002
        seen.append((columns, str(filter)))
        return scanner(self, columns=columns, filter=filter, **options)

    monkeypatch.setattr(arrow_dataset.SeriesDataset, "scanner", watched)
    return seen


def test_what_duckdb_pushes_down(scans):
    with three_months() as (store, _), fastk.duckdb.connect(store) as connection:
        connection.sql('select high from "BTC/kline/1m" where "close" > 5 and ts >= \'2024-01-01 00:00Z\'').fetchall()
    ((columns, condition),) = scans
    assert columns == ["high"]
    assert "close > 5" in condition
    assert "ts >= 2024-01-01" in condition


def test_columns_and_chunks_that_a_query_does_not_need_are_not_read():
    with three_months() as (store, _):
        damage(store, "volume", 100_003)
        damage(store, "close", 21_001)  # the first row of March
        with fastk.open(store.root, mode="r") as again, fastk.duckdb.connect(again) as connection:
            assert len(connection.sql(ONLY_FEBRUARY).fetchall()) == 5
            by_value = 'select high from "BTC/kline/1m" where "close" between 11001 and 11051'
            assert len(connection.sql(by_value).fetchall()) == 5
            with pytest.raises(Exception, match="column 'volume' is damaged"):
                connection.sql('select sum(volume) from "BTC/kline/1m"').fetchall()


# The dataset by itself, as anything else of Arrow's world uses it


def test_a_dataset_gives_tables_batches_and_counts():
    with three_months() as (_, series):
        dataset = series.arrow_dataset()
        january = pc.field("ts") < pa.scalar(FEBRUARY, pa.timestamp("ms", "UTC"))
        assert dataset.to_table() == series.range().to_arrow()
        assert dataset.to_table(columns=["low"], filter=january)["low"].to_pylist() == THREE_MONTHS["low"][:7].tolist()
        assert dataset.count_rows(filter=pc.field("close") == 1_011) == 1
        assert dataset.head(3).num_rows == 3
        assert sum(batch.num_rows for batch in dataset.to_batches(filter=january)) == 7
        doubled = dataset.to_table(columns={"twice": pc.field("close") * 2})
        assert doubled["twice"].to_pylist() == (THREE_MONTHS["close"] * 2).tolist()
        assert "BTC/kline/1m" in repr(dataset)


def test_the_order_of_rows_is_kept():
    with temporary_store() as store:
        series = store.register_kline_series("BTC", "1m", MINUTE)
        series.put(bars(JANUARY, 400_000, step=1_000))
        found = series.arrow_dataset().to_table(filter=pc.field("close") > 0)
        assert np.array_equal(found["ts"].cast("int64").to_numpy(), series.range().ts)


def test_parts_with_nan_are_not_judged_by_their_other_values():
    with temporary_store() as store:
        series = store.register_series(("X", "own", "f"), Schema("f", [("ts", "i8"), ("f", "f8")]))
        series.put({"ts": [1, 2], "f": [1.0, np.nan]})
        found = series.arrow_dataset().to_table(filter=~(pc.field("f") <= 2))
        assert found["ts"].cast("int64").to_pylist() == [2]


def test_what_needs_files_is_refused():
    with three_months() as (_, series):
        dataset = series.arrow_dataset()
        for call in (dataset.get_fragments, lambda: dataset.sort_by("ts"), lambda: dataset.filter(pc.field("ts") > 1)):
            with pytest.raises(NotImplementedError, match="scanned only"):
                call()


def test_damage_found_by_a_scan_is_told():
    with three_months() as (store, series):
        damage(store, "close", 21_001)
        with fastk.open(store.root, mode="r") as again, pytest.raises(InvalidData, match="column 'close' is damaged"):
            again.series(series.key).arrow_dataset().to_table()


def test_only_parts_that_can_match_are_read(monkeypatch):
    """Parts of 4,096 rows, the least that there are."""
    monkeypatch.setattr(arrow_dataset, "_PART_ROWS", 1)
    read = []
    batch = arrow_dataset.Layout.batch
    monkeypatch.setattr(arrow_dataset.Layout, "batch", lambda self, rows: read.append(len(rows)) or batch(self, rows))
    with temporary_store() as store:
        series = store.register_kline_series("BTC", "1m", MINUTE, price_scale=100)
        series.put(bars(JANUARY, 20_000))
        for decoded, value in ((False, 101_001), (True, 1_010.01)):
            for condition in (
                pc.field("close") == value,
                pc.field("close").isin([value]),
                (pc.field("close") > value - 0.05) & (pc.field("close") < value + 0.05),
                pc.field("ts") == pa.scalar(JANUARY + 10_000 * MINUTE, pa.timestamp("ms", "UTC")),
            ):
                found = series.arrow_dataset(decoded=decoded).to_table(columns=["close"], filter=condition)
                assert found["close"].to_pylist() == [value]
                assert read == [4_096]
                read.clear()
