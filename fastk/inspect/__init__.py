"""Facts of a store: what is in it, what is missing, what it takes, and whether it is sound. Nothing is changed."""
