"""Bytes thrown at what reads a stranger's: frames, racks that can't be verified, and values on their way to a shell."""
