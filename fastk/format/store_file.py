"""``fastk.store``: the file that says that a folder is a store, and of which format."""

from __future__ import annotations

from fastk.errors import InvalidData, UnsupportedVersion
from fastk.format.binary import VERSION


def encode_store_file() -> bytes:
    """The content of ``fastk.store``."""
    import json

    return json.dumps({"format": "fastk", "version": VERSION}).encode() + b"\n"


def check_store_file(content: bytes, path: str) -> None:
    """Raise InvalidData unless the content is a store's, UnsupportedVersion if it is another format's."""
    import json

    try:
        stored = json.loads(content)
        is_ours, version = stored["format"] == "fastk" and type(stored["version"]) is int, stored["version"]
    except (ValueError, KeyError, TypeError, RecursionError):
        is_ours, version = False, 0
    if not is_ours:
        raise InvalidData(f"{path} is damaged or foreign; a store's holds {encode_store_file().decode().strip()}")
    if version != VERSION:
        raise UnsupportedVersion(
            f"{path} says format {version}; this library reads format {VERSION}: use a version of fastk that reads it"
        )
