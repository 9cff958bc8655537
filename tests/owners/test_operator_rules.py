"""What the operator's config.toml holds against everybody: grades, token shapes, and time."""

import pytest

from tests.agent.seat import Seat, eventually
from tests.owners.motley import configure
from tests.support.plugin import Plant

GRADES = {
    "os.secure": "encrypted/permanent",
    "os.direct": "plaintext/permanent",
    "os.envvar": "reference/permanent",
    "os.daemon": "encrypted/transient",
}


def put(seat: Seat, name: str, vault: str, *words: str) -> int:
    """Set a key of that vault; the exit code."""
    given = {} if vault == "os.envvar" else {"input": b"value"}
    return seat.cli("set", name, "--vault", vault, *words, **given).code  # type: ignore[arg-type]


def grades(seat: Seat) -> "tuple[dict[str, str], dict[str, str]]":
    """The grade of each key, by list and by status."""
    rows = seat.cli("list", "--json", check=True).json()
    return (
        {row["vault"]: row["grade"] for row in rows},
        {key["vault"]: key["grade"] for key in seat.status()["keys"]},
    )


# --- grades


def test_list_and_status_show_each_vault_s_grade(locked: Seat) -> None:
    """By list from the rack, by status for what is unlocked; with an end they are ephemeral."""
    for name, vault in zip("ABCD", GRADES, strict=True):
        assert put(locked, name, vault) == 0
    locked.cli("unlock", env={"C": "x"}, check=True)
    assert grades(locked) == (GRADES, GRADES)
    text = locked.cli("status", check=True).out.decode()
    for vault, grade in GRADES.items():
        assert f"  {vault}  {grade}\n" in text
    lines = locked.cli("list", check=True).out.decode()
    for vault, grade in GRADES.items():
        assert f"  {vault}  {grade}  " in lines
    for name, vault in zip("ABCD", GRADES, strict=True):
        assert put(locked, name, vault, "--expires-in", "30d") == 0
    locked.cli("unlock", env={"C": "x"}, check=True)
    ephemeral = {vault: grade.replace("permanent", "ephemeral") for vault, grade in GRADES.items()}
    found, shown = grades(locked)
    assert (found | {"os.secure": "encrypted/ephemeral"}, shown | {"os.secure": "encrypted/ephemeral"}) == (
        ephemeral,
        ephemeral,
    )


def test_a_locked_key_s_grade_is_not_the_agent_s_to_say(seat: Seat) -> None:
    """It knows what it holds."""
    seat.cli("relock", check=True)
    assert {key["grade"] for key in seat.status()["keys"]} == {""}


@pytest.mark.parametrize(
    ("minimum", "taken"),
    [
        ("plaintext", {"os.secure", "os.direct", "os.envvar", "os.daemon"}),
        ("encrypted", {"os.secure", "os.envvar", "os.daemon"}),
        ("reference", {"os.envvar"}),
        ("ephemeral", {"os.daemon"}),
        ("transient", {"os.daemon"}),
        ("encrypted/ephemeral", {"os.daemon"}),
        ("reference/ephemeral", set()),
    ],
)
def test_a_worse_key_is_refused_at_set(minimum: str, taken: set[str], locked: Seat) -> None:
    """Exit 6, with the grade and the minimum; nothing is stored. What meets it is taken."""
    configure(locked, f'minimum_grade = "{minimum}"\n')
    found = set()
    for name, vault in zip("ABCD", GRADES, strict=True):
        done = locked.cli("set", name, "--vault", vault, **({} if vault == "os.envvar" else {"input": b"x"}))  # type: ignore[arg-type]
        assert done.code in (0, 6)
        if done.code:
            assert f"@all.all.{name} would be {GRADES[vault]}, and minimum_grade is {minimum}" in done.err.decode()
        else:
            found.add(vault)
    assert found == taken
    rows = {row["name"]: row["vault"] for row in locked.cli("list", "--json", check=True).json()}
    assert {vault for name, vault in rows.items() if name in "ABCD"} == taken


