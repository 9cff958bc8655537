"""The age authors' own test vectors, each through our loader: what it should open it opens, and nothing else.

They test age in general; a rack needs less. Where we refuse what age may open, it is listed here with the reason.
"""

import base64
import hashlib
import re
import zlib
from dataclasses import dataclass
from pathlib import Path

import pytest

from agentkeys.core.sealed_json import RESTORE_HINT
from agentkeys.errors import Locked, VaultFault
from agentkeys.stores import age, identities, identity, identity_sealed
from agentkeys.stores.asking import Means
from agentkeys.stores.card import Card
from tests.stores.racks import write_private
from tests.support.uids import require

PACKAGE = Path(__file__).parents[2] / ".venvs" / "age-vectors" / "node_modules" / "cctv-age" / "index.js"
"""What npm installs: see tests/vectors/age/README.md."""

VARIABLE = re.compile(r'^var (\w+)_default = __toBinary\("([A-Za-z0-9+/=]*)"\)', re.MULTILINE)
"""One vector in it: name, base64."""

EXPECTED = 143
"""Vectors in the version that package.json names; one more or less, and this file has to be looked at."""

KNOWN = {"expect", "payload", "identity", "passphrase", "armored", "compressed", "file key", "comment"}
"""What a vector may say of itself; one that says more is to be ignored, by the authors' word."""

OUTCOMES = {"success", "no match", "HMAC failure", "header failure", "armor failure", "payload failure"}

STRANGER = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX"
"""An identity that no vector is sealed to: 32 times the byte 0x42."""


@dataclass(frozen=True)
class Vector:
    """One test, as its file tells it."""

    name: str
    facts: dict[str, list[str]]
    data: bytes
    """The age file."""

    @property
    def expect(self) -> str:
        """How decrypting should end."""
        return self.facts["expect"][0]

    def holds(self, plain: bytes) -> bool:
        """Whether `plain` is all of the payload."""
        return hashlib.sha256(plain).hexdigest() == self.facts["payload"][0]

    @property
    def stricter(self) -> bool:
        """Whether age opens it, and we refuse it on purpose."""
        return self.expect == "success" and ("armored" in self.facts or self.is_hybrid)

    @property
    def is_hybrid(self) -> bool:
        """Whether only a post-quantum identity opens it."""
        return all(text.startswith(identity.HYBRID_PREFIX) for text in self.facts.get("identity", [""]))


def published() -> list[Vector]:
    """Every vector of the package, which holds each as base64 in one variable; [] where it isn't installed."""
    if not PACKAGE.exists():
        return []
    found = []
    for name, text in VARIABLE.findall(PACKAGE.read_text()):
        head, _, data = base64.b64decode(text).partition(b"\n\n")
        facts: dict[str, list[str]] = {}
        for line in head.decode().splitlines():
            key, _, value = line.partition(": ")
            facts.setdefault(key, []).append(value)
        found.append(Vector(name, facts, zlib.decompress(data) if "compressed" in facts else data))
    return found


VECTORS = published()
each_vector = pytest.mark.parametrize("vector", VECTORS, ids=[it.name for it in VECTORS])


def test_the_published_vectors_are_all_here() -> None:
    """None is lost on the way, none says what we don't know, and every outcome occurs."""
    require(PACKAGE.exists(), "the published age vectors: make .venvs/age-vectors/installed")
    assert len(VECTORS) == EXPECTED
    assert set().union(*[it.facts for it in VECTORS]) == KNOWN
    assert {it.expect for it in VECTORS} == OUTCOMES


def attempts(vector: Vector) -> list[bytes | VaultFault | None]:
    """What our loader makes of it with each identity and passphrase it names; None for a wrong passphrase."""
    found: list[bytes | VaultFault | None] = []
    for text in vector.facts.get("identity", []):
        try:
            opened = identity.parse_file(f"# a comment\n{text}\n".encode(), "the vector's identity")
            found.append(age.open_sealed(vector.data, opened.decryptor, "the vector"))
        except VaultFault as fault:
            found.append(fault)
    for text in vector.facts.get("passphrase", []):
        try:
            found.append(identity_sealed.unseal(vector.data, text, "the vector"))
        except VaultFault as fault:
            found.append(fault)
    return found


