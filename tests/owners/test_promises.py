"""What users of other keyracks count on, row by row, and the tests that hold it under our verbs and exit codes.

A row is a promise; below it stand the tests that hold it, in this file or elsewhere under tests/.

    1 init twice: the second says what is there, and overwrites nothing
        cli/test_init.py::test_init_twice_changes_nothing
    2 an owner's rack is named after it, by --for and by --owner; the default one is untouched
        ::test_each_owner_has_a_rack_named_after_it
    3 init with an ssh key where there is none names ssh-keygen
        ::test_without_an_ssh_key_init_says_how_to_make_one
    4 an ssh key may be named by either half; a pasted key is refused
        ::test_an_ssh_key_may_be_named_by_either_half
        ::test_a_pasted_key_is_no_path
    5 init makes the repository's manifest, parents and all
        repo/test_declared_keys.py::test_init_makes_a_manifest_with_its_directories
    6 a rack on the disk is sealed by age, shows nothing, 0600
        ::test_a_rack_is_an_age_file
        cli/test_init.py::test_everything_made_is_private
        stores/test_rack.py::test_the_file_shows_no_name
    7 set before init names init
        ::test_a_set_before_init_says_how_to_begin
    8 set with an unknown vault names those there are
        owners/test_example_vault.py::test_it_is_among_those_that_there_are
        vaults/test_open_vault.py::test_an_unknown_name_is_refused_with_those_there_are
        cli/test_exit_codes.py::test_wrong_usage_is_2
    9 set takes all of stdin, byte for byte, and shows none of it
        cli/test_set_sources.py::test_a_pipe_loses_at_most_the_newline_of_echo
        cli/test_set_sources.py::test_set_shows_no_value_in_any_command_line
        cli/test_hidden_prompt.py::test_a_typed_value_is_not_shown
    10 set without an env takes the one that the repository declares the key in
        repo/test_declared_keys.py::test_set_goes_to_the_env_that_declares_the_key
    11 set adds the name to the repository's manifest, once
        repo/test_declared_keys.py::test_set_adds_a_name_once_and_keeps_every_other_byte
    12 set of a sudo key says that it is one, and puts it into no manifest
        ::test_a_sudo_key_is_set_and_shown_as_one
        repo/test_declared_keys.py::test_a_sudo_key_is_in_no_manifest
    13 set --org @all works anywhere, and is the machine's
        ::test_a_machine_wide_key_belongs_to_no_directory
    14 set with another org than the repository's is refused
        repo/test_declared_keys.py::test_another_org_than_the_repositorys_is_refused
    15 set --at takes org and env from another manifest
        repo/test_declared_keys.py::test_set_at_goes_by_another_manifest
    16 set again replaces the value and keeps the record
        worker/test_rack_jobs.py::test_set_again_replaces_the_value
    17 after a set nobody is given the old value
        cli/test_set_reaches_agents.py::test_set_gives_a_live_agent_the_new_value
        cli/test_set_reaches_agents.py::test_set_does_not_unlock
    18 get before the unlock, whatever the vault: locked, nothing shown, nobody asked, no ssh-agent needed
        ::test_before_the_unlock_every_vaults_key_is_locked
        ::test_a_locked_key_behind_an_ssh_key_asks_nobody
        owners/test_passphrase.py::test_a_passphrase_owner_end_to_end
        owners/test_keychain_keys.py::test_a_value_in_the_keychain_end_to_end
    19 absent names set, locked names unlock, with the owner; pasted, both work
        cli/test_exit_codes.py::test_absent_is_5_before_and_after_the_first_unlock
        cli/test_exit_codes.py::test_locked_is_4_before_and_after_the_first_unlock
        ::test_the_way_out_fits_the_key
    20 a key of the host that this repository doesn't declare is absent, by the same words
        repo/test_use.py::test_a_key_that_is_not_declared_is_absent_by_the_same_words
    21 a variable of that name is given when the rack has no such key
        left out: get and exec read the agent alone; os.envvar reads variables at unlock
    22 the daemon's value wins over the variable
        left out: as 21; cli/test_exec_keys.py holds that exec replaces a variable that was there
    23 what was never set is absent, wherever something of that name lies
        ::test_what_was_never_set_is_absent
    24 get prints exact bytes; locked it prints nothing; without a name it is usage
        cli/test_main_session.py::test_a_value_is_shown_with_a_newline_only_on_a_terminal
        cli/test_set_sources.py::test_a_file_comes_back_byte_for_byte
        cli/test_exit_codes.py::test_locked_is_4_before_and_after_the_first_unlock
        cli/test_exit_codes.py::test_wrong_usage_is_2
    25 get wants a key's name, source prints a whole repository's; a manifest that is missing is named
        cli/test_exit_codes.py::test_wrong_usage_is_2
        repo/test_declared_keys.py::test_an_env_gives_its_own_keys_alone
        repo/test_allow.py::test_without_a_manifest_allow_says_how_to_make_one
    26 in a repository of several envs an env must be named
        repo/test_declared_keys.py::test_in_a_repository_of_several_envs_an_env_must_be_named
    27 get of a repository's env gives that env's keys
        repo/test_declared_keys.py::test_an_env_gives_its_own_keys_alone
        repo/test_use.py::test_a_session_in_a_repository
    28 a slug of another org than the repository's is refused
        repo/test_declared_keys.py::test_another_org_than_the_repositorys_is_refused
        repo/test_declared_keys.py::test_a_slug_and_an_env_that_disagree_are_refused
    29 a key of env all is unlocked by any env and serves every env
        ::test_a_key_of_every_env_is_unlocked_by_any_env
    30 of two, each env is given its own
        ::test_of_two_each_env_is_given_its_own
        cli/test_exec_keys.py::test_the_most_specific_key_is_given
    31 sudo needs a key's name; an unknown one is an error; another org's is never unlocked
        ::test_sudo_is_unlocked_by_name_and_org
    32 an unlock of env all brings no sudo key
        agent/test_start_flags.py::test_it_unlocks_the_default_env_and_no_sudo
        cli/test_exec_keys.py::test_sudo_keys_are_given_by_name_only
    33 nine hours, half an hour for sudo; what was asked; a cap is said; no nonsense
        agent/test_expiry.py::test_the_usual_time_is_nine_hours
        agent/test_expiry.py::test_an_unlock_replaces_the_time_longer_or_shorter
        cli/test_exec_keys.py::test_sudo_keys_are_given_by_name_only
        cli/test_main_session.py::test_unlock_says_what_it_brought
        cli/test_exit_codes.py::test_wrong_usage_is_2
    34 keys that are unset don't fail an unlock; it starts no agent
        owners/test_unlock_states.py::test_absent_lost_and_expired_are_no_failure_of_an_unlock_of_everything
        cli/test_exit_codes.py::test_no_agent_is_3_with_the_command_that_starts_one
    35 a value that was removed behind our back is lost, no failure, and absent from then on
        owners/test_unlock_states.py::test_a_whole_vault_that_is_lost_loses_its_keys_alone
        owners/test_unlock_states.py::test_what_was_not_unlocked_is_told_by_get_and_exec
    36 one key's fault is its own; the exit code says that there was one, and whose
        owners/test_unlock_states.py::test_each_key_is_unlocked_or_named_with_its_reason
        owners/test_unlock_states.py::test_a_key_that_is_named_decides_the_exit_code
    37 os.daemon: granted at once, encrypted/transient; relocked absent, then lost
        owners/test_daemon_keys.py::test_a_set_grants_it_at_once
        owners/test_daemon_keys.py::test_relocked_it_is_gone
        owners/test_daemon_keys.py::test_lost_it_is_named_by_unlock_and_absent_to_get
    38 relock takes all, or one env; nothing to take is no failure
        agent/test_relock.py::test_relock_forgets_everything
        agent/test_relock.py::test_relock_takes_one_key_or_one_env
        ::test_a_relock_of_sudo_takes_sudo_alone
    39 status without an agent says so, null in JSON, and exits 0
        cli/test_exit_codes.py::test_without_an_agent_status_and_relock_succeed
        cli/test_exit_codes.py::test_wrong_usage_is_2
    40 owners see nothing of each other, and share no place
        ::test_owners_share_no_name_and_no_place
        cli/test_main_session.py::test_two_owners_hold_two_values_of_one_name
    41 recipients: a label twice, a bad key, an unknown label and the owner's own are errors
        owners/test_recipients.py::test_what_can_not_be_a_recipient_changes_nothing
    42 an ssh key of any name and place opens the rack; away, it is named by every verb that needs it
        cli/test_main_session.py::test_an_ssh_key_opens_its_owners_rack
        ::test_an_ssh_key_that_is_away_is_named
"""

