"""A store as a page to look at: one file, no network. Needs the extra `report`."""