@each_vector
def test_a_vector_does_as_it_should(vector: Vector) -> None:
    """Success is the whole payload; all else is a fault with a hint, and not one byte of plain text."""
    found = attempts(vector)
    opened = [it for it in found if isinstance(it, bytes)]
    if vector.expect == "success" and not vector.stricter:
        assert [vector.holds(plain) for plain in opened] == [True]
    else:
        assert opened == []
    for fault in found:
        assert not isinstance(fault, VaultFault) or fault.hint
    # The one thing that may be answered by asking again: the stanza is whole, and the passphrase doesn't open it.
    assert None not in found or vector.expect == "no match"


@each_vector
def test_a_vector_is_no_strangers(vector: Vector) -> None:
    """Neither an identity nor a passphrase that it wasn't sealed to opens any of them."""
    stranger = identity.parse_file(STRANGER.encode(), "it")
    with pytest.raises(VaultFault) as refusal:
        age.open_sealed(vector.data, stranger.decryptor, "the vector")
    assert refusal.value.hint == RESTORE_HINT
    try:
        plain = identity_sealed.unseal(vector.data, "not its passphrase", "the vector")
    except VaultFault:
        plain = None
    assert plain is None


def of(*names: str) -> list[Vector]:
    """The vectors whose names begin so."""
    return [it for it in VECTORS if it.name.startswith(names)]


def each(vectors: list[Vector]) -> pytest.MarkDecorator:
    """A test for each."""
    return pytest.mark.parametrize("vector", vectors, ids=[it.name for it in vectors])


@each([it for it in VECTORS if it.stricter])
def test_what_age_may_open_and_we_refuse(vector: Vector) -> None:
    """Armor: nothing of ours is armored, so it is somebody else's. Hybrid: the binding lacks it, and that is said."""
    (fault,) = attempts(vector)
    assert isinstance(fault, VaultFault)
    if vector.is_hybrid and "passphrase" not in vector.facts:
        assert fault.message == "the vector's identity holds a hybrid identity, which agentkeys can't use"
    elif "passphrase" in vector.facts:
        assert fault.message == "the vector is not an identity under a passphrase"
    else:
        assert fault.message == "the vector is no age file"


def test_nothing_else_is_refused() -> None:
    """The list above is whole: seven files in armor and four that are hybrid only."""
    require(VECTORS, "the published age vectors")
    refused = [it for it in VECTORS if it.stricter]
    assert {it.name for it in refused if "armored" not in it.facts} == {
        "hybrid", "hybrid_and_x25519", "hybrid_grease", "hybrid_multiple_recipients",
    }  # fmt: skip
    armored = [it for it in refused if "armored" in it.facts]
    assert len(armored) == 7
    assert all(b"-----BEGIN AGE ENCRYPTED FILE-----" in it.data for it in armored)


@each([it for it in of("scrypt", "armor_scrypt") if it.expect != "no match" and it.name != "scrypt"])
def test_no_scrypt_is_run_for_a_header_that_is_wrong(vector: Vector, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of every such file, a factor over 2^20 among them: it is refused before the work begins."""
    ran = []
    monkeypatch.setattr(identity_sealed.pyrage.passphrase, "decrypt", lambda *_: ran.append(1))
    with pytest.raises(VaultFault) as refusal:
        identity_sealed.unseal(vector.data, "password", "the vector")
    assert not ran
    heavy = vector.name in ("scrypt_work_factor_23", "scrypt_work_factor_overflow")
    assert ("2^20" in refusal.value.message) == heavy


@each([it for it in of("scrypt") if it.expect in ("no match", "header failure")])
def test_an_identity_file_that_is_such_a_vector_opens_nothing(vector: Vector, tmp_path: Path) -> None:
    """As the owner's own file: a wrong passphrase is locked, after three times; a bad header is said without asking."""
    write_private(tmp_path / "identity" / "ana.key", vector.data)
    asked = []

    def ask(question: str) -> bytes:
        asked.append(question)
        return vector.facts["passphrase"][-1].encode()

    card = Card("ana", "", "passphrase", ["age1x"], "")
    with pytest.raises((Locked, VaultFault)) as refusal:
        identities.open_identity(str(tmp_path), card, Means(ask))
    wrong = vector.expect == "no match" and not vector.name.endswith("uppercase")
    assert (type(refusal.value), len(asked)) == ((Locked, identity.PASSPHRASE_TRIES) if wrong else (VaultFault, 0))
    assert refusal.value.hint
