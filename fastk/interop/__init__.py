"""Rows as frames and tables of other libraries, and theirs as rows. Each library is optional and loaded when used."""
