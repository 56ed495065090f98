"""Predicates: which rows have a value like that, found by the cheapest way for each chunk."""
