"""Settings: every wrong key, type, unit and path is named with its place and a fix."""
