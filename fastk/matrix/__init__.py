"""Series as aligned arrays: feature matrices, windows of them, and files that machine learning maps."""
