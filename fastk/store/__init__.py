"""The face of the library: the store, its series handles and what they report."""
