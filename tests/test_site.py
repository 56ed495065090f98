"""The pages lead to each other and name all that is public, and the site is built without a warning."""

import functools
import importlib.util
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

import fastk

CHECKOUT = Path(__file__).resolve().parent.parent
REFERENCE = CHECKOUT / "docs" / "reference"
PAGES = sorted([*CHECKOUT.glob("*.md"), *(CHECKOUT / "docs").rglob("*.md")])
OUTSIDE = ("http://", "https://", "mailto:")


def tokens_of(page):
    return MarkdownIt().enable("table").parse(page.read_text(encoding="utf-8"))


def links_of(page):
    inline = [child for token in tokens_of(page) for child in token.children or ()]
    return [str(token.attrs["href"]) for token in inline if token.type == "link_open"]


@functools.cache
def anchors_of(page):
    """Of its headings, as GitHub and the site make them: lower case, punctuation left out, -1 behind the second."""
    tokens = tokens_of(page)
    titles = [tokens[place + 1].content for place, token in enumerate(tokens) if token.type == "heading_open"]
    anchors = [re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles]
    return {f"{anchor}-{n}" if (n := anchors[:place].count(anchor)) else anchor for place, anchor in enumerate(anchors)}


def fault_of(page, link):
    """Why a link leads nowhere, or None."""
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    if not target.is_relative_to(CHECKOUT) or not target.exists():
        return "there is no such file"
    if anchor and target.suffix == ".md" and anchor not in anchors_of(target):
        return "the page has no such heading"
    return None


@pytest.mark.parametrize("page", PAGES, ids=[page.relative_to(CHECKOUT).as_posix() for page in PAGES])
def test_links_lead_somewhere(page):
    inside = [link for link in links_of(page) if not link.startswith(OUTSIDE)]
    assert {link: fault for link in inside if (fault := fault_of(page, link))} == {}


def test_wrong_links_are_found():
    page = CHECKOUT / "README.md"
    assert fault_of(page, "docs/library.md#writing") is None
    assert fault_of(page, "docs/library.md#wrighting") == "the page has no such heading"
    assert fault_of(page, "docs/libary.md") == "there is no such file"
    assert fault_of(page, "../elsewhere.md") == "there is no such file"


def test_the_reference_has_every_public_name_once():
    shown = Counter(
        re.findall(r"^::: fastk\.(\w+)$", "".join(page.read_text() for page in REFERENCE.glob("*.md")), re.M)
    )
    public = Counter(name for name in fastk.__all__ if name != "__version__")
    assert shown == public, "a public name stands in one page of docs/reference, as a line `::: fastk.NAME`"


def test_every_page_is_listed():
    """In the navigation of the site; and in the README, as far as it is not a page of the reference."""
    site, readme = ((CHECKOUT / name).read_text() for name in ("mkdocs.yml", "README.md"))
    pages = [page.relative_to(CHECKOUT / "docs").as_posix() for page in (CHECKOUT / "docs").rglob("*.md")]
    assert [page for page in pages if f": {page}\n" not in site] == []
    assert [
        page for page in pages if f"(docs/{page})" not in readme and page != "index.md" and "reference/" not in page
    ] == []


# The site itself


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built as `make docs` builds it."""
    if importlib.util.find_spec("mkdocs") is None:
        pytest.skip("mkdocs is needed: pip install 'fastk-engine[docs]'")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder]
    quiet = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(command, cwd=CHECKOUT, env=quiet, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return folder


@pytest.mark.slow
def test_docstrings_are_shown_without_markup(site):
    pages = {page.name: page.read_text() for page in (site / "reference").glob("*.html")}
    assert 'id="fastk.Series.range"' in pages["store.html"]
    assert [name for name, text in pages.items() if re.search(r":(meth|func|class|attr|mod|data):|``", text)] == []


@pytest.mark.slow
def test_blocks_are_shown_whatever_they_say_to_the_tests(site):
    text = (site / "migration.html").read_text()
    assert "no-run" not in text
    assert 'id="arcticdb"' in text


@pytest.mark.slow
def test_pages_load_nothing_from_elsewhere(site):
    loads = re.compile(r"""<(?:script|img|iframe)[^>]*\ssrc=["']?https?:|<link[^>]*rel=["']?stylesheet[^>]*https?:""")
    assert [page.name for page in site.rglob("*.html") if loads.search(page.read_text())] == []
