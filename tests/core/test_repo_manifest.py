"""What a repository may ask for, and what becomes of several files: agentkeys.core.repo_manifest."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentkeys.core.environment import loads_code
from agentkeys.core.repo_manifest import MAX_KEYS, Broken, RepoManifest, changes, merge, parse


def names(manifest: RepoManifest, env: str) -> list[str]:
    """What an env asks for, as text."""
    return [f"{key.name}={key.variable} {key.flags()}".rstrip() for key in manifest.wanted(env)]


def test_a_whole_manifest() -> None:
    """Every word that there is."""
    made = parse(
        {
            "org": "acme",
            "default_env": "test",
            "owner": "seaturtle",
            "extends": ["../agentkeys.yml"],
            "minimum_grade": "encrypted",
            "env.all": ["SENTRY"],
            "env.test": [
                "GITHUB_TOKEN",
                {"key": "STRIPE_KEY", "as": "STRIPE_API_KEY", "grade": "ephemeral"},
                {"key": "NPM_TOKEN", "optional": "true", "unless-set": "NODE_AUTH_TOKEN"},
            ],
            "env.prod": None,
        }
    )
    assert (made.org, made.default_env, made.owner, made.extends) == ("acme", "test", "seaturtle", ["../agentkeys.yml"])
    floor = "encrypted/permanent"
    assert names(made, "test") == [
        f"SENTRY=SENTRY {floor}",
        f"GITHUB_TOKEN=GITHUB_TOKEN {floor}",
        "STRIPE_KEY=STRIPE_API_KEY plaintext/ephemeral",
        f"NPM_TOKEN=NPM_TOKEN optional unless-set:NODE_AUTH_TOKEN {floor}",
    ]
    assert names(made, "prod") == [f"SENTRY=SENTRY {floor}"]


@pytest.mark.parametrize(
    "word", ["socket", "sock", "vault", "via", "command", "exec", "proxy", "path", "inject", "allow", "policy", "home"]
)
def test_it_is_no_source_of_authority(word: str) -> None:
    """No word for a socket, a vault, a program, a proxy: of the file, or of a key."""
    with pytest.raises(Broken, match="is not known"):
        parse({"org": "acme", word: "value"})
    with pytest.raises(Broken, match="is not known"):
        parse({"org": "acme", "env.test": [{"key": "A", word: "value"}]})


DANGEROUS = (
    "LD_PRELOAD LD_AUDIT DYLD_INSERT_LIBRARIES PATH IFS ENV BASH_ENV PROMPT_COMMAND PS4 PYTHONPATH PYTHONSTARTUP "
    "NODE_OPTIONS PERL5OPT RUBYOPT JAVA_TOOL_OPTIONS GIT_SSH_COMMAND GIT_CONFIG_GLOBAL SSH_ASKPASS EDITOR PAGER "
    "HTTPS_PROXY https_proxy SSL_CERT_FILE AGENTKEYS_SOCK AGENTKEYS_OWNER"
)


@pytest.mark.parametrize("name", DANGEROUS.split())
def test_no_manifest_may_set_a_variable_that_runs_code(name: str) -> None:
    """Neither by its own name nor by another's."""
    assert loads_code(name)
    for key in (name, {"key": "TOKEN", "as": name}):
        with pytest.raises(Broken, match=f"{name} changes how programs"):
            parse({"org": "acme", "env.test": [key]})


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (None, "it is empty"),
        (["org"], "no mapping"),
        ("org", "no mapping"),
        ({"org": "Acme!"}, "org can't be"),
        ({"org": ["acme"]}, "org can't be"),
        ({"org": "acme", "keys": ["A"]}, "write env.NAME"),
        ({"org": "acme", "env": {"test": ["A"]}}, "with the dot"),
        ({"org": "acme", "env.Test": ["A"]}, "names no env"),
        ({"org": "acme", "env.sudo": ["A"]}, "only given by name"),
        ({"org": "acme", "default_env": "sudo"}, "only given by name"),
        ({"org": "acme", "owner": "0xabc"}, "owner can't be"),
        ({"org": "acme", "env.test": "A"}, "is no list"),
        ({"org": "acme", "env.test": [["A"]]}, "is no key"),
        ({"org": "acme", "env.test": [None]}, "is no key"),
        ({"org": "acme", "env.test": ["A B"]}, "can't name a key"),
        ({"org": "acme", "env.test": ["acme.test.A"]}, "can't name a key"),
        ({"org": "acme", "env.test": ["\x1b]0;x\x07"]}, r"\\x1b"),
        ({"org": "acme", "env.test": [{"as": "A"}]}, "without its name"),
        ({"org": "acme", "env.test": [{"key": "A", "optional": "yes"}]}, "true or false"),
        ({"org": "acme", "env.test": [{"key": "A", "grade": "good"}]}, "is no grade"),
        ({"org": "acme", "env.test": [{"key": "A", "unless-set": "B C"}]}, "can't name"),
        ({"org": "acme", "minimum_grade": ""}, "is no grade"),
        ({"org": "acme", "extends": ["/etc/passwd"]}, "relative to this one"),
        ({"org": "acme", "extends": ["../../etc/passwd"]}, "end in agentkeys.yml"),
        ({"org": "acme", "extends": ["~/.agentkeys.yml"]}, "relative"),
        ({"org": "acme", "extends": ["\n.agentkeys.yml"]}, "control character"),
        ({"org": "acme", "env.test": [f"A{n}" for n in range(MAX_KEYS + 1)]}, "declares over"),
    ],
)
def test_what_is_not_understood_is_refused(data: object, why: str) -> None:
    """And named, in one line that a terminal can be shown."""
    with pytest.raises(Broken, match=why) as caught:
        parse(data)
    assert str(caught.value).isprintable()


