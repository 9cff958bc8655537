"""agentkeys-manifest(5) is enough to read a rack without us, and to verify it: members, MACs, file names."""

import base64
import hashlib
import hmac
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pyrage
import pytest

from tests.docs.pages import items, man, section
from tests.support.homes import Home
from tests.support.runner import Runner
from tests.support.uids import require

Plant = Callable[..., bytes]

PAGE = man("agentkeys-manifest.5")

LARGE = 16385


def members(title: str) -> list[str]:
    """The members that a subsection lists."""
    return items(section(PAGE, title, "Ss"), "Li")


@pytest.fixture
def rack(cli: Runner, home: Home, canary: Plant) -> Path:
    """The root of a home in which seaturtle has text, bytes, a large value, a plain one, and a backup recipient."""
    cli("init", "--for", "seaturtle", "--via", "file", check=True)
    backup = str(pyrage.x25519.Identity.generate().to_public())
    cli("recipient", "set", "--for", "seaturtle", "--pubkey", backup, check=True)
    for name, suffix in (("TEXT", b""), ("BYTES", b"\xff"), ("LARGE", bytes(LARGE))):
        cli("set", name, "--for", "seaturtle", input=canary(name, suffix=suffix), check=True)
    cli("set", "PLAIN", "--for", "seaturtle", "--vault", "os.direct", input=b"no secret", check=True)
    return home.root


def identity(root: Path) -> pyrage.x25519.Identity:
    """Seaturtle's."""
    text = (root / "identity" / "seaturtle.key").read_text().split()[-1]
    return pyrage.x25519.Identity.from_str(text)


def unsealed(root: Path, name: str) -> bytes:
    """The text in a file of the rack, sealed or not."""
    data = (root / name).read_bytes()
    return pyrage.decrypt(data, [identity(root)]) if name.endswith(".age") else data


def manifest_key(root: Path) -> bytes:
    """As the page derives it; the X25519 secret is read out of its Bech32 text."""
    alphabet = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
    digits = str(identity(root)).lower().removeprefix("age-secret-key-1")[:-6]
    bits = "".join(f"{alphabet.index(digit):05b}" for digit in digits)
    material = int(bits[:256], 2).to_bytes(32)
    root_key = hmac.digest(bytes(32), material, "sha256")
    root_key = hmac.digest(root_key, b"agentkeys/v1/seaturtle\x01", "sha256")
    return hmac.digest(root_key, b"manifest\x01", "sha256")


def mac(key: bytes, text: bytes) -> str:
    """BLAKE2b, keyed."""
    return hashlib.blake2b(text, key=key, digest_size=32).hexdigest()


def covered(text: bytes) -> bytes:
    """The bytes of sealed JSON that its MAC is over."""
    return text[: text.rindex(b',\n  "mac": "')]


def test_members_of_the_manifest(rack: Path) -> None:
    """Those of the page, in its order, each on a line; and the same of a key and of a vault."""
    text = unsealed(rack, "host.seaturtle.yml.age").decode("ascii")
    found = json.loads(text)
    assert list(found) == members("The manifest") == re.findall(r'^  "(\w+)":', text, re.MULTILINE)
    assert found["format"] in section(PAGE, "The manifest", "Ss")
    keys = [item.rstrip(" ;") for item in members("A key")]
    assert [list(row) for row in found["keys"].values()] == [keys] * 4
    assert len(re.findall(r'^    "@all\.all\.', text, re.MULTILINE)) == 4
    vaults = [item.rstrip(" ;") for item in members("A vault")]
    assert [list(row) for row in found["vaults"].values()] == [vaults] * 2


def test_files_of_values_verify_by_the_page(rack: Path) -> None:
    """Every file that the manifest names is there, has its MAC, and holds the values in the form described."""
    key = manifest_key(rack)
    text = unsealed(rack, "host.seaturtle.yml.age")
    manifest = json.loads(text)
    assert manifest["mac"] == mac(key, covered(text))
    bundles = {}
    for name, pattern in (("os.secure", "{}.age"), ("os.direct", "direct.{}.json")):
        vault = manifest["vaults"][name]
        text = unsealed(rack, f"vault/seaturtle/{pattern.format(vault['generation'])}")
        bundle = bundles[name] = json.loads(text)
        assert list(bundle) == [item.rstrip(" ;") for item in members("A file of values")]
        assert bundle["format"] in section(PAGE, "A file of values", "Ss")
        assert bundle["mac"] == vault["mac"] == mac(key, covered(text))
    values = bundles["os.secure"]["values"]
    assert isinstance(values["@all.all.TEXT"], str)
    assert base64.b64decode(values["@all.all.BYTES"]["base64"]).endswith(b"\xff")
    ((slug, (file, large)),) = manifest["vaults"]["os.secure"]["large"].items()
    assert mac(key, slug.encode() + unsealed(rack, f"vault/seaturtle/{file}")) == large
    assert re.fullmatch(rf"\d+-{large[:16]}\.age", file)


def test_an_unclaimed_manifest(cli: Runner, home: Home) -> None:
    """Made from an ssh public key alone it has the members of the page; the private key makes it version 1."""
    require(shutil.which("ssh-keygen"), "ssh-keygen")
    keygen = cli.with_prefix("ssh-keygen")
    private = home.path / "key"
    keygen("-q", "-t", "ed25519", "-N", "", "-f", private, check=True)
    away = private.rename(home.path / "away")
    cli("init", "--for", "vlad", "--via", "ssh", "--pubkey", f"{private}.pub", check=True)
    opener = pyrage.ssh.Identity.from_buffer(away.read_bytes())
    file = home.root / "host.vlad.yml.age"
    text = pyrage.decrypt(file.read_bytes(), [opener])
    found = json.loads(text)
    told = section(PAGE, "Unclaimed manifests", "Ss").partition("only the members")[2].partition("\nIt has")[0]
    assert list(found) == re.findall(r"\b[a-z_]+\b", told.replace(".Li", "").replace("\nand", ""))
    assert found["format"] in section(PAGE, "Unclaimed manifests", "Ss")
    assert found["mac"] == mac(bytes(32), covered(text))
    away.rename(private)
    cli("list", "--for", "vlad", check=True)
    claimed = json.loads(pyrage.decrypt(file.read_bytes(), [opener]))
    assert (claimed["version"], claimed["format"]) == (1, "agentkeys/manifest/1")
