"""Pages of the site that lie outside of `docs`, as an mkdocs hook: they stay where GitHub and packagers look for them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.structure.files import File, Files

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig

OUTSIDE = ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
LINK = re.compile(r"(?<=\]\()docs/")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Take them in, at the top."""
    root = Path(config.config_file_path).parent
    for name in OUTSIDE:
        text = (root / name).read_text(encoding="utf-8")
        files.append(File.generated(config, name, content=LINK.sub("", text)))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Lead links out of `docs` to where the pages are here; the README is the home page."""
    for name in OUTSIDE:
        markdown = markdown.replace(f"](../{name}", f"]({name}")
    return markdown.replace("](../README.md", "](index.md")
