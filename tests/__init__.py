"""The tests. `tests.support` is what they are made with, conftest.py what they may ask for by name."""