import shlex
from pathlib import Path

import pytest

from tests.agent.seat import Seat
from tests.cli.test_exit_codes import fails
from tests.cli.test_init import tree
from tests.cli.test_main_session import ssh_key
from tests.owners.tty import converse
from tests.support.homes import Home
from tests.support.plugin import Plant
from tests.support.runner import Result, Runner
from tests.support.tables import check_table


def test_each_row_names_tests_that_there_are() -> None:
    """All 42 rows, each with its tests or the reason why it has none."""
    check_table(__file__, __doc__, range(1, 43))


def test_each_owner_has_a_rack_named_after_it(rack: Seat) -> None:
    """--for and --owner alike; not a file of the default owner is touched."""
    before = {name: file for name, file in tree(rack.home.root).items() if "human" in name}
    assert before
    for option, owner in (("--for", "crab"), ("--owner", "seaturtle")):
        made = rack.cli("init", option, owner, "--json", check=True).json()
        assert (made["owner"], made["manifest"]) == (owner, str(rack.home.root / f"host.{owner}.yml.age"))
        assert (rack.home.root / f"host.{owner}.yml.age").is_file()
    wallets = {row["owner"]: row["wallet"] for row in rack.cli("owner", "list", "--json", check=True).json()}
    assert len(set(wallets.values())) == len(wallets) == 3
    assert {name: file for name, file in tree(rack.home.root).items() if name in before} == before


