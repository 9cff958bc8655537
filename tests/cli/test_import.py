"""`agentkeys import .env`: the values move into the rack, all or none, and out of the file when asked."""

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from agentkeys.errors import DENIED, OK, USAGE
from tests.agent.seat import Seat
from tests.support.plugin import Plant
from tests.support.runner import Result

EFFECTS = ("added", "replaced", "unchanged")

Write = Callable[..., Path]


@pytest.fixture
def write(rack: Seat) -> Write:
    """Writes the home's .env; the search at the end passes over nothing, so a test takes its values out again."""

    def to(*lines: bytes, name: str = ".env") -> Path:
        path = rack.home.path / name
        path.write_bytes(b"".join([line + b"\n" for line in lines]))
        return path

    return to


def effects(done: Result) -> dict[str, str]:
    """What became of each key, by slug."""
    assert done.code == OK, done.err
    return {row["slug"]: row["effect"] for row in json.loads(done.out)["keys"]}


def test_import_puts_a_file_into_the_rack(rack: Seat, write: Write, canary: Plant) -> None:
    """Each value byte for byte, with what it was called, where it went, and nothing of the value."""
    one, two = canary("ONE"), canary("TWO", suffix=b"\n'$\xc3\xa9")
    path = write(b"# mine", b"export ONE=" + one, b'TWO="' + two.replace(b"$", b"\\$") + b'"')
    done = rack.cli("import", ".env", cwd=path.parent, check=True)
    assert done.out == b"added @all.all.ONE in os.secure of human\nadded @all.all.TWO in os.secure of human\n"
    assert b"agentkeys import .env --replace" in done.err
    path.unlink()
    rack.start().unlock()
    assert rack.get("ONE").out == one
    assert rack.get("TWO").out == two


def test_import_replace_takes_the_values_out_of_the_file(rack: Seat, write: Write, canary: Plant) -> None:
    """The file keeps its mode, its other lines and a comment with the command that gives the value; no copy is left.

    The search at the end of the run would find the value anywhere else.
    """
    value = canary("MOVED")
    path = write(b"# mine", b"MOVED=" + value + b" # from billing", b"EMPTY=")
    path.chmod(0o644)
    done = rack.cli("import", ".env", "--replace", cwd=path.parent, check=True)
    assert b"replaced by comments in .env: 1 value\n" in done.out
    assert path.read_text() == (
        "# mine\n# MOVED: agentkeys exec --for human --key @all.all.MOVED -- COMMAND # from billing\nEMPTY=\n"
    )
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert sorted(os.listdir(path.parent)) == [".agentkeys", ".config", ".env"]
    command = path.read_text().splitlines()[1].partition(": ")[2].partition(" COMMAND")[0].split()[1:]
    rack.start().unlock()
    assert rack.cli(*command, "printenv", "MOVED", reveals=True, check=True).out == value + b"\n"
    again = rack.cli("import", ".env", "--replace", cwd=path.parent, check=True)
    assert again.out == b"nothing in .env to import\n"


def test_the_old_file_is_overwritten(rack: Seat, write: Write, canary: Plant) -> None:
    """Whoever still has the old file open reads zeros in the place of the values."""
    path = write(b"MOVED=" + canary("MOVED"))
    with path.open("rb") as old:
        size = os.fstat(old.fileno()).st_size
        rack.cli("import", ".env", "--replace", cwd=path.parent, check=True)
        assert old.read() == bytes(size)
        assert os.fstat(old.fileno()).st_nlink == 0


def test_import_twice_changes_nothing(rack: Seat, write: Write, canary: Plant) -> None:
    """The same values are unchanged: no new version of the rack, no line on record."""
    path = write(b"ONE=" + canary("ONE"))
    assert effects(rack.cli("import", path, "--json")) == {"@all.all.ONE": "added"}
    before = (rack.home.root / "host.human.yml.age").read_bytes()
    assert effects(rack.cli("import", path, "--json")) == {"@all.all.ONE": "unchanged"}
    assert (rack.home.root / "host.human.yml.age").read_bytes() == before
    path.unlink()


