"""`.agentkeys.yml` on the disk: a repository from an enemy, closures, records, and edits that keep every other byte."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentkeys.client import repo
from agentkeys.core.repo_manifest import MAX_FILES, MAX_KEYS, Broken
from agentkeys.errors import AgentkeysError, Denied, UsageFault
from agentkeys.stores import repo_file, repo_yaml


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Where a repository keeps its manifest; nothing is there yet."""
    return tmp_path / ".agentkeys.yml"


def closure(path: Path, text: "str | bytes") -> repo_file.Closure:
    """The file with this text, and what it extends."""
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(0o644)
    return repo_file.Closure(str(path))


BOMB = "a: &a [x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\n"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (BOMB, "line 1: anchors and aliases"),
        ("org: acme\nenv.test: *x\n", "anchors and aliases"),
        ("org: !!python/object/apply:os.system [id]\n", "tags aren't taken"),
        ("org: !x acme\n", "tags aren't taken"),
        ("org: acme\n---\norg: evil\n", "more than one document"),
        ("org: acme\norg: evil\n", "line 2: 'org' stands there twice"),
        ("org: acme\n? [a]\n: b\n", "other than a word"),
        ("org: acme\nenv.test: " + "[" * 5_000, "nest"),
        ("org: acme\nenv.test: [" + "A," * 20_000 + "]", "over 20,000 things"),
        (f"org: acme\nenv.test: [{', '.join(f'K{n}' for n in range(MAX_KEYS + 1))}]\n", "declares over"),
        ("org: [\n", "no YAML"),
        ("\torg: acme\n", "no YAML"),
        (b"org: acme\xff\n", "no UTF-8"),
        (b"org: acme\x00\n", "no YAML"),
        (b"org: acme\x1b[2J\n", "no YAML"),
        ("", "it is empty"),
        ("# nothing\n", "it is empty"),
    ],
    ids=range(17),
)
def test_yaml_from_an_enemy_is_refused_in_one_line(text: "str | bytes", why: str, manifest: Path) -> None:
    """By bounds on size, depth and number, before anything is built; the line can be shown to a terminal."""
    with pytest.raises(UsageFault, match=why) as caught:
        closure(manifest, text)
    assert caught.value.message.startswith(f"{manifest}: ")
    assert caught.value.message.isprintable()


def test_a_scalar_is_text_and_nothing_else() -> None:
    """YAML 1.1 makes `no` false and `1e3` a number; here an org may be called either."""
    assert repo_yaml.Reader("org: no\nenv.on: [YES, 'A']\nenv.null:\n").document() == {
        "org": "no",
        "env.on": ["YES", "A"],
        "env.null": None,
    }


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=200) | st.text(alphabet="-:[]{}&*!|>'\"#%@, \n\tabé", max_size=200))
def test_whatever_the_text_it_is_read_or_refused(text: str) -> None:
    """Nothing else escapes the parser."""
    said = ""
    try:
        repo_file.parse_bytes(text.encode("utf-8", "surrogatepass"))
    except Broken as fault:
        said = str(fault)
    assert said.isprintable()


def fifo(path: Path) -> None:
    """A pipe that nobody writes to: a plain open(2) of it never ends."""
    os.mkfifo(path)


def symlink(path: Path) -> None:
    """A link to a device that never ends."""
    path.symlink_to("/dev/zero")


def directory(path: Path) -> None:
    """A directory of that name."""
    path.mkdir()


def huge(path: Path) -> None:
    """A byte more than is taken in."""
    path.write_bytes(b"#" * (repo.MAX_FILE + 1))


def for_everybody(path: Path) -> None:
    """One that everybody may write to."""
    path.write_text("org: acme\n")
    path.chmod(0o666)


def of_another(path: Path) -> None:
    """One of another user's."""
    if os.getuid() != 0:
        pytest.skip("only root can give a file away")
    path.write_text("org: acme\n")
    os.chown(path, 12345, 12345)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (fifo, "is no regular file"),
        (symlink, "it is a symlink"),
        (directory, "is no regular file"),
        (huge, "is over 64 KiB"),
        (for_everybody, "can be written by everybody"),
        (of_another, "belongs to uid 12345"),
    ],
)
def test_what_is_no_file_of_ours_is_not_read(make: "object", why: str, manifest: Path, tmp_path: Path) -> None:
    """By lstat, O_NOFOLLOW and O_NONBLOCK: nothing is waited for, and no more than 64 KiB is taken in."""
    make(manifest)  # type: ignore[operator]
    for look in (lambda: repo_file.Closure(str(manifest)), lambda: repo.permission(str(tmp_path), str(manifest))):
        with pytest.raises(Denied, match=why):
            look()


def test_a_diamond_is_fine_and_a_circle_is_named(tmp_path: Path) -> None:
    """A file that two others extend is taken once; one that extends itself by a detour is shown with it."""
    for name, text in {
        "d.agentkeys.yml": "env.test: [D]\n",
        "b.agentkeys.yml": "extends: d.agentkeys.yml\nenv.test: [B]\n",
        "c.agentkeys.yml": "extends: [d.agentkeys.yml]\nenv.test: [C]\n",
    }.items():
        closure_of = tmp_path / name
        closure_of.write_text(text)
        closure_of.chmod(0o644)
    root = tmp_path / ".agentkeys.yml"
    made = closure(root, "org: acme\nextends: [b.agentkeys.yml, c.agentkeys.yml]\nenv.test: [A]\n").permission()
    assert [row.key for row in made.of_env("test")] == ["D", "B", "C", "A"]
    assert [Path(path).name[0] for path, _ in made.files] == [".", "b", "d", "c"]
    (tmp_path / "d.agentkeys.yml").write_text("extends: .agentkeys.yml\n")
    with pytest.raises(UsageFault, match="it extends itself: ") as caught:
        repo_file.Closure(str(root))
    assert caught.value.message.count(" → ") == 3
    (tmp_path / "d.agentkeys.yml").unlink()
    with pytest.raises(UsageFault, match=r"d\.agentkeys\.yml, which is not there"):
        repo_file.Closure(str(root))


