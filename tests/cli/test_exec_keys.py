"""Which keys a command gets, under which names, and which names no command ever gets."""

import pytest

from tests.agent.seat import Seat
from tests.support.plugin import Plant

EVERYTHING = ("sh", "-c", "env -0")


def given(seat: Seat, *args: str, **env: str) -> dict[str, bytes]:
    """The environment of a command run by exec."""
    done = seat.cli("exec", *args, "--", *EVERYTHING, env=env, reveals=True, check=True)
    pairs = [entry.partition(b"=") for entry in done.out.split(b"\0") if entry]
    assert len({name for name, _, _ in pairs}) == len(pairs)
    return {name.decode(): value for name, _, value in pairs}


def test_all_that_was_unlocked_is_given(seat: Seat) -> None:
    """Every key by its name and its exact value."""
    env = given(seat)
    assert {name: env[name] for name in seat.values} == seat.values


def test_only_what_is_named_is_given(seat: Seat) -> None:
    """One --key or several, and nothing else of the owner's."""
    assert "OPENAI_API_KEY" not in given(seat, "--key", "GITHUB_TOKEN")
    assert given(seat, "--key", "GITHUB_TOKEN")["GITHUB_TOKEN"] == seat.values["GITHUB_TOKEN"]
    assert set(seat.values) <= set(given(seat, "--key", "GITHUB_TOKEN", "--key=OPENAI_API_KEY"))


def test_a_key_may_be_given_under_another_name(seat: Seat) -> None:
    """--key NAME=AS: only as AS; twice under two names if asked so."""
    env = given(seat, "--key", "GITHUB_TOKEN=GH_TOKEN")
    assert env["GH_TOKEN"] == seat.values["GITHUB_TOKEN"]
    assert "GITHUB_TOKEN" not in env
    both = given(seat, "--key", "GITHUB_TOKEN", "--key", "GITHUB_TOKEN=GH_TOKEN")
    assert both["GH_TOKEN"] == both["GITHUB_TOKEN"] == seat.values["GITHUB_TOKEN"]


def test_a_full_slug_names_a_key(seat: Seat) -> None:
    """org.env.NAME, with and without another name."""
    assert given(seat, "--key", "@all.all.GITHUB_TOKEN")["GITHUB_TOKEN"] == seat.values["GITHUB_TOKEN"]
    assert given(seat, "--key", "@all.all.GITHUB_TOKEN=GH")["GH"] == seat.values["GITHUB_TOKEN"]


def test_a_variable_that_was_there_is_replaced(seat: Seat) -> None:
    """The caller's own GITHUB_TOKEN doesn't shadow the rack's, and there is exactly one."""
    assert given(seat, GITHUB_TOKEN="the caller's")["GITHUB_TOKEN"] == seat.values["GITHUB_TOKEN"]


@pytest.fixture
def envs(seat: Seat, canary: Plant) -> Seat:
    """GITHUB_TOKEN in several envs and orgs as well, all unlocked."""
    places = ("@all.prod", "acme.all", "acme.prod")
    for slug in [*[f"{place}.GITHUB_TOKEN" for place in places], "acme.prod.STRIPE_KEY"]:
        seat.values[slug] = canary(slug)
        seat.cli("set", slug, input=seat.values[slug], check=True)
    return seat.unlock("--org", "acme", "--env", "prod")


@pytest.mark.parametrize(
    ("args", "slug"),
    [
        ((), "GITHUB_TOKEN"),
        (("--env", "prod"), "@all.prod.GITHUB_TOKEN"),
        (("--env", "dev"), "GITHUB_TOKEN"),
        (("--org", "acme"), "acme.all.GITHUB_TOKEN"),
        (("--org", "acme", "--env", "dev"), "acme.all.GITHUB_TOKEN"),
        (("--org", "acme", "--env", "prod"), "acme.prod.GITHUB_TOKEN"),
        (("--org", "other", "--env", "prod"), "@all.prod.GITHUB_TOKEN"),
    ],
)
def test_the_most_specific_key_is_given(args: tuple[str, ...], slug: str, envs: Seat) -> None:
    """org.env, org.all, @all.env, @all.all: the first that exists, for exec and get, named or not."""
    assert given(envs, *args)["GITHUB_TOKEN"] == envs.values[slug]
    assert given(envs, *args, "--key", "GITHUB_TOKEN")["GITHUB_TOKEN"] == envs.values[slug]
    assert envs.cli("get", "GITHUB_TOKEN", *args, reveals=True, check=True).out == envs.values[slug]


def test_a_locked_key_is_not_replaced_by_a_less_specific_one(envs: Seat) -> None:
    """The production token relocked: exit 4, never the machine's token in its place."""
    envs.cli("relock", "acme.prod.GITHUB_TOKEN", check=True)
    where = ("--org", "acme", "--env", "prod")
    assert envs.cli("exec", *where, "--key", "GITHUB_TOKEN", "--", "true").code == 4
    assert envs.cli("get", "GITHUB_TOKEN", *where).code == 4
    assert envs.cli("exec", *where, "--", "true").code == 4
    env = given(envs, *where, "--key", "STRIPE_KEY")
    assert env["STRIPE_KEY"] == envs.values["acme.prod.STRIPE_KEY"]


