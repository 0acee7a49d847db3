"""Give frames: one file per kind of camera or file."""
