"""Benchmarks of FastK beside memory-mapped .npy files: ``python -m bench`` prints the table."""
