"""The protocol as a program of another language meets it: hello, requests in order, and errors that cost nothing."""

import pytest

from tests.agent.dialogue import Dialogue, code, fields, frame, hello, message
from tests.agent.seat import Seat


def batch(value: bytes, slug: bytes = b"@all.all.GITHUB_TOKEN") -> "tuple[bytes, ...]":
    """The fields of an unlock-add that brings one value."""
    facts = (b"vault", b"os.secure", b"grade", b"encrypted/permanent", b"ttl", b"60")
    return (*facts, b"slugs", slug, b"sizes", b"%d" % len(value), b"values", value)


def test_a_request_may_come_with_the_hello(seat: Seat) -> None:
    """Both in one write: one round trip."""
    with Dialogue(seat.socket) as client:
        client.send(hello() + message(b"get", b"key", b"GITHUB_TOKEN"))
        greeting = client.receive()
        assert greeting[:5] == [b"hello", b"agentkeys", b"1", b"1", b"human"]
        assert client.receive() == [b"ok", b"value", seat.values["GITHUB_TOKEN"]]


def test_the_hello_comes_before_any_request(seat: Seat) -> None:
    """A client that waits for the agent's word before it sends a secret gets it."""
    with Dialogue(seat.socket) as client:
        client.send(hello())
        assert client.receive()[0] == b"hello"
        assert client.ask(b"ping") == [b"ok"]


def test_requests_are_answered_in_order(seat: Seat) -> None:
    """A hundred in one write; each answer belongs to its request."""
    with Dialogue(seat.socket).greet() as client:
        client.send(b"".join(message(b"ping", b"n", b"%d" % number) for number in range(100)))
        assert [client.receive() for _ in range(100)] == [[b"ok", b"n", b"%d" % number] for number in range(100)]


def test_a_request_may_come_byte_by_byte(seat: Seat) -> None:
    """However the stream is cut, the message is the same."""
    data = hello() + message(b"get", b"key", b"GITHUB_TOKEN")
    with Dialogue(seat.socket) as client:
        for at in range(len(data)):
            client.send(data[at : at + 1])
        client.receive()
        assert client.receive() == [b"ok", b"value", seat.values["GITHUB_TOKEN"]]


def test_a_message_may_come_in_frames(seat: Seat) -> None:
    """Cut anywhere, within a field too; only the last frame has the last bit."""
    payload = fields(b"get", b"key", b"GITHUB_TOKEN")
    for cut in range(1, len(payload)):
        with Dialogue(seat.socket).greet() as client:
            client.send(frame(payload[:cut], 0) + frame(payload[cut:], 1))
            assert client.receive() == [b"ok", b"value", seat.values["GITHUB_TOKEN"]]


@pytest.mark.parametrize(
    "request_fields",
    [
        [b"nonsense"],
        [b"GET", b"key", b"GITHUB_TOKEN"],
        [b"get ", b"key", b"GITHUB_TOKEN"],
        ["gеt".encode(), b"key", b"GITHUB_TOKEN"],
        [b"get"],
        [b"get", b"key", b"GITHUB_TOKEN", b"unknown", b"x"],
        [b"get", b"key", b"GITHUB_TOKEN", b"key", b"OPENAI_API_KEY"],
        [b"get", b"KEY", b"GITHUB_TOKEN"],
        [b"get", b"key", b"GITHUB_TOKEN", b"uid", b"0"],
        [b"get", b"key", b"GITHUB_TOKEN", b"owner", b"crab"],
        [b"get", b"key", b"GITHUB_TOKEN", b"pid", b"1"],
        [b"get", b"key", b"\xff\xfe"],
        [b"get", b"key", b""],
        [b"get", b"key", b"../../etc/passwd"],
        [b"get", b"key", b"A" * 200_000],
        [b"get", b"key", b"GITHUB_TOKEN", b"env", b"PROD"],
        [b"exec", b"key", b"GITHUB_TOKEN=LD_PRELOAD"],
        [b"exec", b"key", b"GITHUB_TOKEN=A=B"],
        [b"exec", b"env", b"sudo"],
        [b"relock", b"nonsense", b"x"],
        [b"unlock", b"nonsense", b"x"],
        [b"unlock-add", *batch(b"x", b"@all.all.X")],
        [b"unlock-commit", b"state-key", b"k" * 32],
        [b"replace", b"slug", b"no slug", b"cap", b"0", b"value", b"x"],
        [b"replace", b"slug", b"@all.all.X", b"cap", b"-1", b"value", b"x"],
        [b"forget", b"nonsense", b"x"],
        [b"status", b"format", b"json", b"format", b"json"],
        [b"stop", b"now", b"1"],
        [b""],
        [b"\0"],
        [b"hello", b"again", b"x"],
    ],
    ids=lambda it: b" ".join(it).decode("ascii", "backslashreplace")[:40],
)
def test_a_request_that_makes_no_sense_costs_nothing(request_fields: list[bytes], shared: Seat) -> None:
    """Unknown verbs, fields, repeats, claims about oneself: an error, nothing changed, and the connection goes on."""
    before = shared.states()
    with Dialogue(shared.socket).greet() as client:
        assert code(client.ask(*request_fields)) in (2, 5, 6)
        assert client.ask(b"ping") == [b"ok"]
        assert client.ask(b"get", b"key", b"GITHUB_TOKEN") == [b"ok", b"value", shared.values["GITHUB_TOKEN"]]
    assert shared.states() == before


