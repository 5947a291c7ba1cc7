"""Programs for those who work on this one; nothing here is needed to play."""
