"""The pygame program: loop, window, overlay, keys, recording."""
