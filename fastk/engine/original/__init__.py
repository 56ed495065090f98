"""Reading the Rust engine's stores: another layout below the same snapshots."""
