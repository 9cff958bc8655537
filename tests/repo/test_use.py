"""exec, source, get, unlock, set, list and status in a repository: exactly what its manifest declares, once allowed."""

import json
from pathlib import Path

import pytest

from tests.agent.seat import Seat
from tests.cli.test_exit_codes import fails
from tests.repo.conftest import MANIFEST, Repo
from tests.support.plugin import Plant

SHOW = ("sh", "-c", 'printf %s, "$GITHUB_TOKEN" "$STRIPE_API_KEY" "$STRIPE_KEY" "$OPENAI_API_KEY"')
"""A command that prints what it was given."""


@pytest.fixture
def acme(locked: Seat, repository: Repo, canary: Plant) -> Seat:
    """The owner with the manifest allowed, its keys of env test set and unlocked, and two keys of the machine's."""
    locked.cli("allow", check=True)
    for name in ("GITHUB_TOKEN", "STRIPE_KEY"):
        locked.values[name] = canary(f"acme {name}")
        locked.cli("set", name, "--env", "test", input=locked.values[name], check=True)
    return locked.unlock()


def test_a_session_in_a_repository(acme: Seat, repository: Repo) -> None:
    """Exactly the declared keys, by the names it gives them, from any directory below; nothing else."""
    deep = repository.path / "a" / "b"
    deep.mkdir(parents=True)
    given = acme.cli("exec", "--", *SHOW, cwd=deep, reveals=True, check=True)
    assert given.out.split(b",") == [acme.values["GITHUB_TOKEN"], acme.values["STRIPE_KEY"], b"", b"", b""]
    sourced = acme.cli("source", "--shell", "json", cwd=deep, reveals=True, check=True)
    assert sorted(json.loads(sourced.out)) == ["GITHUB_TOKEN", "STRIPE_API_KEY"]
    assert acme.cli("get", "STRIPE_KEY", cwd=deep, reveals=True, check=True).out == acme.values["STRIPE_KEY"]
    outside = acme.cli("exec", "--no-repo", "--", *SHOW, reveals=True, check=True)
    assert outside.out.split(b",")[3] == acme.values["OPENAI_API_KEY"]
    assert repository.manifest.read_text() == MANIFEST, "set added nothing that was there"


def test_a_key_that_is_not_declared_is_absent_by_the_same_words(acme: Seat) -> None:
    """Whether or not the rack has it, and whether it is unlocked or not: who asks learns nothing of the rack."""
    said = {}
    for name in ("OPENAI_API_KEY", "NEVER_WAS_THERE"):
        for words in (("get", name), ("exec", "--key", name, "--", "true"), ("source", "--key", name)):
            done = acme.cli(*words)
            fails(done, 5)
            said.setdefault(words[0], set()).add(done.err.replace(name.encode(), b"NAME"))
    assert [len(each) for each in said.values()] == [1, 1, 1]
    machine = acme.cli("get", "@all.all.OPENAI_API_KEY", reveals=True, check=True)
    assert machine.out == acme.values["OPENAI_API_KEY"], "a key of the machine's, asked for as that, is no matter of it"


def test_what_is_not_allowed_as_it_is_runs_nothing(acme: Seat, repository: Repo, tmp_path: Path) -> None:
    """Exit 6 and the command that allows, for every verb that would give or take a key; --no-repo ignores it."""
    ran = tmp_path / "ran"
    command = ("--", "touch", str(ran))
    verbs = [("exec", *command), ("exec", "--key", "GITHUB_TOKEN", *command), ("source",), ("get", "GITHUB_TOKEN")]
    verbs += [("unlock",), ("set", "GITHUB_TOKEN")]
    repository.write(MANIFEST + "# one comment more\n")
    for words in verbs:
        done = acme.cli(*words)
        fails(done, 6)
        assert f"hint: agentkeys allow {repository.manifest}\n".encode() in done.err, words
    assert not ran.exists()
    acme.cli("exec", "--no-repo", *command, check=True)
    assert ran.exists()