def test_sudo_keys_are_given_by_name_only(seat: Seat, canary: Plant) -> None:
    """Not by a plain unlock, not by a plain exec, and for half an hour."""
    value = canary("sudo")
    seat.cli("set", "@all.sudo.ROOT_TOKEN", input=value, check=True)
    seat.unlock()
    assert "ROOT_TOKEN" not in given(seat)
    assert seat.cli("exec", "--env", "sudo", "--key", "ROOT_TOKEN", "--", "true").code == 4
    unlocked = seat.cli("unlock", "--env", "sudo", "ROOT_TOKEN", "--json", check=True).json()
    assert unlocked == {"unlocked": [{"slug": "@all.sudo.ROOT_TOKEN", "expires_in_seconds": 1800}], "not_unlocked": []}
    assert "ROOT_TOKEN" not in given(seat)
    assert given(seat, "--env", "sudo", "--key", "ROOT_TOKEN")["ROOT_TOKEN"] == value


@pytest.mark.parametrize("name", ["a-b", "1A", "A=B", "A B", "", "BASH_FUNC_x%%", "é", "А", "A\n", "a.b"])
def test_a_name_that_is_no_variable_is_refused(name: str, seat: Seat) -> None:
    """At set and as the new name of --key: exit 2, nothing stored."""
    before = seat.cli("list", "--json", check=True).out
    assert seat.cli("set", f"--key={name}", input=b"x").code == 2
    assert seat.cli("exec", f"--key=GITHUB_TOKEN={name}", "--", "true").code == 2
    assert seat.cli("list", "--json", check=True).out == before


LOADS_CODE = (
    "LD_PRELOAD LD_AUDIT LD_LIBRARY_PATH DYLD_INSERT_LIBRARIES GLIBC_TUNABLES GCONV_PATH PATH IFS ENV BASH_ENV "
    "PROMPT_COMMAND PS4 SHELLOPTS BASHOPTS CDPATH ZDOTDIR PYTHONPATH PYTHONSTARTUP PYTHONHOME PYTHONINSPECT "
    "NODE_OPTIONS NODE_PATH PERL5OPT PERL5LIB PERL5DB RUBYOPT RUBYLIB JAVA_TOOL_OPTIONS CLASSPATH LUA_INIT "
    "GIT_SSH_COMMAND GIT_SSH GIT_EXTERNAL_DIFF GIT_CONFIG_COUNT GIT_CONFIG_GLOBAL GIT_ASKPASS GIT_EDITOR GIT_PAGER "
    "GIT_PROXY_COMMAND SSH_ASKPASS SUDO_ASKPASS EDITOR VISUAL PAGER MANPAGER BROWSER LESSOPEN HTTP_PROXY HTTPS_PROXY "
    "https_proxy ALL_PROXY NO_PROXY SSL_CERT_FILE SSL_CERT_DIR SSLKEYLOGFILE CURL_CA_BUNDLE REQUESTS_CA_BUNDLE "
    "NODE_EXTRA_CA_CERTS HOME SHELL TERMINFO BASH_FUNC_x AGENTKEYS_SOCK AGENTKEYS_OWNER AGENTKEYS_HOME RUSTC_WRAPPER "
    "DOTNET_STARTUP_HOOKS CARGO_HOME PIP_INDEX_URL npm_config_registry OPENSSL_CONF XDG_CONFIG_HOME TMPDIR"
).split()


def test_names_that_load_code_are_never_given(seat: Seat) -> None:
    """Each of them, as the new name of a key: exit 6, naming it, and the command doesn't run."""
    ran = []
    for name in LOADS_CODE:
        done = seat.cli("exec", "--key", f"GITHUB_TOKEN={name}", "--", "printenv", name)
        if done.code != 6 or name.encode() not in done.err or done.out:
            ran.append(name)
    assert ran == []


def test_only_the_operators_config_allows_such_a_name(seat: Seat, canary: Plant) -> None:
    """By name, in config.toml, read when the agent starts; a variable can't, and the other names stay refused."""
    config = seat.home.path / ".config" / "agentkeys" / "config.toml"
    config.parent.mkdir()
    config.write_text('[exec]\nallow_names = ["NODE_OPTIONS"]\n')
    allow = {"AGENTKEYS_ALLOW_NAMES": "NODE_OPTIONS", "AGENTKEYS_EXEC_ALLOW_NAMES": "NODE_OPTIONS"}
    rename = ("--key", "GITHUB_TOKEN=NODE_OPTIONS")
    assert seat.cli("exec", *rename, "--", "true", env=allow).code == 6
    seat.cli("agent", "-k", check=True)
    seat.start().unlock()
    assert given(seat, *rename)["NODE_OPTIONS"] == seat.values["GITHUB_TOKEN"]
    assert seat.cli("exec", "--key", "GITHUB_TOKEN=LD_PRELOAD", "--", "true").code == 6


@pytest.mark.parametrize("mode", [0o666, 0o622, 0o602])
def test_a_config_that_others_can_write_starts_no_agent(mode: int, rack: Seat) -> None:
    """Exit 6 with the chmod: what lowers protection must be the operator's own word."""
    config = rack.home.path / ".config" / "agentkeys" / "config.toml"
    config.parent.mkdir()
    config.write_text('[exec]\nallow_names = ["NODE_OPTIONS"]\n')
    config.chmod(mode)
    done = rack.cli("agent")
    assert (done.code, done.out) == (6, b"false;\n")
    assert f"hint: chmod go-w {config}".encode() in done.err
    assert rack.home.agents() == []