def test_an_end_makes_a_key_good_enough(locked: Seat) -> None:
    """The way that the hint names."""
    configure(locked, 'minimum_grade = "encrypted/ephemeral"\n')
    done = locked.cli("set", "A", input=b"x")
    assert done.code == 6
    assert b"--vault os.secure --expires-in 30d" in done.err
    locked.cli("set", "A", "--expires-in", "30d", input=b"x", check=True)
    assert put(locked, "B", "os.envvar", "--expires-in", "30d") == 0
    assert put(locked, "C", "os.direct", "--expires-in", "30d") == 6


def test_what_was_set_before_the_rule_is_not_unlocked(locked: Seat) -> None:
    """6, by name or not, and what was unlocked goes with that unlock; get says locked; better keys come."""
    assert put(locked, "PLAIN", "os.direct") == 0
    locked.unlock()
    assert locked.get("PLAIN").code == 0
    configure(locked, 'minimum_grade = "encrypted"\n')
    for words in ([], ["PLAIN"]):
        done = locked.cli("unlock", *words)
        assert done.code == 6
        assert b"refused @all.all.PLAIN: it is plaintext/permanent, and minimum_grade is encrypted" in done.err
    assert locked.get("PLAIN").code == 4
    assert locked.states()["PLAIN"] == "locked"
    assert locked.get("GITHUB_TOKEN", check=True).out == locked.values["GITHUB_TOKEN"]
    configure(locked, "")
    assert locked.unlock().get("PLAIN").out == b"value"


def test_a_memory_key_that_the_rule_keeps_out_is_not_kept(locked: Seat) -> None:
    """Also what only the agent has."""
    assert put(locked, "SESSION", "os.daemon") == 0
    configure(locked, 'minimum_grade = "reference"\n')
    assert locked.cli("unlock", "SESSION").code == 6
    assert locked.get("SESSION").code in (4, 5)


def test_a_rule_that_is_none_refuses_all(locked: Seat) -> None:
    """Exit 2 naming the file; a typo must not allow what was to be kept out."""
    for text in ('minimum_grade = "good"', 'minimum_grade = "encrypted/plaintext"', 'dangerous_tokens = "no"'):
        configure(locked, text + "\n")
        for words in (["set", "A"], ["unlock"]):
            assert locked.cli(*words, input=b"x").code == 2, text


# --- token shapes


def test_one_plain_warning_at_set(rack: Seat, canary: Plant) -> None:
    """On stderr, with the short-lived alternative; the key is stored, and --json has it as a member."""
    value = b"ghp_" + canary("a long-lived token")
    done = rack.cli("set", "A", input=value, check=True)
    warnings = [line for line in done.err.decode().splitlines() if "warning" in line]
    what = "this looks like a GitHub personal access token (classic), which lives long"
    instead = "a fine-grained token with an end, or a GitHub App's"
    assert warnings == [f"agentkeys: warning: {what}; better: {instead}"]
    assert done.out == b"added @all.all.A in os.secure of human\n"
    shown = rack.cli("set", "A", "--json", input=value, check=True)
    assert "GitHub personal access token" in shown.json()["warning"]


@pytest.mark.parametrize("start", [b"", b"ghs_", b"ASIA", b"sk_test_"])
def test_no_warning_for_a_near_miss(start: bytes, rack: Seat, canary: Plant) -> None:
    """Nothing on stderr."""
    done = rack.cli("set", "A", input=start + canary("harmless"), check=True)
    assert b"warning" not in done.err


def test_a_shape_without_an_alternative_is_only_named(rack: Seat, canary: Plant) -> None:
    """Nothing is proposed that does not exist."""
    done = rack.cli("set", "A", input=b"hf_" + canary("a token"), check=True)
    assert b"a Hugging Face token, which lives long\n" in done.err


@pytest.mark.parametrize("vault", ["os.secure", "os.direct", "os.daemon"])
def test_blocked_it_is_refused_at_set(vault: str, seat: Seat, canary: Plant) -> None:
    """Exit 6 in whatever vault, nothing is stored, nothing of the value is shown."""
    configure(seat, 'dangerous_tokens = "block"\n')
    value = b"AKIA" + canary("blocked")
    done = seat.cli("set", "A", "--vault", vault, input=value)
    assert done.code == 6
    assert b"the value of @all.all.A looks like an AWS access key, and dangerous_tokens is block" in done.err
    assert b"hint: use IAM Identity Center" in done.err
    assert value not in done.out + done.err
    assert seat.get("A").code == 5
    assert seat.cli("set", "GITHUB_TOKEN", "--vault", vault, input=value).code == 6
    assert seat.get("GITHUB_TOKEN", check=True).out == seat.values["GITHUB_TOKEN"]