json_like = st.recursive(
    st.none() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["org", "env.test", "extends", "owner", "minimum_grade"]) | st.text(), json_like)
)
def test_whatever_it_holds_it_is_taken_or_refused(data: dict[str, object]) -> None:
    """Nothing else escapes, and no refusal can do anything to a terminal."""
    said = ""
    made = RepoManifest()
    try:
        made = merge([parse(data)])
    except Broken as fault:
        said = str(fault)
    assert said.isprintable()
    assert not any(loads_code(key.variable) for env in made.envs for key in made.wanted(env))


def test_the_file_that_extends_wins() -> None:
    """A later file over an earlier one, the root over all; its org is everybody's."""
    base = parse({"org": "base", "default_env": "test", "env.test": ["A", {"key": "B", "as": "OLD"}], "env.all": ["C"]})
    other = parse({"org": "other", "env.test": [{"key": "B", "optional": "true"}], "env.prod": ["P"]})
    root = parse({"org": "acme", "minimum_grade": "encrypted", "env.test": [{"key": "B", "as": "NEW"}]})
    made = merge([base, other, root])
    assert (made.org, made.default_env, sorted(made.envs)) == ("acme", "test", ["all", "prod", "test"])
    floor = "encrypted/permanent"
    assert names(made, "test") == [f"C=C {floor}", f"A=A {floor}", f"B=NEW {floor}"]
    assert names(made, "prod") == [f"C=C {floor}", f"P=P {floor}"]


def test_an_env_names_its_own_key_instead_of_that_of_all() -> None:
    """A key of `all` fits every env, and an env may say it otherwise."""
    made = merge([parse({"org": "acme", "env.all": ["A", "B"], "env.test": [{"key": "A", "as": "X"}]})])
    assert names(made, "test") == ["B=B", "A=X"]
    assert names(made, "all") == ["A=A", "B=B"]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ({"env.test": ["A"]}, "names no org"),
        ({"org": "acme", "default_env": "prod", "env.test": []}, "env.prod isn't declared"),
        ({"org": "acme", "env.all": [{"key": "A", "as": "X"}], "env.test": [{"key": "B", "as": "X"}]}, "two keys"),
    ],
)
def test_a_closure_that_contradicts_itself_is_refused(data: object, why: str) -> None:
    """Only the whole can tell."""
    with pytest.raises(Broken, match=why):
        merge([parse(data)])


@pytest.mark.parametrize(
    ("data", "env"),
    [
        ({}, "all"),
        ({"env.all": ["A"]}, "all"),
        ({"env.all": ["A"], "env.test": ["B"]}, "test"),
        ({"env.test": ["A"], "env.prod": ["B"]}, ""),
        ({"env.test": ["A"], "env.prod": ["B"], "default_env": "prod"}, "prod"),
    ],
)
def test_the_env_where_none_is_named(data: dict[str, object], env: str) -> None:
    """default_env, else the only one there is; of several none is guessed."""
    assert merge([parse({"org": "acme", **data})]).chosen_env() == env


def test_a_change_is_shown_by_its_lines() -> None:
    """What is gone and what is new, nothing else."""
    assert changes(["org acme", "env test: A"], ["org acme", "env test: B"]) == ["- env test: A", "+ env test: B"]
