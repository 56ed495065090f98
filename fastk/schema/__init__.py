"""The vocabulary of rows: fields, record types, series settings, exact conversion of what callers hand in."""
