"""The operator's config, renewed: the state machine says when, the driver reads it; what is refused changes nothing."""

import pytest

from agentkeys.core.agent import step
from agentkeys.core.effects import ReadConfig, Reply
from agentkeys.core.events import ConfigRead, ConfigRefused, Tick
from agentkeys.core.refs import MAX_TTL
from agentkeys.errors import DENIED, UsageFault
from tests.core.playbook import Playbook, add, ask, audit, began, error, ok, secret, timer, wipe


def read(*names: str, longest: int = MAX_TTL, idle: int = 0) -> ConfigRead:
    """What the driver says after it has read the config."""
    return ConfigRead(frozenset(names), longest, idle)


FAULT = UsageFault("config.toml is not TOML", "mend it")


@pytest.mark.parametrize("verb", ["reload", "unlock"])
def test_it_is_read_before_the_reply(verb: str) -> None:
    """The driver applies effects in order: the reply goes out only if the config was read."""
    effects = step(Playbook().state, ask(verb), 0)
    assert [type(effect) for effect in effects[-2:]] == [ReadConfig, Reply]


@pytest.mark.parametrize("verb", ["ping", "query", "get", "exec", "status", "relock", "unlock-add", "forget"])
def test_nothing_else_reads_it(verb: str) -> None:
    """A read costs a file access; only what an operator does now and then pays for it."""
    book = Playbook().unlock(A="one")
    before = book.config_reads
    book.step(ask(verb))
    assert book.config_reads == before


def test_new_names_count_at_once() -> None:
    """Allowed and forbidden again, also for what exec had prepared before."""
    everything = ask("exec")
    book = Playbook().unlock(NODE_OPTIONS="one")
    refused = [audit("exec", "", "deny"), error(DENIED)]
    given = [audit("exec", "@all.all.NODE_OPTIONS", "allow"), secret("NODE_OPTIONS", "one")]
    book.play(
        (everything, 0, refused),
        (read("NODE_OPTIONS"), 0, []),
        (everything, 0, given),
        (everything, 0, given),
        (read(), 0, []),
        (everything, 0, refused),
    )


def test_a_refused_config_ends_the_request() -> None:
    """Its fault is the answer; an unlock that had begun is gone, and the next one begins anew."""
    book = Playbook().unlock(A="one")
    book.play(
        (ask("unlock"), 0, [began()]),
        (add({"@all.all.B": "two"}), 0, [ok()]),
        (ConfigRefused(1, FAULT), 0, [wipe("two"), error(FAULT.exit_code)]),
        (add({"@all.all.B": "two"}), 0, [error(2)]),
        (ask("get", key="A"), 0, [audit("get", "@all.all.A", "allow"), secret("value", "one")]),
    )
    assert book.said


def test_a_refused_config_of_another_connection_is_not_mine() -> None:
    """An unlock under way on one connection survives another's failing reload."""
    book = Playbook()
    book.step(ask("unlock", conn=1))
    book.play((ConfigRefused(2, FAULT), 0, [error(FAULT.exit_code, conn=2)]))
    book.play((add({"@all.all.B": "two"}), 0, [ok()]))


def test_new_limits_count_at_once() -> None:
    """A shorter maximum for the next unlock, and an idle limit for what is held already."""
    book = Playbook().unlock(A="one", ttl=3600)
    book.play(
        (read(longest=60, idle=30), 0, [timer(30_000)]),
        (ask("unlock"), 0, [ok("max-ttl", "60")]),
        (Tick(), 30_000, [wipe("one")]),
    )
