"""Going through stored rows in order: one series, many merged, and what is missing in them."""
