"""Names on disk: usual ones stand as they are, no two ever meet, and none leaves the root."""

import re

import pytest
from builders import JANUARY, bars, temporary_folder
from hypothesis import example, given
from hypothesis import strategies as st

import fastk
from fastk import InvalidData, InvalidInput, SeriesKey
from fastk.format import names

USUAL = re.compile(r"[A-Za-z0-9_\-.@+=#,!$()%]+")
RESERVED = ["con", "prn", "aux", "nul", "com1", "com9", "lpt1", "lpt9", "conin$", "conout$"]


def storable(text):
    """Text that is a name: not blank, and nothing in it that cannot be seen."""
    return bool(text.strip()) and not re.search(names._UNSEEN, text)


# Letters, digits and signs are mixed with what is awkward on some disk.
AWKWARD = st.sampled_from([*'aA1._-@%/\\:*?"<>| ~$#é\u0301ß\u017fKİ家🙂', "..", "CON", "nul", "%41", "@@"])
NAMES = st.one_of(
    st.lists(AWKWARD, min_size=1, max_size=12).map("".join),
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=15),
).filter(storable)
CASES = st.booleans()


@pytest.mark.slow
@given(NAMES, CASES)
@example("..", True)
@example(".", False)
@example("CON", True)
@example("aux.txt", False)
@example("1M", False)
@example("a.", True)
@example(" a ", False)
@example("%", True)
def test_every_name_comes_back(text, upper):
    encoded = names.encode_component(text, "name", upper=upper)
    assert names.decode_component(encoded, upper=upper) == text


@given(NAMES, CASES)
@example("con", False)
@example("LPT1.csv", True)
@example("...", True)
@example("x.", False)
def test_encoded_names_are_safe_on_every_disk(text, upper):
    encoded = names.encode_component(text, "name", upper=upper)
    assert USUAL.fullmatch(encoded)
    assert not encoded.startswith(".")
    assert not encoded.endswith((".", " "))
    assert encoded.split(".")[0].lower() not in RESERVED
    assert 0 < len(encoded) <= 255


@given(NAMES, NAMES, CASES)
@example("1m", "1M", False)
@example("btc", "BTC", True)
@example("é", "e\u0301", True)
@example("K", "K", True)
@example("ß", "SS", True)
@example("a%4D", "aM", False)
def test_distinct_names_never_meet_on_a_case_insensitive_disk(one, other, upper):
    encoded = [names.encode_component(text, "name", upper=upper).casefold() for text in (one, other)]
    assert (encoded[0] == encoded[1]) == (one == other)


@given(st.text(st.sampled_from("aA%41._-2EeDd"), max_size=8), CASES)
def test_only_encoded_names_are_decoded(folder, upper):
    try:
        text = names.decode_component(folder, upper=upper)
    except InvalidData:
        return
    assert names.encode_component(text, "name", upper=upper) == folder


@pytest.mark.parametrize("symbol", ["BTCUSDT", "BTC-PERP", "ES=F", "^GSPC"[1:], "BRK.B", "6E#", "EURUSD_1", "0700.HK"])
def test_usual_symbols_stand_as_they_are(symbol):
    assert names.encode_component(symbol, "symbol", upper=True) == symbol


@pytest.mark.parametrize("name", ["1m", "1m@@rsi_14", "binance_spot", "kline", "15m@@z-score(20)", "aux_1", "console"])
def test_usual_names_stand_as_they_are(name):
    assert names.encode_component(name, "name", upper=False) == name


@pytest.mark.parametrize("letter", ["i", "I", "\u0131", "\u0130"])
def test_reserved_words_are_told_in_any_case_and_with_any_i(letter):
    assert names.encode_component(f"con{letter}n$.x", "name", upper=False).startswith("%63on")


def test_the_other_case_is_encoded():
    assert names.encode_component("1M", "name", upper=False) == "1%4D"
    assert names.encode_component("btc", "symbol", upper=True) == "%62%74%63"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "blank"),
        ("   ", "blank"),
        ("\u3000", "blank"),
        (None, "must be text"),
        (5, "must be text"),
        (b"BTC", "must be text"),
        ("a\0b", "control"),
        ("a\nb", "control"),
        ("\x7f", "control"),
        ("\x85x", "control"),
        ("a\u202eb", "cannot be seen"),
        ("a\u2028b", "cannot be seen"),
        ("a\u200bb", "cannot be seen"),
        ("\ud800", "cannot be seen"),
        ("x" * 10_000, "at most 240"),
        ("家" * 30, "at most 240"),
    ],
    ids=ascii,
)
def test_what_cannot_be_a_name_is_refused_with_the_reason(text, why):
    for upper in (True, False):
        with pytest.raises(InvalidInput, match=why):
            names.encode_component(text, "name", upper=upper)


def test_the_message_for_a_long_name_stays_short():
    with pytest.raises(InvalidInput) as refused:
        names.encode_component("x" * 10_000, "symbol", upper=True)
    assert len(str(refused.value)) < 300


# Through the store