def test_blocked_it_is_left_out_at_unlock(locked: Seat, canary: Plant) -> None:
    """What was set before, and what a variable brings: 6, named, forgotten, and the others come."""
    locked.cli("set", "OLD", input=b"glpat-" + canary("OLD"), check=True)
    locked.cli("set", "CI_TOKEN", "--vault", "os.envvar", check=True)
    token = {"CI_TOKEN": "ghp_0123456789abcdefghij"}
    locked.cli("unlock", env=token, check=True)
    assert (locked.get("OLD").code, locked.get("CI_TOKEN").code) == (0, 0)
    configure(locked, 'dangerous_tokens = "block"\n')
    done = locked.cli("unlock", "--json", env=token)
    assert done.code == 6
    states = {row["slug"].rpartition(".")[2]: row["state"] for row in done.json()["not_unlocked"]}
    assert states == {"OLD": "refused", "CI_TOKEN": "refused"}
    assert (locked.get("OLD").code, locked.get("CI_TOKEN").code) == (4, 4)
    assert locked.get("GITHUB_TOKEN", check=True).out == locked.values["GITHUB_TOKEN"]
    locked.cli("unlock", "CI_TOKEN", env={"CI_TOKEN": "ghs_0123456789abcdefghij"}, check=True)


def test_warn_is_the_default_and_can_be_said(rack: Seat, canary: Plant) -> None:
    """As without a config."""
    configure(rack, 'dangerous_tokens = "warn"\n')
    assert b"warning" in rack.cli("set", "A", input=b"npm_" + canary("warned of"), check=True).err


# --- time


def left(seat: Seat, name: str) -> int:
    """Seconds that a key still has in the agent."""
    found = {key["name"]: key["expires_in_seconds"] for key in seat.status()["keys"]}[name]
    assert isinstance(found, int)
    return found


def test_no_key_stays_longer_than_max_duration(rack: Seat) -> None:
    """Whatever unlock asks; it is said, and status shows the limit."""
    configure(rack, '[agent]\nmax_duration = "20m"\n')
    rack.start()
    done = rack.cli("unlock", "--duration", "2h", check=True)
    assert done.err.count(b"is capped: it stays for 20m") == 2
    assert 1100 < left(rack, "GITHUB_TOKEN") <= 1200
    rack.unlock()
    assert left(rack, "GITHUB_TOKEN") <= 1200
    assert rack.status()["max_seconds"] == 1200
    rack.unlock("--duration", "5m")
    assert left(rack, "GITHUB_TOKEN") <= 300
    rack.cli("set", "SESSION", "--vault", "os.daemon", input=b"x", check=True)
    assert left(rack, "SESSION") <= 1200


def test_max_duration_only_tightens(rack: Seat) -> None:
    """A month is a week."""
    configure(rack, '[agent]\nmax_duration = "30d"\n')
    assert rack.start().status()["max_seconds"] == 7 * 86_400


def test_idle_forgets_everything(rack: Seat) -> None:
    """After so long without a use; then everything is expired, and an unlock brings it back."""
    configure(rack, '[agent]\nidle = "1s"\n')
    rack.start().unlock()
    assert rack.status()["idle_seconds"] == 1
    eventually(lambda: set(rack.states().values()) == {"expired"})
    assert rack.get("GITHUB_TOKEN").code == 4
    assert b"idle     forgets all after 1s without a use" in rack.cli("status", check=True).out
    configure(rack, "")
    rack.cli("agent", "-k", check=True)
    rack.start().unlock()
    assert rack.status()["idle_seconds"] == 0
    assert rack.get("GITHUB_TOKEN", check=True).out == rack.values["GITHUB_TOKEN"]


@pytest.mark.parametrize("text", ['idle = "soon"', "idle = 30", 'max_duration = "0s"', 'longest = "1h"'])
def test_a_time_that_is_none_starts_no_agent(text: str, rack: Seat) -> None:
    """Exit 2 rather than an agent without the limit."""
    configure(rack, f"[agent]\n{text}\n")
    assert rack.cli("agent").code == 2
    assert rack.status() is None
