"""Numbers that stand for something in what kernels give, or bound what they take."""

# What a zone says of the rows of its block.
NONE, SOME, ALL = 0, 1, 2
# What a `finder` counts of a chunk without rows in the window, and of one whose values lie beside all ranges.
EMPTY, UNREACHED = -2, -1
# It takes so many ranges.
MOST_RANGES = 64
# A `member_finder` takes so many values, and finds so many rows in all. Of so many chunks it keeps the lock of the
# interpreter for 25 us.
MOST_MEMBERS, MOST_MEMBER_ROWS = 4, 32
MOST_MEMBER_CHUNKS = 256
