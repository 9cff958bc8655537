"""A job's message as the CLI makes it and the worker reads it, and the answer back.

request  = name, (field, value)*        answer = "ok", (field, value)*      or an error as an agent's

Before its answer a worker may ask: "ask", "text", question; the CLI replies "ok", "text", what was typed. Or it asks
for a variable of the caller's environment: "ask", "variable", name; the reply is "ok", "value", bytes, or plain "ok"
when that is unset. Or it says that a dialog is about to open, which only a job with the field `person` may have: "ask",
"dialog", whose; the reply is plain "ok" once the person was told.
"""

from collections.abc import Callable

from agentkeys import paths, wire
from agentkeys.errors import AgentkeysError, UsageFault
from agentkeys.stores.asking import Ask, Means, Variable


class Job:
    """What to do, as named fields; a repeated field keeps its order."""

    def __init__(self, message: bytes, ask: Ask, variable: Variable | None = None) -> None:
        """Read a request. Raises WireError."""
        self.ask = ask
        self.variable = variable
        """Reads the caller's environment; None when there is no caller."""
        fields = wire.split_fields(unframe(message))
        self.name = str(fields[0], "ascii")
        self._fields: dict[str, list[bytes]] = {}
        for name, value in wire.pairs(fields):
            self._fields.setdefault(name.decode("ascii"), []).append(bytes(value))

    def text(self, name: str, default: str | None = None) -> str:
        """A field that must be there, unless it has a default. Raises UsageFault."""
        found = self._fields.get(name)
        if found is None:
            if default is None:
                raise UsageFault(f"the job {self.name} lacks {name}")
            return default
        return found[0].decode(paths.FS_ENCODING, "surrogateescape")

    def texts(self, name: str) -> "list[str]":
        """Every value of a repeated field."""
        return [value.decode(paths.FS_ENCODING, "surrogateescape") for value in self._fields.get(name, [])]

    def means(self) -> Means:
        """What may be used to open an identity."""
        return Means(self.ask, self._fields.get("identity", [b""])[0])

    def number(self, name: str) -> int | None:
        """A field that is a number, or None when it is empty or not there. Raises UsageFault."""
        text = self.text(name, "")
        if text and not (text.isdigit() and len(text) < 10):
            raise UsageFault(f"{name} is not a number")
        return int(text) if text else None

    def value(self) -> bytes | None:
        """The secret value of a `set`, or None when there is none."""
        return self._fields.get("value", [None])[0]

    def values(self) -> "list[bytes]":
        """The secret values of an `import`, as many as it has slugs and in their order."""
        return self._fields.get("value", [])


def unframe(message: bytes) -> memoryview:
    """The payload of a message that is all there. Raises Unfinished when more must come, WireError."""
    parts: list[memoryview] = []
    view = memoryview(message)
    while len(view) >= wire.HEADER:
        end = 4 + wire.frame_length(view)
        if len(view) < end:
            break
        wire.check_frame(view[4], end - wire.HEADER, not parts)
        parts.append(view[wire.HEADER : end])
        if view[4] & wire.LAST:
            return memoryview(b"".join(parts))
        view = view[end:]
    raise Unfinished("message cut short")


class Unfinished(wire.WireError):
    """Not all of a message is there yet."""


def gather(receive: Callable[[], bytes]) -> bytes:
    """One whole message from a source of pieces. Raises WireError, also when the source ends early."""
    message = b""
    while True:
        piece = receive()
        message += piece
        try:
            unframe(message)
        except Unfinished:
            if not piece:
                raise
        else:
            return message


def encode(name: str, fields: "list[tuple[str, bytes | str]]") -> bytes:
    """A request or an answer."""
    flat = [name.encode("ascii")]
    for field, value in fields:
        flat.append(field.encode("ascii"))
        flat.append(value if isinstance(value, bytes) else paths.to_bytes(value))
    return wire.encode(*flat)


def encode_fault(fault: AgentkeysError) -> bytes:
    """The answer of a job that failed."""
    return encode("error", [("code", str(fault.exit_code)), ("message", fault.message), ("hint", fault.hint)])


def read_question(message: bytes) -> "tuple[str, str] | None":
    """("text", question), ("variable", name) or ("dialog", whose); None when it is the answer. Raises WireError."""
    fields = wire.split_fields(unframe(message))
    if bytes(fields[0]) != b"ask" or len(fields) != 3:
        return None
    return str(fields[1], "ascii", "replace"), str(fields[2], "utf-8", "replace")


def read_reply(message: bytes) -> bytes | None:
    """What was typed, or a variable's value. Raises the AgentkeysError that the CLI sent when nobody could be asked."""
    return next((value for field, value in Answer(message).rows if field in ("text", "value")), None)


class Answer:
    """A job's result as the CLI reads it."""

    def __init__(self, message: bytes) -> None:
        """Raises the AgentkeysError that the worker answered, or one of its own for an answer out of shape."""
        try:
            fields = wire.split_fields(unframe(message))
            rows = [(name.decode("ascii"), bytes(value)) for name, value in wire.pairs(fields)]
        except (wire.WireError, UnicodeDecodeError):
            raise AgentkeysError("the worker's answer is cut short") from None
        found = dict(rows)
        if bytes(fields[0]) != b"ok":
            code = found.get("code", b"1")
            raise AgentkeysError(
                found.get("message", b"the worker failed").decode("utf-8", "replace"),
                found.get("hint", b"").decode("utf-8", "replace"),
                int(code) if code.isdigit() else 1,
            )
        self.rows = rows

    def text(self, name: str) -> str:
        """The first field of that name, or ""."""
        return next(
            (value.decode(paths.FS_ENCODING, "surrogateescape") for field, value in self.rows if field == name), ""
        )

    def texts(self, name: str) -> "list[str]":
        """Every field of that name."""
        return [value.decode(paths.FS_ENCODING, "surrogateescape") for field, value in self.rows if field == name]
