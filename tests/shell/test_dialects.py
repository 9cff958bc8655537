"""What a dialect prints gives the real shell exactly the value, whatever its bytes, or isn't printed at all."""

import json
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentkeys.core import environment
from agentkeys.core.refs import is_name
from agentkeys.errors import AgentkeysError, Denied, UsageFault
from agentkeys.inject.dialects import CSH_READ, DIALECTS, SHELL_OWN, Sh
from tests.shell.shells import LOCALES, PLAINLY, SHELLS, Shell, carried, shell_named

NEWLINE = b"\n"

BYTES = [bytes((byte,)) for byte in range(1, 256)]

AWKWARD = [
    *(b"\\", b"'", b'"', b"!", b"$", b"`", b"~", b"*", b"?", b"[a]", b"{a,b}", b"#", b"=", b"%1", b"^a^b", b";", b"&"),
    *(b"|", b"<", b">", b"(", b")", b" ", b"\t", b"\r", b"\n", b"\x01", b"\x7f", b"\x80", b"\x81", b"\x83", b"\xa2"),
    *(b"\xc3", b"\xff", b"-n", b"$(touch ran)", b"`touch ran`", b"';touch ran;'", b"\\';touch ran;'", b"!!", b"$HOME"),
    *("é".encode(), "🔑".encode(), "\u2028".encode(), "\uf600".encode(), "\ufdd0".encode(), "\uffff".encode()),
]

values = st.one_of(
    st.binary(max_size=40),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20).map(str.encode),
    st.lists(st.sampled_from(AWKWARD), max_size=12).map(b"".join),
).map(lambda value: value.replace(b"\0", b""))


def rendered(dialect: Sh, wanted: dict[str, bytes]) -> bytes:
    """All that is printed for these variables."""
    return dialect.join([dialect.export(name, value) for name, value in wanted.items()])


def lost(shell: Shell, wanted: list[bytes], place: Path, locale: dict[str, str]) -> list[bytes]:
    """The values that do not come back from the shell; csh is spared what it refuses, and given little at a time."""
    dialect = DIALECTS[shell.dialect]
    if shell.dialect == "csh":
        wanted = [value.replace(NEWLINE, b"") for value in wanted]
    variables = {f"V{number}": value for number, value in enumerate(wanted)}
    try:
        text = rendered(dialect, variables)
    except UsageFault:
        assert shell.dialect == "csh"
        assert len(wanted) > 1
        half = len(wanted) // 2
        return lost(shell, wanted[:half], place, locale) + lost(shell, wanted[half:], place, locale)
    found = carried(shell, text, place, locale)
    return [value for name, value in variables.items() if found.get(name.encode()) != value]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory for this module's shells."""
    return tmp_path_factory.mktemp("shell")


@pytest.mark.parametrize(
    ("name", "locale"),
    [(name, locale) for name, shell in SHELLS.items() for locale in LOCALES if locale == "UTF-8" or not shell.set_up],
)
def test_every_byte_comes_back(name: str, locale: str, place: Path) -> None:
    """Alone, behind each awkward piece of text, and before it; nothing is expanded and nothing is run."""
    shell = shell_named(name)
    pairs = [awkward + one for awkward in AWKWARD for one in (*BYTES, *AWKWARD)] + [b"", b"a" * 100_000, *BYTES]
    room = 150 if shell.dialect == "csh" else 2000
    wanted = [pairs[at : at + room] for at in range(0, len(pairs), room)]
    assert [value for group in wanted for value in lost(shell, group, place, LOCALES[locale])] == []


@pytest.mark.parametrize("name", PLAINLY)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(wanted=st.lists(values, min_size=1, max_size=60), locale=st.sampled_from(sorted(LOCALES)))
def test_any_value_comes_back(name: str, wanted: list[bytes], locale: str, place: Path) -> None:
    """In the locale that knows UTF-8 and in the one that knows nothing."""
    assert lost(shell_named(name), wanted, place, LOCALES[locale]) == []


@given(wanted=st.dictionaries(st.from_regex(r"[A-Z][A-Z0-9_]{0,8}[0-9]", fullmatch=True), values))
def test_json_is_json(wanted: dict[str, bytes]) -> None:
    """One object on one line, whose members a parser reads back; what isn't UTF-8 is refused."""
    try:
        {name: value.decode() for name, value in wanted.items()}
    except UnicodeDecodeError:
        with pytest.raises(UsageFault, match="is not UTF-8, which JSON can't hold"):
            rendered(DIALECTS["json"], wanted)
        return
    text = rendered(DIALECTS["json"], wanted)
    assert {name: value.encode() for name, value in json.loads(text).items()} == wanted
    assert text.count(NEWLINE) == 1
    assert text.endswith(b"}\n")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_nul_is_refused(dialect: str) -> None:
    """No variable can hold one."""
    with pytest.raises(UsageFault, match="holds a NUL byte"):
        DIALECTS[dialect].export("A", b"a\0b")


