"""Measures the budgets: each figure as a ratio to a floor or a peer that ran interleaved with it."""
