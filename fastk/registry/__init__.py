"""Which datasets there are, in SQLite beside the stores; and versions of stores that never change.

The registry names stores, it is never the truth about what they hold.
"""