def test_an_unlock_counts_when_it_is_committed(seat: Seat) -> None:
    """Values sent and not committed are gone with their connection; what was held stays."""
    with Dialogue(seat.socket).greet() as client:
        assert client.ask(b"unlock") == [b"ok", b"max-ttl", b"604800"]
        added = client.ask(b"unlock-add", *batch(b"intruder"))
        assert added == [b"ok"]
        assert client.ask(b"get", b"key", b"GITHUB_TOKEN")[2] == seat.values["GITHUB_TOKEN"]
    assert seat.get("GITHUB_TOKEN").out == seat.values["GITHUB_TOKEN"]
    with Dialogue(seat.socket).greet() as client:
        assert code(client.ask(b"unlock-commit", b"state-key", b"k" * 32)) == 2
        assert code(client.ask(b"unlock-add", *batch(b"x"))) == 2


def test_an_unlock_is_its_connections_own(seat: Seat) -> None:
    """Another connection can neither add to it nor commit it."""
    with Dialogue(seat.socket).greet() as one, Dialogue(seat.socket).greet() as other:
        assert one.ask(b"unlock")[0] == b"ok"
        assert code(other.ask(b"unlock-add", *batch(b"x"))) == 2
        assert code(other.ask(b"unlock-commit", b"state-key", b"k" * 32)) == 2


def test_an_agent_of_another_owner_says_whose_it_is(seat: Seat) -> None:
    """A hello for somebody else: the agent's own hello, an error that names its owner, and the end."""
    with Dialogue(seat.socket) as client:
        client.send(hello(owner=b"crab") + message(b"get", b"key", b"GITHUB_TOKEN"))
        assert client.receive()[4] == b"human"
        answer = client.receive()
        assert code(answer) == 2
        assert b"human" in answer[4]
        assert client.wait_for_end() == b""


def test_a_hello_without_an_owner_takes_any(seat: Seat) -> None:
    """Who only has a socket learns from the hello whose it is."""
    with Dialogue(seat.socket) as client:
        client.send(hello(owner=b"") + message(b"ping"))
        assert client.receive()[4] == b"human"
        assert client.receive() == [b"ok"]


@pytest.mark.parametrize(("low", "high"), [(b"2", b"3"), (b"0", b"0"), (b"99999", b"99999"), (b"3", b"2")])
def test_sides_without_a_common_protocol_part_politely(low: bytes, high: bytes, seat: Seat) -> None:
    """Hello, an error that says so, the end; no request is looked at."""
    with Dialogue(seat.socket) as client:
        client.send(hello(low=low, high=high) + message(b"get", b"key", b"GITHUB_TOKEN"))
        assert client.receive()[2:4] == [b"1", b"1"]
        answer = client.receive()
        assert code(answer) == 2
        assert b"protocol" in answer[4]
        assert client.wait_for_end() == b""


@pytest.mark.parametrize(("low", "high"), [(b"1", b"7"), (b"0", b"1"), (b"0", b"99")])
def test_a_range_that_holds_ours_is_served(low: bytes, high: bytes, seat: Seat) -> None:
    """Newer and older clients that still speak version 1."""
    with Dialogue(seat.socket) as client:
        client.send(hello(low=low, high=high) + message(b"ping"))
        client.receive()
        assert client.receive() == [b"ok"]


def test_a_newer_clients_longer_hello_is_understood(seat: Seat) -> None:
    """Fields behind the known ones are for later versions."""
    with Dialogue(seat.socket) as client:
        client.send(message(b"hello", b"agentkeys", b"1", b"9", b"human", b"9.0", b"home", b"new", b"fields"))
        assert client.receive()[0] == b"hello"
        assert client.ask(b"ping") == [b"ok"]


def test_query_tells_what_can_be_asked(seat: Seat) -> None:
    """Every verb it names is one it knows."""
    with Dialogue(seat.socket).greet() as client:
        answer = client.ask(b"query")
        assert answer[0] == b"ok"
        verbs = set(answer[2::2])
        assert {b"ping", b"query", b"get", b"exec", b"status", b"relock"} <= verbs
        assert set(answer[1::2]) == {b"verb"}
