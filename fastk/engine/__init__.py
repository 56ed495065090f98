"""The generic engine: reader (snapshot, maps, verification, rows) and writer (commit)."""