def test_a_chain_of_files_is_bounded(tmp_path: Path) -> None:
    """Each would be read and hashed at every exec."""
    for number in range(MAX_FILES + 1):
        path = tmp_path / f"{number}.agentkeys.yml"
        path.write_text(f"extends: {number + 1}.agentkeys.yml\n")
        path.chmod(0o644)
    with pytest.raises(UsageFault, match=f"extends over {MAX_FILES} files"):
        closure(tmp_path / ".agentkeys.yml", "org: acme\nextends: 0.agentkeys.yml\n")


def test_a_record_counts_for_the_very_bytes_that_were_allowed(manifest: Path, tmp_path: Path) -> None:
    """Of every file of the closure, and for its own path; a copy, a change or a damaged record is no permission."""
    root = str(tmp_path / "home")
    base = tmp_path / "base.agentkeys.yml"
    base.write_text("env.test: [B]\n")
    base.chmod(0o644)
    made = closure(manifest, "org: acme\nextends: base.agentkeys.yml\nenv.test: [{key: A, as: X, optional: true}]\n")
    path = str(manifest)
    with pytest.raises(Denied, match="is not allowed yet"):
        repo.permission(root, path)
    repo_file.write(root, made.permission())
    found = repo.permission(root, path)
    assert vars(found).keys() == vars(made.permission()).keys()
    assert found.encode() == made.permission().encode()
    assert [(row.key, row.variable, row.flags) for row in found.rows] == [("B", "B", ""), ("A", "X", "optional")]
    copy = tmp_path / "copy" / ".agentkeys.yml"
    copy.parent.mkdir()
    copy.write_bytes(manifest.read_bytes())
    copy.chmod(0o644)
    with pytest.raises(Denied, match="not allowed yet"):
        repo.permission(root, str(copy))
    for file in (base, manifest):
        before = file.read_bytes()
        file.write_bytes(before + b"\n")
        with pytest.raises(Denied, match=f"{file} changed since"):
            repo.permission(root, path)
        file.write_bytes(before)
        assert repo.is_current(root, path)
    record = Path(repo.record_path(root, path))
    assert record.stat().st_mode & 0o777 == 0o600
    whole = record.read_bytes()
    for damaged in (b"", whole[:-1], whole[:40], b"\xff" * 64, whole.replace(b"acme", b"ac\x00e")[1:]):
        record.write_bytes(damaged)
        assert not repo.is_current(root, path)


EDITS = [
    ("org: acme\n", "env.test: [NEW]\n"),
    ("org: acme", "env.test: [NEW]\n"),
    ("org: acme\nenv.test: [A]  # why\n", "env.test: [A, NEW]  # why\n"),
    ("org: acme\nenv.test: []\nenv.prod: [A]\n", "env.test: [NEW]\n"),
    ("org: acme\nenv.test:\nenv.prod: [A]\n", "env.test: [NEW]\n"),
    ("org: acme\nenv.test:   # none yet\nenv.prod: [A]\n", "env.test: [NEW]   # none yet\n"),
    ("org: acme\nenv.test:\n  - A   # a\n  # last\n\nenv.prod: [A]\n", "  - A   # a\n  - NEW\n  # last\n"),
    ("org: acme\nenv.test:\n- A\n- key: B\n  as: C\n", "  as: C\n- NEW\n"),
    ("org: acme\nenv.test:\n  - {key: É_ist_kein_Name}\n", ""),
    ("# ünïcode ✓\norg: acme\nenv.test: [A,\n  B,  # b\n]\n", "NEW"),
    ("org: acme\r\nenv.test: [A]\r\n", "env.test: [A, NEW]\r\n"),
    ("{org: acme, env.test: [A]}\n", "{org: acme, env.test: [A, NEW]}\n"),
]


@pytest.mark.parametrize(("text", "line"), EDITS)
def test_a_name_is_added_and_nothing_else_changes(text: str, line: str, manifest: Path) -> None:
    """Comments, order and quotes stay; done again it changes nothing."""
    data = text.encode()
    if not line:
        with pytest.raises(AgentkeysError):
            repo_file.with_key(str(manifest), data, "test", "NEW")
        return
    edited = repo_file.with_key(str(manifest), data, "test", "NEW")
    assert line in edited.decode()
    assert repo_file.with_key(str(manifest), edited, "test", "NEW") == edited
    parsed, _ = repo_file.parse_bytes(edited)
    assert [key.name for key in parsed.envs["test"]][-1] == "NEW"
    left = iter(edited)
    assert all(byte in left for byte in data.rstrip(b"\n")), "what was there is a subsequence of what is there now"


def test_a_text_that_no_line_can_be_added_to_stays_as_it_is(manifest: Path) -> None:
    """The result is read again before it is kept; then a person has to."""
    with pytest.raises(UsageFault, match=r"no line can be added|no YAML"):
        repo_file.with_key(str(manifest), b"{org: acme}\n", "test", "NEW")
