"""The files of the Rust engine's stores, versions 1 and 2: bytes in, values out, and back."""