def test_without_an_ssh_key_init_says_how_to_make_one(home: Home, cli: Runner) -> None:
    """Exit 2 with ssh-keygen's own command, which is the way out, and no owner is made."""
    done = cli("init", "--via", "ssh")
    fails(done, 2)
    assert b"agentkeys: hint: ssh-keygen -t ed25519\n" in done.err
    assert list(home.root.glob("owners/*")) == []
    (home.path / ".ssh").mkdir(mode=0o700)
    keygen = cli.with_prefix("ssh-keygen")
    keygen("-q", "-t", "ed25519", "-N", "", "-f", home.path / ".ssh" / "id_ed25519", check=True)
    assert cli("init", "--via", "ssh", "--json", check=True).json()["effect"] == "created"


def test_an_ssh_key_may_be_named_by_either_half(home: Home, cli: Runner, canary: Plant) -> None:
    """The public key's path or the private one's: the rack is sealed to the same recipient and opens alike."""
    public = ssh_key(home.path)
    value = canary("TOKEN")
    recipients = set()
    for owner, path in (("crab", public), ("seaturtle", public.with_suffix(""))):
        made = cli("init", "--for", owner, "--via", "ssh", "--pubkey", path, "--json", check=True).json()
        recipients.add(made["recipient"])
        cli("set", "TOKEN", "--for", owner, input=value, check=True)
        assert len(cli("list", "--for", owner, "--json", check=True).json()) == 1
    assert recipients == {" ".join(public.read_text().split()[:2])}


@pytest.mark.parametrize("half", ["public", "private"])
def test_a_pasted_key_is_no_path(half: str, home: Home, cli: Runner) -> None:
    """Exit 2, no owner; and a private key that was pasted by mistake isn't repeated."""
    public = ssh_key(home.path)
    text = (public if half == "public" else public.with_suffix("")).read_text()
    done = cli("init", "--via", "ssh", "--pubkey", text)
    fails(done, 2)
    middle = max(text.split(), key=len)[20:]
    assert half == "public" or middle.encode() not in done.err
    assert list(home.root.glob("owners/*")) == []


