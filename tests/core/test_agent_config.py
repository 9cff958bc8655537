"""The operator's config, renewed: the state machine says when, the driver reads it; what is refused changes nothing."""

import pytest

from agentkeys.core.agent import step
from agentkeys.core.effects import ReadConfig, Wipe
from agentkeys.core.events import ConfigRead, ConfigRefused, Request, Tick
from agentkeys.errors import DENIED, Denied, UsageFault
from tests.core.playbook import Playbook, add, ask, audit, began, error, ok, secret, timer, wipe

DAY = 24 * 3600

FAULT = UsageFault("config.toml is not TOML", "mend it")


def read(
    names: str = "", longest: int = DAY, idle: int = 0, inject: bool = False, request: Request | None = None
) -> ConfigRead:
    """The config says that."""
    return ConfigRead(frozenset(names.split()), longest, idle, inject, request)


@pytest.mark.parametrize("verb", ["reload", "unlock"])
def test_it_is_read_before_anything_happens(verb: str) -> None:
    """The request itself waits: with the answer comes what is done, by the config as it is then."""
    book = Playbook().unlock(A="one")
    request = ask(verb)
    effects = step(book.state, request, 0)
    assert [type(effect) for effect in effects] == [ReadConfig]
    assert isinstance(effects[0], ReadConfig)
    assert effects[0].request is request
    assert not book.state.staged
    assert book.step(read(request=request))[-1][:3] == ok()


def test_what_is_due_goes_before_it_is_read() -> None:
    """A request that comes late from a suspended machine: first the values whose time is over."""
    book = Playbook().unlock(ttl=60, A="one")
    effects = step(book.state, ask("reload"), 60_000)
    assert isinstance(effects[0], Wipe)
    assert isinstance(effects[-1], ReadConfig)


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


def test_a_shorter_limit_shortens_what_is_held() -> None:
    """No key stays longer from now on, also one that was unlocked before; a longer limit lengthens nothing."""
    book = Playbook().unlock(ttl=3600, A="one")
    book.play(
        (read(longest=60), 1000, [timer(61_000)]),
        (read(longest=DAY), 2000, []),
        (Tick(), 61_000, [wipe("one")]),
    )


def test_an_idle_limit_counts_at_once() -> None:
    """From the last use, which was before."""
    book = Playbook().unlock(ttl=3600, A="one")
    book.play((read(idle=60), 1000, [timer(60_000)]))


@pytest.mark.parametrize("verb", ["reload", "unlock"])
def test_a_refused_config_refuses_the_request(verb: str) -> None:
    """Its fault is the answer, and nothing else happens: an unlock that is under way goes on as it was."""
    book = Playbook().unlock(A="one")
    book.play(
        (ask("unlock"), 0, [began()]),
        (add({"@all.all.B": b"two"}, 60), 0, [ok()]),
        (ConfigRefused(FAULT, ask(verb)), 0, [error(FAULT.exit_code)]),
        (add({"@all.all.C": b"three"}, 60), 0, [ok()]),
        (ask("get", key="A"), 0, [audit("get", "@all.all.A", "allow"), secret("value", "one")]),
    )
    assert set(book.state.staged[1].brought) == {"@all.all.B", "@all.all.C"}


def test_a_config_that_others_can_write_is_on_record() -> None:
    """A denial leaves its line before its answer, as every denial does."""
    fault = Denied("config.toml is not yours alone to write", "chmod go-w config.toml")
    book = Playbook()
    book.play((ConfigRefused(fault, ask("unlock")), 0, [audit("unlock", "", "deny"), error(DENIED)]))
    assert book.why == book.said