def test_import_overwrites_nothing_unasked(seat: Seat, write: Write, canary: Plant) -> None:
    """Another value in the rack keeps all of the file out; with --overwrite it is replaced, in live agents too."""
    new = canary("NEW")
    path = write(b"ADDED=" + canary("ADDED"), b"GITHUB_TOKEN=" + new)
    refused = seat.cli("import", path)
    assert refused.code == USAGE
    assert b"the rack has another value of @all.all.GITHUB_TOKEN, so nothing is imported" in refused.err
    assert b"--overwrite\n" in refused.err
    assert "ADDED" not in {row["name"] for row in seat.cli("list", "--json").json()}
    done = effects(seat.cli("import", path, "--overwrite", "--json"))
    assert done == {"@all.all.ADDED": "added", "@all.all.GITHUB_TOKEN": "replaced"}
    assert seat.get("GITHUB_TOKEN").out == new
    path.unlink()


def test_dry_run_changes_nothing(rack: Seat, write: Write, canary: Plant) -> None:
    """It says what would be, with the file and the rack as they were."""
    path = write(b"ONE=" + canary("ONE"))
    text, before = path.read_bytes(), rack.cli("list", check=True).out
    done = rack.cli("import", path, "--replace", "--dry-run", check=True)
    assert done.out.startswith(b"would be added @all.all.ONE in os.secure of human\nwould be replaced by comments in ")
    assert (path.read_bytes(), rack.cli("list", check=True).out) == (text, before)
    path.unlink()


def test_import_goes_where_it_is_told(rack: Seat, write: Write, canary: Plant) -> None:
    """Owner, org, env, vault, cap, and only the keys that are named; the others stay in the file."""
    rack.cli("init", "--for", "seaturtle", "--via", "file", check=True)
    path = write(b"ONE=" + canary("ONE"), b"TWO=keep me")
    told = ("--for", "seaturtle", "--org", "acme", "--env", "prod", "--max-duration", "30m", "--key", "ONE")
    rack.cli("import", path, *told, "--replace", check=True)
    (row,) = rack.cli("list", "--for", "seaturtle", "--json", check=True).json()
    assert (row["slug"], row["vault"], row["max_seconds"]) == ("acme.prod.ONE", "os.secure", 1800)
    assert path.read_text() == "# ONE: agentkeys exec --for seaturtle --key acme.prod.ONE -- COMMAND\nTWO=keep me\n"


def test_import_into_memory_alone(locked: Seat, write: Write, canary: Plant) -> None:
    """With --vault os.daemon the agent has them at once, and the disk never."""
    one, two = canary("ONE"), canary("TWO")
    path = write(b"ONE=" + one, b"TWO=" + two)
    locked.cli("import", path, "--vault", "os.daemon", "--replace", check=True)
    assert (locked.get("ONE").out, locked.get("TWO").out) == (one, two)


def test_import_reads_a_pipe(rack: Seat, canary: Plant) -> None:
    """`-` is standard input; there is no file to replace then."""
    text = b"ONE=" + canary("ONE") + b"\n"
    assert rack.cli("import", "-", "--replace", input=text).code == USAGE
    assert effects(rack.cli("import", "-", "--json", input=text)) == {"@all.all.ONE": "added"}


def test_what_is_no_value_is_left_out_and_said(rack: Seat, write: Write, canary: Plant) -> None:
    """Empty settings and names that make programs load code stay in the file; by --key the latter come, warned of."""
    path = write(b"ONE=" + canary("ONE"), b"EMPTY=", b"BARE", b"NODE_OPTIONS=--trace")
    done = rack.cli("import", path, "--json")
    assert effects(done) == {"@all.all.ONE": "added"}
    assert done.err.count(b"is left out") == 3
    path.unlink()
    path = write(b"NODE_OPTIONS=--trace", b"EMPTY=")
    done = rack.cli("import", path, "--key", "NODE_OPTIONS", check=True)
    assert b"warning: NODE_OPTIONS: NODE_OPTIONS changes how programs load" in done.err
    assert rack.cli("import", path, "--key", "EMPTY").code == USAGE