def test_a_rack_is_an_age_file(rack: Seat) -> None:
    """Manifest and values begin with age's header; neither is JSON, nor has a key's name in it."""
    files = [rack.home.root / "host.human.yml.age", *(rack.home.root / "vault").rglob("*.age")]
    assert len(files) > 1
    for path in files:
        data = path.read_bytes()
        assert data.startswith(b"age-encryption.org/v1\n"), path
        assert b"GITHUB_TOKEN" not in data
        assert path.stat().st_mode & 0o7777 == 0o600


@pytest.mark.parametrize("owner", ["human", "crab"])
def test_a_set_before_init_says_how_to_begin(owner: str, home: Home, cli: Runner) -> None:
    """Exit 2 and the init of that very owner; pasted, the set works."""
    done = cli("set", "TOKEN", "--for", owner, input=b"value")
    fails(done, 2)
    assert hint(done) == ["init", "--for", owner]
    assert list(home.root.glob("*.age")) == []
    cli(*hint(done), check=True)
    cli("set", "TOKEN", "--for", owner, input=b"value", check=True)


def hint(done: Result) -> list[str]:
    """The words behind `agentkeys` of the one hint."""
    (line,) = [line for line in done.err.decode().splitlines() if line.startswith("agentkeys: hint: agentkeys ")]
    return shlex.split(line.removeprefix("agentkeys: hint: agentkeys "))


def test_a_sudo_key_is_set_and_shown_as_one(locked: Seat, canary: Plant) -> None:
    """set names the env that it went to, and list shows it there; an unlock of the rest leaves it locked."""
    done = locked.cli("set", "ROOT_TOKEN", "--env", "sudo", input=canary("sudo"), check=True)
    assert done.out == b"added @all.sudo.ROOT_TOKEN in os.secure of human\n"
    (row,) = locked.cli("list", "--env", "sudo", "--json", check=True).json()
    assert (row["slug"], row["env"]) == ("@all.sudo.ROOT_TOKEN", "sudo")
    assert locked.unlock().states()["ROOT_TOKEN"] == "locked"


