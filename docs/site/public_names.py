"""For the reference: public names where users import them from, and docstrings as Markdown.

Names of `fastk` are loaded when they are first used, which no static analysis sees: `_HOMES` says where each is.
"""

from __future__ import annotations

import ast
import re
from typing import Any

import griffe

# Roles of Sphinx, as docstrings have them: :meth:`open`.
ROLE = re.compile(r":[a-z]+:`([^`]+)`")


class PublicNames(griffe.Extension):
    """An extension of griffe, which reads the code for mkdocstrings."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Give `fastk` the names that it exports."""
        if pkg.name != "fastk":
            return
        homes = ast.literal_eval(str(pkg["_HOMES"].value))
        exported = {name: f"{home}.{name}" for home, names in homes.items() for name in names.split()}
        for name, target in {**exported, "open": "fastk.store.store.open_store"}.items():
            pkg.set_member(name, griffe.Alias(name, target))

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Make references of roles; a wrong one is a warning, which the strict build refuses."""
        if obj.docstring is not None:
            obj.docstring.value = ROLE.sub(r"[`\1`][\1]", obj.docstring.value)
