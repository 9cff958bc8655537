"""The stock `age` opens what we seal, finds the documented JSON in it, and we open what it seals."""

import base64
import json
import shutil
from pathlib import Path

import pytest

from agentkeys.stores import age, identity
from agentkeys.stores.rack import Rack
from agentkeys.vaults import open_vault
from agentkeys.worker.rack_jobs import place_of
from tests.stores.racks import WALLET, WALLET_KEY, make_identity, make_rack, put, recipient_of, ssh_key
from tests.support.plugin import Plant
from tests.support.runner import Runner
from tests.support.uids import require

KINDS = ["file", "ed25519", "rsa"]


@pytest.fixture(autouse=True)
def stock_age() -> None:
    """These tests are about another program."""
    require(shutil.which("age"), "age")


@pytest.fixture(params=KINDS)
def opened(request: pytest.FixtureRequest, tmp_path: Path, program: Runner) -> "tuple[identity.OpenIdentity, Path]":
    """An identity of each kind, and the file that `age -i` takes."""
    if request.param == "file":
        return make_identity(tmp_path), tmp_path / "identity" / "ana.key"
    key = ssh_key(program, tmp_path / "id", "-t", request.param)
    return identity.open_ssh(str(key), recipient_of(key)), key


def test_age_opens_the_rack_and_its_values(
    opened: "tuple[identity.OpenIdentity, Path]", tmp_path: Path, program: Runner, canary: Plant
) -> None:
    """An owner who lost this program still has every key, its value and the wallet."""
    mine, key = opened
    small, large = canary("SMALL"), canary("LARGE", suffix=b"x" * 20_000)
    rack = make_rack(tmp_path / "root", opened=mine)
    manifest = put(rack, "@all.all.A", "acme.prod.B")
    vault = open_vault("os.secure", place_of(rack, manifest))
    values = {"@all.all.A": small, "acme.prod.B": b"\xff\0", "acme.prod.L": large}
    manifest.vaults["os.secure"] = state = vault.write({}, values)
    rack.commit(manifest)

    def stock(path: Path) -> bytes:
        return program("age", "-d", "-i", key, path, check=True, reveals=True).out

    found = json.loads(stock(tmp_path / "root" / "host.ana.yml.age"))
    assert (found["format"], found["owner"], found["version"]) == ("agentkeys/manifest/1", "ana", 3)
    assert (found["wallet"], found["wallet_key"]) == (WALLET, WALLET_KEY)
    assert found["recipients"] == [mine.recipient]
    assert list(found["keys"]) == ["@all.all.A", "acme.prod.B"]
    assert found["vaults"]["os.secure"] == state
    place = tmp_path / "root" / "vault" / "ana"
    bundle = json.loads(stock(place / f"{state['generation']}.age"))
    assert (bundle["format"], bundle["owner"], bundle["generation"]) == ("agentkeys/bundle/1", "ana", 1)
    assert bundle["values"] == {
        "@all.all.A": small.decode(),
        "acme.prod.B": {"base64": base64.b64encode(b"\xff\0").decode()},
    }
    assert stock(place / state["large"]["acme.prod.L"][0]) == large


def test_we_open_what_age_seals(opened: "tuple[identity.OpenIdentity, Path]", tmp_path: Path, program: Runner) -> None:
    """To the recipient that we show."""
    mine, _key = opened
    for data in (b"", b"one", bytes(200_000)):
        sealed = program("age", "-r", mine.recipient, input=data, check=True).out
        assert age.open_sealed(sealed, mine.decryptor, "it") == data


def test_a_rack_that_age_sealed_anew_is_the_same_rack(tmp_path: Path, program: Runner) -> None:
    """Who edits nothing breaks nothing: the MAC is over the text, not over the sealing."""
    rack = make_rack(tmp_path)
    put(rack, "@all.all.A")
    path, key = tmp_path / "host.ana.yml.age", tmp_path / "identity" / "ana.key"
    text = program("age", "-d", "-i", key, path, check=True).out
    path.write_bytes(program("age", "-r", rack.identity.recipient, input=text, check=True).out)
    assert list(Rack(str(tmp_path), "ana", rack.identity).require().keys) == ["@all.all.A"]