def test_a_machine_wide_key_belongs_to_no_directory(locked: Seat, canary: Plant, tmp_path: Path) -> None:
    """Set, unlocked and read from places that are no repository; nothing is written there."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    value = canary("MACHINE")
    words = ("set", "MACHINE", "--org", "@all", "--env", "prod", "--json")
    assert locked.cli(*words, input=value, cwd=elsewhere, check=True).json()["slug"] == "@all.prod.MACHINE"
    locked.cli("unlock", "--env", "prod", cwd=Path("/"), check=True)
    got = locked.cli("get", "@all.prod.MACHINE", cwd=elsewhere, reveals=True, check=True)
    assert got.out == value
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("vault", ["os.secure", "os.direct", "os.envvar"])
def test_before_the_unlock_every_vaults_key_is_locked(vault: str, locked: Seat, canary: Plant) -> None:
    """4, nothing on stdout, and on a terminal nobody is asked: also where the value lies in plain text or a variable.

    Before the agent's first unlock, after one that brought another key, and after a relock.
    """
    value = canary("PLAIN", allowed=["*/vault/human/direct.*"])
    env = {"PLAIN": value.decode()}
    given = {} if vault == "os.envvar" else {"input": value}
    locked.cli("set", "PLAIN", "--vault", vault, env=env, check=True, **given)

    def is_locked() -> None:
        fails(locked.cli("get", "PLAIN", env=env), 4)
        code, shown = converse(locked.cli, "get", "PLAIN", replies=[], env=env)
        assert code == 4
        assert all(line.startswith((b"agentkeys: error: ", b"agentkeys: hint: ")) for line in shown.splitlines())

    is_locked()
    locked.unlock("GITHUB_TOKEN")
    is_locked()
    locked.cli("unlock", "PLAIN", env=env, check=True)
    assert locked.get("PLAIN", env={"PLAIN": None}).out == value
    locked.cli("relock", "PLAIN", check=True)
    is_locked()


def test_a_locked_key_behind_an_ssh_key_asks_nobody(home: Home, cli: Runner, canary: Plant) -> None:
    """get opens no identity: with the ssh key gone and no ssh-agent, it is locked before and served after."""
    public = ssh_key(home.path)
    private = public.with_suffix("")
    value = canary("TOKEN")
    cli("init", "--via", "ssh", "--pubkey", public, check=True)
    cli("set", "TOKEN", input=value, check=True)
    cli("agent", check=True)
    away = private.rename(private.with_name("away"))
    fails(cli("get", "TOKEN", env={"SSH_AUTH_SOCK": None}), 4)
    away.rename(private)
    cli("unlock", check=True)
    private.rename(away)
    assert cli("get", "TOKEN", reveals=True, check=True).out == value


PLACES = ["@all.all.NEW", "@all.prod.NEW", "acme.all.NEW", "acme.prod.NEW", "@all.sudo.NEW", "acme.sudo.NEW"]


@pytest.mark.parametrize("known", [False, True], ids=["before any unlock", "after one"])
@pytest.mark.parametrize("slug", PLACES)
@pytest.mark.parametrize("form", ["options", "slug"])
def test_the_way_out_fits_the_key(form: str, slug: str, known: bool, locked: Seat) -> None:
    """Whatever org and env, asked by options or by slug: what the hints say leads from absent to the value."""
    org, env, name = slug.split(".")
    asked = ["get", slug] if form == "slug" else ["get", name, "--org", org, "--env", env]
    if known:
        locked.unlock()
    done = locked.cli(*asked)
    fails(done, 5)
    assert hint(done)[:4] == ["set", name, "--for", "human"]
    assert locked.cli(*hint(done), "--json", input=b"value", check=True).json()["slug"] == slug
    done = locked.cli(*asked)
    fails(done, 4)
    assert hint(done)[:3] == ["unlock", "--for", "human"]
    locked.cli(*hint(done), check=True)
    assert locked.cli(*asked, check=True).out == b"value"


def test_what_was_never_set_is_absent(locked: Seat, tmp_path: Path) -> None:
    """A variable, a file or a profile of that name is no key: 5 before the unlock and after, and nothing runs."""
    (locked.home.path / ".aws").mkdir()
    (locked.home.path / ".aws" / "config").write_text("[profile AWS_PROFILE]\nsso_session = x\n")
    (tmp_path / "AWS_PROFILE").write_text("x")
    env = {"AWS_PROFILE": "x"}
    for _ in range(2):
        for args in (["get", "AWS_PROFILE"], ["exec", "--key", "AWS_PROFILE", "--", "echo", "ran"]):
            fails(locked.cli(*args, env=env, cwd=tmp_path), 5)
        locked.unlock()
    fails(locked.cli("unlock", "AWS_PROFILE", env=env), 5)


def test_a_key_of_every_env_is_unlocked_by_any_env(locked: Seat) -> None:
    """unlock --env test brings org.all.K, and get --env prod has it as well; its slug says where it is from."""
    brought = locked.cli("unlock", "--env", "test", "--json", check=True).json()["unlocked"]
    assert {row["slug"] for row in brought} == {f"@all.all.{name}" for name in locked.values}
    for env in ("test", "prod", "all"):
        got = locked.cli("get", "GITHUB_TOKEN", "--env", env, reveals=True, check=True)
        assert got.out == locked.values["GITHUB_TOKEN"]


def test_of_two_each_env_is_given_its_own(locked: Seat, canary: Plant) -> None:
    """One under test and one under all: test has its own, prod that of all."""
    value = canary("test")
    locked.cli("set", "GITHUB_TOKEN", "--env", "test", input=value, check=True)
    locked.unlock("--env", "test")
    for env, expected in (("test", value), ("prod", locked.values["GITHUB_TOKEN"])):
        assert locked.cli("get", "GITHUB_TOKEN", "--env", env, reveals=True, check=True).out == expected


def test_sudo_is_unlocked_by_name_and_org(locked: Seat, canary: Plant) -> None:
    """Without a name 2, an unknown name 5, of another org never; and the one that was named alone."""
    for slug in ("@all.sudo.ROOT_TOKEN", "@all.sudo.OTHER", "acme.sudo.ROOT_TOKEN", "acme.sudo.DEPLOY"):
        locked.cli("set", slug, input=canary(slug), check=True)
    fails(locked.cli("unlock", "--env", "sudo"), 2)
    fails(locked.cli("unlock", "--env", "sudo", "NOPE"), 5)
    fails(locked.cli("unlock", "--env", "sudo", "DEPLOY"), 5)
    fails(locked.cli("unlock", "--env", "sudo", "--org", "other", "DEPLOY"), 5)
    brought = locked.cli("unlock", "--env", "sudo", "ROOT_TOKEN", "--json", check=True).json()["unlocked"]
    assert [row["slug"] for row in brought] == ["@all.sudo.ROOT_TOKEN"]
    held = [key["slug"] for key in locked.status()["keys"] if key["state"] == "unlocked"]
    assert held == ["@all.sudo.ROOT_TOKEN"]


def test_a_relock_of_sudo_takes_sudo_alone(seat: Seat, canary: Plant) -> None:
    """The rest stays; again there is nothing to take, and that is no failure."""
    seat.cli("set", "@all.sudo.ROOT_TOKEN", input=canary("sudo"), check=True)
    seat.unlock("--env", "sudo", "ROOT_TOKEN")
    for taken in (["@all.sudo.ROOT_TOKEN"], []):
        assert seat.cli("relock", "--env", "sudo", "--json", check=True).json() == {"relocked": taken}
    assert seat.states() == {"GITHUB_TOKEN": "unlocked", "OPENAI_API_KEY": "unlocked", "ROOT_TOKEN": "locked"}


def test_owners_share_no_name_and_no_place(seat: Seat, canary: Plant) -> None:
    """list, status, get and exec of one know nothing of the other's; values, markers and log lie apart."""
    seat.cli("init", "--for", "crab", check=True)
    crab = Seat(seat.home, seat.cli, {"CRAB_TOKEN": canary("crab's")}, "crab")
    crab.set("CRAB_TOKEN", crab.values["CRAB_TOKEN"])
    crab.start().unlock()
    for mine, other in ((seat, crab), (crab, seat)):
        listed = mine.cli("list", "--for", mine.owner, "--json", check=True).json()
        assert {row["name"] for row in listed} == set(mine.states()) == set(mine.values)
        for name in other.values:
            assert mine.get(name).code == 5
        done = mine.cli("exec", "--for", mine.owner, "--", "env", reveals=True, check=True)
        assert not [name for name in other.values if f"\n{name}=".encode() in b"\n" + done.out]
        for place in ("vault", "inventory"):
            assert {path.name for path in (mine.home.root / place).iterdir()} == {"human", "crab"}
            assert list((mine.home.root / place / mine.owner).iterdir())
    assert seat.audit != crab.audit
    assert seat.pid != crab.pid


def test_an_ssh_key_that_is_away_is_named(home: Home, cli: Runner, canary: Plant) -> None:
    """Of any name, in any place: while it isn't there each verb that opens the rack names it, and mends nothing."""
    public = ssh_key(home.path)
    private = public.with_suffix("")
    cli("init", "--via", "ssh", "--pubkey", public, check=True)
    cli("set", "TOKEN", input=canary("TOKEN"), check=True)
    cli("agent", check=True)
    before = tree(home.root)
    away = private.rename(private.with_name("away"))
    for args in (["list"], ["set", "X"], ["del", "TOKEN"], ["unlock"], ["recipient", "get"]):
        done = cli(*args, input=b"value")
        fails(done, 7)
        assert str(private).encode() in done.err, args
    changed = {name for name, file in tree(home.root).items() if before.get(name) != file}
    assert not [name for name in changed if not name.startswith(("lock/", "run/", "audit/"))]
    away.rename(private)
    cli("unlock", check=True)
    cli("get", "TOKEN", reveals=True, check=True)
