"""Read sessions: series pinned together, warmed up and measured."""
