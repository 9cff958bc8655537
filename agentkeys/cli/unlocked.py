"""What an unlock did, for people and as JSON; shared by `unlock` and by `agent --unlock`."""

import json

from agentkeys import client
from agentkeys.cli import options as o
from agentkeys.core import refs
from agentkeys.worker.job import Answer


def report(answer: Answer, nothing: str, as_json: bool = False) -> int:
    """Print what became of each key, `nothing` when there was none; the exit code.

    What was unlocked goes to stdout, what wasn't to stderr with its reason.
    """
    found: list[tuple[str, int]] = []
    undone: list[list[str]] = []
    for effect, row in answer.rows:
        if effect == "undone":
            undone.append(row.decode("utf-8", "replace").split("\n", 2))
        elif effect != "code":
            left, *slugs = row.decode("ascii").split("\n")
            found += [(slug, int(left)) for slug in slugs]
            if effect == "capped":
                for slug in slugs:
                    client.note(f"{slug} is capped: it stays for {refs.show_duration(int(left))}")
    found.sort()
    for state, slug, why in undone:
        client.note(f"{state} {slug}: {why}")
    if as_json:
        unlocked = [{"slug": slug, "expires_in_seconds": ttl} for slug, ttl in found]
        others = [{"slug": slug, "state": state, "reason": why} for state, slug, why in undone]
        o.say(json.dumps({"unlocked": unlocked, "not_unlocked": others}))
    elif found:
        times = {ttl: refs.show_duration(ttl) for _slug, ttl in found}
        o.say("\n".join([f"unlocked {slug} for {times[ttl]}" for slug, ttl in found]))
    elif not undone:
        o.say(nothing)
    return int(answer.text("code"))
