"""Comparisons that were made once and can be made again; nothing here is needed to play or to train."""