def test_long_lived_tokens_are_warned_of_or_refused(rack: Seat, write: Write, canary: Plant) -> None:
    """As `set` does; where the operator blocks them, nothing of the file is taken."""
    value = b"ghp_" + canary("TOKEN")
    path = write(b"ONE=" + canary("ONE"), b"TOKEN=" + value)
    config = rack.home.path / ".config" / "agentkeys" / "config.toml"
    config.parent.mkdir(mode=0o700)
    config.write_text('dangerous_tokens = "block"\n')
    config.chmod(0o600)
    assert rack.cli("import", path).code == DENIED
    assert "ONE" not in {row["name"] for row in rack.cli("list", "--json").json()}
    config.unlink()
    done = rack.cli("import", path, check=True)
    assert b"warning: TOKEN: this looks like a GitHub personal access token" in done.err
    path.unlink()


def test_set_says_which_names_exec_refuses(rack: Seat) -> None:
    """At the time it is stored, not at the first exec; with the operator's leave it says nothing."""
    done = rack.cli("set", "NODE_OPTIONS", input=b"--trace", check=True)
    assert b"warning: NODE_OPTIONS changes how programs load or run code" in done.err
    config = rack.home.path / ".config" / "agentkeys" / "config.toml"
    config.parent.mkdir(mode=0o700)
    config.write_text('[exec]\nallow_names = ["NODE_OPTIONS"]\n')
    config.chmod(0o600)
    assert b"warning" not in rack.cli("set", "NODE_OPTIONS", input=b"--trace", check=True).err


REFUSED = {
    "an open quote": (b"ONE='half", "line 1: ONE has a quote that is never closed"),
    "an expansion": (b"ONE=${TWO}", "line 1: ONE can't be told"),
    "no setting": (b"ONE=1\nrm -rf /", "line 2: is neither NAME=value nor a comment"),
    "no such key": (b"ONE=1", "sets no NOPE"),
}


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED)
def test_a_file_that_cannot_be_imported_changes_nothing(text: bytes, message: str, rack: Seat, write: Write) -> None:
    """Exit 2, the line's number, and neither rack nor file are touched."""
    path = write(b"TWO=2" if "sets" in message else text)
    content, before = path.read_bytes(), rack.cli("list", check=True).out
    keys = ("--key", "NOPE") if "sets" in message else ()
    refused = rack.cli("import", path, "--replace", *keys)
    assert refused.code == USAGE
    assert message.encode() in refused.err
    assert b"agentkeys: hint: " in refused.err
    assert (path.read_bytes(), rack.cli("list", check=True).out) == (content, before)


def test_a_file_that_cannot_be_replaced_is_refused_before_anything(rack: Seat, write: Write, tmp_path: Path) -> None:
    """A link, a second name, a pipe, a missing file: refused with a way out, nothing imported."""
    path = write(b"ONE=1")
    link, other = rack.home.path / "link", rack.home.path / "other"
    link.symlink_to(path)
    os.link(path, other)
    fifo = rack.home.path / "fifo"
    os.mkfifo(fifo)
    before = rack.cli("list", check=True).out
    for name in (link, other, "nothing"):
        refused = rack.cli("import", name, "--replace", cwd=rack.home.path)
        assert refused.code == USAGE, name
        assert b"agentkeys: hint: " in refused.err
    assert rack.cli("list", check=True).out == before
    assert path.read_bytes() == b"ONE=1\n"
    target = refused_target(rack.cli("import", link, "--replace"))
    other.unlink()
    assert target == f"agentkeys import {path} --replace"
    rack.cli(*target.split()[1:], check=True)


def refused_target(done: Result) -> str:
    """The command that a refusal hints at."""
    return done.err.decode().partition("hint: ")[2].rstrip("\n")
