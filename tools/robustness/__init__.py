"""Kills, damaged files: what must not hurt, tried many times."""
