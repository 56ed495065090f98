"""The JSON bridge: ten commands over a store, for callers in any language (``fastk_bridge`` and ``fastk bridge``).

A command goes one way, whether it came as arguments or as a line of a batch: ``commands`` declares it, ``options``
reads its options, ``payload`` its records; ``reads``, ``inventories``, ``queries`` or ``writes`` does it; ``answers``
writes the result. :func:`schema` gives the JSON Schema of everything that goes in or comes out.
"""

from __future__ import annotations

from typing import Any

CONTRACT_VERSION = "0.1.0-rc.1"


def schema(name: str) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of one document of the contract, complete in itself.

    Names: ``COMMAND.response`` of each command, ``COMMAND.payload`` of each write, ``error``, ``batch.command`` and
    ``batch.answer``. ValueError for others.
    """
    import json
    from importlib import resources

    text = resources.files(__name__).joinpath("schemas", "bridge.json").read_text(encoding="utf-8")
    everything: dict[str, Any] = json.loads(text)
    if name not in everything["$defs"]:
        known = ", ".join(sorted(each for each in everything["$defs"] if "." in each or each == "error"))
        raise ValueError(f"the bridge has no schema {name!r}; it has {known}")
    return {**everything, "$ref": f"#/$defs/{name}"}
