"""A Secret never shows itself, and wipe() leaves nothing."""

import copy
import json
import pickle
import traceback

import pytest

from agentkeys.core.effects import Reply, SealAudit, Wipe
from agentkeys.core.holdings import Held
from agentkeys.core.secret import Secret, wipe_buffer
from tests.support.plugin import Plant

SHOWN = {
    "repr": repr,
    "str": str,
    "format": "{}".format,
    "format with a spec": "{:>40}".format,
    "percent s": lambda it: "%s" % it,  # noqa: UP031 - each way to text is tried
    "percent r": lambda it: "%r" % it,  # noqa: UP031
    "in a list": lambda it: repr([it]),
    "in a held": lambda it: repr(Held(it, 0, "", "")),
    "in an effect": lambda it: repr([Wipe([it]), SealAudit(1, it), Reply(1, [it.view()], secret=True)]),
    "dir": lambda it: repr(dir(it)),
}


@pytest.mark.parametrize("show", SHOWN.values(), ids=SHOWN)
def test_no_text_shows_it(show: object, canary: Plant) -> None:
    """Whoever logs it logs a constant."""
    value = canary("SECRET")
    text = show(Secret(value))
    assert value.decode() not in text
    assert value.hex() not in text


TAKEN = {
    "pickle": pickle.dumps,
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "json": json.dumps,
    "bytes": bytes,
    "list": list,
    "index": lambda it: it[0],
    "add": lambda it: it + b"",
}


@pytest.mark.parametrize("take", TAKEN.values(), ids=TAKEN)
def test_no_copy_is_made_by_accident(take: object) -> None:
    """It can't be pickled, copied, iterated or turned into bytes; view() is the one way, and says what it is."""
    with pytest.raises(TypeError):
        take(Secret(b"value"))


def test_a_traceback_does_not_show_it(canary: Plant) -> None:
    """Not even one with the variables of each frame."""
    value = canary("TRACED")
    try:
        secret = Secret(value)
        secret.missing  # noqa: B018 - raises
    except AttributeError as error:
        report = traceback.TracebackException.from_exception(error, capture_locals=True)
        frames = [frame.locals["secret"] for frame in report.stack]
        assert frames == ["Secret(…)"]


def test_equality_tells_nothing() -> None:
    """Two secrets of one value differ, so that comparing is no oracle and a set keeps both."""
    one, other = Secret(b"same"), Secret(b"same")
    assert one != other
    assert one != b"same"
    assert len({one, other}) == 2
    assert one == one


def test_it_copies_once_and_views_without_a_copy() -> None:
    """What it was made from can be wiped at once; a view shows a wipe."""
    source = bytearray(b"value")
    secret = Secret(memoryview(source))
    wipe_buffer(source)
    view = secret.view()
    assert (bytes(view), len(secret), source) == (b"value", 5, bytearray(5))
    secret.wipe()
    assert (bytes(view), len(secret)) == (bytes(5), 5)


@pytest.mark.parametrize(("value", "holds"), [(b"", False), (b"a", False), (b"\0", True), (b"a\0b", True)])
def test_a_nul_is_found(value: bytes, holds: bool) -> None:
    """No variable of an environment can carry one."""
    assert Secret(value).holds_nul() is holds


def test_wipe_buffer_overwrites_in_place() -> None:
    """Of a view only its part."""
    buffer = bytearray(b"keep-secret-keep")
    wipe_buffer(memoryview(buffer)[5:11])
    assert buffer == b"keep-" + bytes(6) + b"-keep"
