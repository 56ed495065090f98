"""Files of other programs: CSV, JSON lines, Parquet and Arrow, read and written batch by batch in bounded memory."""