def test_csh_refuses_a_newline() -> None:
    """Its eval would make a space of it; the other dialects carry it."""
    with pytest.raises(UsageFault, match="holds a newline"):
        DIALECTS["csh"].export("A", b"a\nb")


def test_csh_refuses_what_a_cut_character_would_damage(place: Path) -> None:
    """Over one read of tcsh's: ASCII goes through, whatever its length; anything else does up to that length only."""
    shell, csh = shell_named("tcsh"), DIALECTS["csh"]
    room = CSH_READ - len(csh.export("A", b"a")) + 1
    for value in (b"\xff" * room, "é".encode() * (room // 2), b"a" * 20_000):
        assert carried(shell, csh.export("A", value), place, {})[b"A"] == value
    for values in ([b"\xff" * (room + 1)], [b"a" * room, b"\xff"]):
        with pytest.raises(UsageFault, match="over 4 KiB and not ASCII"):
            rendered(csh, {f"A{number}": value for number, value in enumerate(values)})


@pytest.mark.parametrize("name", PLAINLY)
def test_unset_removes_and_is_no_failure_without_one(name: str, place: Path) -> None:
    """Of a variable that is there, and of one that isn't."""
    shell = shell_named(name)
    dialect = DIALECTS[shell.dialect]
    text = dialect.join([dialect.export("A", b"1"), dialect.export("B", b"2"), dialect.unset("A"), dialect.unset("C")])
    found = carried(shell, text, place, {})
    assert (found.get(b"A"), found.get(b"B")) == (None, b"2")


def test_json_unsets_by_null() -> None:
    """As nu's load-env and direnv have it."""
    json_ = DIALECTS["json"]
    assert json.loads(json_.join([json_.unset("A"), json_.export("B", b"2")])) == {"A": None, "B": "2"}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name", ["", "1A", "A B", "A;touch ran", "A=B", "a-b", "é", "A\n", "$A"])
def test_what_is_no_variables_name_is_never_printed(name: str, dialect: str) -> None:
    """Should something that is no agent answer."""
    with pytest.raises(AgentkeysError, match="a variable that can't be"):
        DIALECTS[dialect].export(name, b"value")


@pytest.mark.parametrize(
    "name", ["path", "PROMPT", "USERNAME", "RANDOM", "BASH_XTRACEFD", "fish_pid", "precmd_functions"]
)
def test_a_shells_own_variable_is_refused(name: str) -> None:
    """By every dialect that a shell runs; JSON is no shell's."""
    for dialect in ("sh", "csh", "fish"):
        with pytest.raises(Denied, match=f"^{name} is a variable of some shell's own"):
            DIALECTS[dialect].export(name, b"value")
    assert json.loads(rendered(DIALECTS["json"], {name: b"value"})) == {name: "value"}


VARIABLES = {
    "bash": "compgen -v",
    "dash": "set | sed 's/=.*//'",
    "zsh": "print -l ${(k)parameters}",
    "mksh": "typeset | sed 's/.* //'",
    "fish": "set -n",
    "tcsh": "set | sed 's/\t.*//'; env | sed 's/=.*//'",
}
"""How each shell lists what it has before anybody set anything."""


@pytest.mark.parametrize("name", PLAINLY)
def test_no_variable_of_a_shells_own_swallows_a_value(name: str, place: Path) -> None:
    """Each name that the shell begins with: refused, or the value comes back, or the shell fails and says so."""
    shell = shell_named(name)
    listed = subprocess.run([*shell.words, VARIABLES[name]], capture_output=True, text=True, env={"PATH": "/bin"})
    found = {word for word in listed.stdout.split() if is_name(word)} | SHELL_OWN
    swallowed = []
    for variable in sorted(found):
        try:
            text = DIALECTS[shell.dialect].export(variable, b"v1-te st")
        except Denied:
            continue
        if not environment.loads_code(variable):
            seen = carried(shell, text, place, {})
            swallowed += [variable] if seen and seen.get(variable.encode()) != b"v1-te st" else []
    assert len(found) > len(SHELL_OWN) + 3
    assert swallowed == []