HOSTILE = [
    "../../x",
    "..",
    ".",
    "/etc/passwd",
    "C:\\x",
    "a/b",
    "CON",
    "chunks",
    "series.meta",
    "%2E%2E",
    "~",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_outside_the_root_is_touched_whatever_the_name(text):
    with temporary_folder() as folder:
        root = folder / "nested" / "store"
        with fastk.open(root) as store:
            for key in [(text, "feature", "1m"), ("BTC", text, "1m"), ("BTC", "feature", text), (text, text, text)]:
                series = store.register_series(key, fastk.KLINE)
                series.put(bars())
                assert series.range().ts[0] == JANUARY
            assert {(each.symbol, each.category, each.name) for each in store.list_series()} == {
                (text, "feature", "1m"),
                ("BTC", text, "1m"),
                ("BTC", "feature", text),
                (text, text, text),
            }
        assert [path.name for path in folder.iterdir()] == ["nested"]
        assert [path.name for path in (folder / "nested").iterdir()] == ["store"]
        assert {path.name for path in root.iterdir()} == {"series", "fastk.store", ".fastk.write.lock"}
        with fastk.open(root, "r") as store:
            assert len(store.series((text, text, text))) == 5


def test_names_that_differ_in_case_alone_live_side_by_side():
    keys = [("BTC", "kline", "1m"), ("BTC", "kline", "1M"), ("btc", "kline", "1m"), ("BTC", "Kline", "1m")]
    with temporary_folder() as folder, fastk.open(folder) as store:
        for rows, key in enumerate(keys, 1):
            store.register_series(key, fastk.KLINE).put(bars(count=rows))
        assert [len(store.series(key)) for key in keys] == [1, 2, 3, 4]
        folders = [str(path.parent.relative_to(folder)).casefold() for path in folder.rglob("series.meta")]
        assert len(set(folders)) == 4


@pytest.mark.parametrize("text", ["", " ", "a\0b", "x" * 10_000, "\ud800", 5, None], ids=ascii)
def test_refused_names_leave_the_store_as_it_was(text):
    with temporary_folder() as folder, fastk.open(folder / "store") as store:
        for key in [(text, "kline", "1m"), ("BTC", text, "1m"), ("BTC", "kline", text)]:
            with pytest.raises(InvalidInput):
                store.register_series(key, fastk.KLINE)
            with pytest.raises(InvalidInput):
                store.series(key)
            with pytest.raises(InvalidInput):
                store.drop_series(key)
        assert not (folder / "store").exists()


@pytest.mark.parametrize(
    "key",
    ["BTC", ("BTC", "kline"), ("a", "b", "c", "d"), None, 5, ["a", "b", "c"], ("a", ["b"], "c"), {"a": 1}],
    ids=repr,
)
def test_what_is_no_key_is_refused(key):
    with temporary_folder() as folder, fastk.open(folder) as store:
        for use in (store.series, store.drop_series, lambda each: store.register_series(each, fastk.KLINE)):
            with pytest.raises(InvalidInput):
                use(key)


# Scalar keys


@pytest.mark.slow
@given(NAMES, NAMES, NAMES, NAMES)
def test_scalar_keys_and_stored_names_are_one_to_one(symbol, timeframe, category, name):
    key = fastk.ScalarSeriesKey(symbol, timeframe, category, name)
    try:
        stored = key.series_key
    except InvalidInput:
        assert "@" in timeframe + name
        return
    assert stored == SeriesKey(symbol, category, f"{timeframe}@@{name}")
    assert fastk.ScalarSeriesKey.of(stored) == key


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("blank", ["", "  ", None])
def test_blank_parts_of_scalar_keys_are_named(place, blank):
    parts = ["BTC", "1m", "feature", "f"]
    parts[place] = blank
    with pytest.raises(InvalidInput, match=fastk.ScalarSeriesKey._fields[place]):
        fastk.ScalarSeriesKey(*parts).series_key  # noqa: B018


# Chunk and table files

SEQUENCES = st.integers(1, 10**12)
PARTS = st.integers(0, names.MAX_PARTS - 1)


@given(
    st.sampled_from(["2024", "2024-02", "0001-01", "9999-12", "2024-02-01", "1969-12-31T23"]),
    st.sampled_from(["", "delta", "merged"]),
    SEQUENCES,
    PARTS,
)
def test_chunk_file_names_come_back(partition_key, kind, sequence, part):
    identity = names.chunk_id(sequence, part)
    assert names.sequence_and_part(identity) == (sequence, part)
    file = names.chunk_file_name(partition_key, kind, identity)
    assert names.parse_chunk_file_name(file) == (partition_key, kind, identity)


@given(st.sampled_from(["chunks", "retired"]), SEQUENCES, PARTS)
def test_table_file_names_come_back(kind, sequence, part):
    identity = names.chunk_id(sequence, part)
    assert names.parse_table_file_name(names.table_file_name(kind, identity)) == identity


@pytest.mark.parametrize(
    "file",
    [
        "",
        "2024-02.chunk",
        "2024-02.00000001-0000.chunk.zmap",
        "2024-02.00000001-0000.chunk.tmp",
        "2024-02.00000001-0000.chunk\n",
        "2024-02.other.00000001-0000.chunk",
        "2024-02.delta.g00000002.chunk",
        "2024-02.1-0.chunk",
        "x.00000001-0000.chunk",
        "../2024-02.00000001-0000.chunk",
        "\uff12\uff10\uff12\uff14-02.00000001-0000.chunk",
    ],
)
def test_other_files_are_no_chunks(file):
    assert names.parse_chunk_file_name(file) is None


@pytest.mark.parametrize(
    "file", ["", "series.meta", "chunks.table", "chunks.00000001-0000.table\n", "other.00000001-0000.table"]
)
def test_other_files_are_no_tables(file):
    assert names.parse_table_file_name(file) is None
