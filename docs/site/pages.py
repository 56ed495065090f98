"""An mkdocs hook: pages that lie outside of `docs`, where packagers and people look for them, are in the site too."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.structure.files import File, Files

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig

OUTSIDE = {name: name for name in ("CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "SECURITY.md")}
OUTSIDE["README.md"] = "overview.md"  # under its own name it would be the home page
LINK = re.compile(r"(?<=\]\()(?:docs/)?([\w./-]+)")
# What a block says to the tests behind its language: ```python no-run: the reason
FENCE = re.compile(r"^( *```\w+) .*$", re.MULTILINE)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Take them in, at the top."""
    root = Path(config.config_file_path).parent
    for path, name in OUTSIDE.items():
        text = (root / path).read_text(encoding="utf-8")
        files.append(File.generated(config, name, content=LINK.sub(_name_here, text)))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Lead links out of `docs` to where the pages are here, and leave of a block's first line the language."""
    for path, name in OUTSIDE.items():
        markdown = markdown.replace(f"](../{path}", f"]({name}")
    return FENCE.sub(r"\1", markdown)


def _name_here(target: re.Match[str]) -> str:
    return OUTSIDE.get(target[1], target[1])
