"""Bytes only, pure: how names, chunks, manifests and tables look on disk. ``docs/format.md`` is the specification."""
