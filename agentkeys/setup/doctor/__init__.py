"""`agentkeys doctor`: what stands between a user and their keys, looked at in one go.

Rule 1: a check is a function of a Scene that yields Findings, listed in `agentkeys.setup.doctor.checks`.
Rule 2: nothing is asked, unlocked, started, written or removed; what a check opens, it opens without waiting.
Rule 3: whatever is broken is a finding: no check fails because the one before it would have found something.
Rule 4: a warning or an error ends with a command that mends it. No finding names a key or holds a value.
"""
