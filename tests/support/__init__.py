"""Doubles, scenarios and tools that several test files share."""