def test_a_mistyped_env_names_the_near_ones(acme: Seat) -> None:
    """For every verb that takes one: a key that is given or set under a name of nobody's helps no one."""
    for words in (("exec", "--env", "tset", "--", "true"), ("unlock", "--env", "tset"), ("source", "--env", "tset")):
        done = acme.cli(*words)
        fails(done, 2)
        assert b"declares no env tset; near it: test\n" in done.err
    done = acme.cli("set", "NEW_KEY", "--env", "prd")
    fails(done, 2)
    assert b"near it: prod\n" in done.err
    assert b"hint: agentkeys set NEW_KEY --env prod\n" in done.err


def test_optional_keys_and_alternatives(acme: Seat, repository: Repo) -> None:
    """Absent and optional: left out, also before the first unlock; `unless-set` asks the caller's environment."""
    repository.write(
        "org: acme\nenv.test:\n"
        "  - GITHUB_TOKEN\n  - {key: SENTRY, optional: true}\n  - {key: NPM, unless-set: NODE_AUTH}\n"
    )
    acme.cli("allow", check=True)
    fails(acme.cli("exec", "--", "true"), 5)
    fails(acme.cli("exec", "--", "true", env={"NODE_AUTH": ""}), 5)
    acme.cli("exec", "--", "true", env={"NODE_AUTH": "x"}, check=True)
    acme.cli("agent", "-k", check=True)
    acme.start()
    fails(acme.cli("exec", "--", "true", env={"NODE_AUTH": "x"}), 4)
    repository.write("org: acme\nenv.test: [{key: SENTRY, optional: true}]\n")
    acme.cli("allow", check=True)
    nothing = acme.cli("exec", "--", *SHOW, reveals=True, check=True)
    assert nothing.out == b",,,,", "a repository that asks for nothing is given nothing"


def test_a_key_that_is_kept_too_badly_is_refused(acme: Seat, repository: Repo, canary: Plant) -> None:
    """6, for exec and get; kept better it is given."""
    repository.write("org: acme\nminimum_grade: encrypted\nenv.test: [PLAIN]\n")
    acme.cli("allow", check=True)
    value = canary("PLAIN", allowed=["*/vault/human/direct.*"])
    acme.cli("set", "PLAIN", "--env", "test", "--vault", "os.direct", input=value, check=True)
    acme.unlock()
    for words in (("exec", "--", "true"), ("get", "PLAIN")):
        done = acme.cli(*words)
        fails(done, 6)
        assert b"acme.test.PLAIN is plaintext/permanent, and encrypted/permanent is the least" in done.err
    acme.cli("set", "PLAIN", "--env", "test", "--vault", "os.secure", input=value, check=True)
    acme.unlock()
    acme.cli("exec", "--", "true", check=True)


def test_list_and_status_speak_of_the_repository(acme: Seat, repository: Repo) -> None:
    """list shows what it declares and what the rack lacks of that; status says whether it is allowed."""
    done = acme.cli("list", check=True)
    assert b"acme.prod.STRIPE_KEY  not in the rack\n" in done.out
    assert b"OPENAI_API_KEY" not in done.out
    assert b"1 more that " in done.err
    assert b"OPENAI_API_KEY" in acme.cli("list", "--no-repo", check=True).out
    told = f"repo     {repository.manifest} is allowed: org acme, keys by env: prod 1, test 2\n"
    assert told.encode() in acme.cli("status", check=True).out
    repository.write(MANIFEST + "\n")
    assert b"changed since it was allowed\n" in acme.cli("status", check=True).out
    assert b"OPENAI_API_KEY" in acme.cli("list", check=True).out


def test_a_hint_in_a_repository_works_when_it_is_pasted(locked: Seat, repository: Repo, canary: Plant) -> None:
    """From nothing to a command that runs, by pasting what each refusal says."""
    repository.write("org: acme\nenv.test: [ONE, TWO]\n")
    steps = [(6, ["allow", str(repository.manifest)]), (5, ["set", "ONE"]), (4, ["unlock"]), (5, ["set", "TWO"])]
    for code, words in steps:
        done = locked.cli("exec", "--", "true")
        fails(done, code)
        (hint,) = [line for line in done.err.decode().splitlines() if line.startswith("agentkeys: hint: agentkeys ")]
        pasted = hint.removeprefix("agentkeys: hint: agentkeys ").split()
        assert pasted[: len(words)] == words
        locked.cli(*pasted, input=canary("pasted"), check=True)
    locked.unlock()
    locked.cli("exec", "--", "true", check=True)
