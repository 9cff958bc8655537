"""What the reference says is what the code does: codes, options, variables, paths, verbs, limits, settings."""

import importlib
import inspect
import json
import os
import re
import stat
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer.main

from agentkeys import errors, paths, procs, wire
from agentkeys.agent import clients, door
from agentkeys.cli.app import FAMILIES, HELP
from agentkeys.client.command import KEPT_ENVIRONMENT
from agentkeys.core import agent, environment, holdings, unlocking
from agentkeys.core.secret import Secret
from agentkeys.errors import AgentkeysError
from agentkeys.stores import config
from agentkeys.stores.audit_log import AuditLog
from tests.docs.pages import REPO, code, flags, items, man, man_pages, plain, section, synopsis, table
from tests.support.runner import Runner

REFERENCE = REPO / "docs" / "reference"

Plant = Callable[..., bytes]


# --- exit codes ----------------------------------------------------------------------------------------------

CODES = {name: value for name, value in vars(errors).items() if name.isupper() and isinstance(value, int)}


def test_exit_codes_are_those_of_the_code() -> None:
    """The table names each constant with its number, and nothing else."""
    rows = table((REFERENCE / "exit-codes.md").read_text(), "code")
    assert {row[1].strip("`"): int(row[0]) for row in rows} == CODES


def test_exit_status_of_the_manual_is_complete() -> None:
    """agentkeys(1) lists the same numbers."""
    listed = re.findall(r"^\.It (\d+)$", section(man("agentkeys.1"), "EXIT STATUS"), re.MULTILINE)
    assert [int(number) for number in listed] == sorted(CODES.values())


# --- options -------------------------------------------------------------------------------------------------


def commands() -> dict[str, list[set[str]]]:
    """Each verb of the command line, with its options as sets of synonyms; --help is left out."""
    found = {}
    for verb, family in FAMILIES.items():
        group: Any = typer.main.get_command(importlib.import_module(f"agentkeys.cli.{family}").app.as_typer())
        command = group.commands[verb]
        subcommands = getattr(command, "commands", None)
        for name, one in subcommands.items() if subcommands else [("", command)]:
            options = [{*it.opts, *it.secondary_opts} for it in one.params if it.param_type_name == "option"]
            found[f"{verb} {name}".strip()] = [it for it in options if "--help" not in it]
    return found


COMMANDS = commands()
SYNOPSES = {page: synopsis(man(page)) for page in man_pages()}


def test_each_verb_has_one_manual_page() -> None:
    """No verb without a synopsis, no synopsis without a verb, none twice."""
    assert sorted(verb for verbs in SYNOPSES.values() for verb in verbs) == sorted(COMMANDS)


@pytest.mark.parametrize("verb", COMMANDS)
def test_a_verbs_synopsis_has_its_options(verb: str) -> None:
    """Every option of the verb, by one of its names, and no other."""
    shown = next(verbs[verb] for verbs in SYNOPSES.values() if verb in verbs)
    missing = [names for names in COMMANDS[verb] if not names & shown]
    assert (missing, shown - set().union(*COMMANDS[verb])) == ([], set())


@pytest.mark.parametrize("page", [page for page, verbs in SYNOPSES.items() if verbs])
def test_a_page_explains_each_option(page: str) -> None:
    """Under every one of its names; and explains none that its verbs lack."""
    described = flags("\n".join(f".Fl {item}" for item in items(man(page), "Fl")))
    assert described == set().union(*[names for verb in SYNOPSES[page] for names in COMMANDS[verb]])


def test_help_lists_every_verb_once() -> None:
    """The static table of `agentkeys --help` has exactly the verbs that are dispatched."""
    listed = re.findall(r"^  ([a-z]+)(?: [a-z]+)? {2,}\S", HELP, re.MULTILINE)
    assert sorted(listed) == sorted(FAMILIES)
    assert sorted(items(section(man("agentkeys.1"), "Verbs", "Ss"), "Cm")) == sorted(FAMILIES)


def test_every_page_is_installed() -> None:
    """The wheel puts each manual page where man(1) looks for its section."""
    project = tomllib.loads((REPO / "pyproject.toml").read_text())
    shared = project["tool"]["hatch"]["build"]["targets"]["wheel"]["shared-data"]
    assert shared == {f"man/{page}": f"share/man/man{page[-1]}/{page}" for page in man_pages()}


# --- environment ---------------------------------------------------------------------------------------------


def test_our_variables_are_documented() -> None:
    """Every AGENTKEYS_ variable that the code names is in environment.md and agentkeys(1), and the other way round."""
    sources = "\n".join(path.read_text() for path in (REPO / "agentkeys").rglob("*.py"))
    named = set(re.findall(r"AGENTKEYS_[A-Z_]*[A-Z]", sources))
    rows = table((REFERENCE / "environment.md").read_text(), "variable")
    listed = items(section(man("agentkeys.1"), "ENVIRONMENT"), "Ev")
    assert {row[0].strip("`") for row in rows} == named
    assert {name for name in listed if name.startswith("AGENTKEYS_")} == named


def test_what_children_get_is_documented() -> None:
    """The names that --clean-env keeps, and those that agents and workers see."""
    text = (REFERENCE / "environment.md").read_text()
    kept = {name.decode() for name in KEPT_ENVIRONMENT} | {"LC_*"}
    passed = {name.decode() for name in procs.PASSED_ON}
    clean = text.partition("`--clean-env` only")[2].partition(" of it")[0]
    assert set(code(clean)) == kept
    assert set(items_of(man("agentkeys-exec.1"), "-clean-env", "Ev")) == kept
    assert set(code(text.partition("Of the caller's environment:")[2].partition("And `PATH=")[0])) == passed
    listed = section(man("agentkeys.1"), "ENVIRONMENT").rpartition("of the caller's they get")[2]
    assert set(re.findall(r"^\.Ev (\S+)", listed.rpartition("and a fixed")[0], re.MULTILINE)) == passed


def items_of(page: str, option: str, macro: str) -> list[str]:
    """What MACRO names in the item that explains `option`."""
    body = re.search(rf"^\.It Fl {option}\b.*?(?=^\.It|^\.El)", page, re.MULTILINE | re.DOTALL)
    assert body, option
    return re.findall(rf"^\.{macro} (\S+)", body[0], re.MULTILINE)


# --- files ---------------------------------------------------------------------------------------------------


def persistent_paths() -> list[str]:
    """Everything in paths.py that lies below the persistent root, for an owner OWNER."""
    found = []
    for name, function in inspect.getmembers(paths, inspect.isfunction):
        if function.__module__ != paths.__name__:
            continue
        wanted = list(inspect.signature(function).parameters)
        if wanted[:1] != ["root"] or inspect.signature(function).return_annotation not in (str, "str"):
            continue
        path = function("~/.agentkeys", *[it.upper() for it in wanted[1:]])
        if path.startswith("~/"):
            found.append(path.replace(paths.machine_id(), "MACHINE"))
        else:
            assert name in ("home_id", "inventory_marker"), f"{name} is a new kind of path"
    return found


def test_every_path_is_documented() -> None:
    """files.md has a row for each, agentkeys(1) an entry."""
    rows = table((REFERENCE / "files.md").read_text(), "path")
    listed = {code(row[0])[0] for row in rows}
    assert set(persistent_paths()) == listed
    shown = {plain(item).rstrip("/") for item in items(section(man("agentkeys.1"), "FILES"), "Pa")}
    for path in persistent_paths():
        short = path.replace("OWNER", "owner").replace("MACHINE", "machine").replace("/NAME", "")
        short = short.replace("SESSION_ID", "session")
        assert short in shown or short.rpartition("/")[0] in shown, path


def test_sockets_and_config_are_where_the_reference_says() -> None:
    """The patterns of files.md, filled in, are what paths.py computes."""
    text = (REFERENCE / "files.md").read_text()
    uid = str(os.getuid())
    assert paths.socket(paths.last_resort_dir() + "/agentkeys", "OWNER").replace(uid, "UID") in text
    assert paths.socket("", "OWNER", 7).replace("7", "N").removeprefix("/") in text
    short = paths.short_socket("x" * 200).replace(uid, "UID")
    assert short.rpartition("/")[0] + "/HASH.sock" in text
    assert f"over {paths.MAX_SOCKET_PATH} bytes" in text
    assert paths.config_file({b"HOME": b"/h"}).replace("/h/", "~/") in text


# --- protocol ------------------------------------------------------------------------------------------------


def test_verbs_of_the_protocol() -> None:
    """The table and the subsections of agentkeys-protocol(7) are the agent's verbs, in its order."""
    page = man("agentkeys-protocol.7")
    verbs = [verb.decode() for verb in agent._HANDLERS]
    listed = re.findall(r"^\.It Cm (\S+) Ta ", section(page, "Verbs", "Ss"), re.MULTILINE)
    assert listed == verbs
    assert [title for title in re.findall(r"^\.Ss (\S+)$", page, re.MULTILINE) if title in verbs] == verbs


def test_what_other_login_sessions_may_ask() -> None:
    """The verbs that take away only are named in the page."""
    text = section(man("agentkeys-protocol.7"), "Verbs", "Ss").partition("may only use")[2].partition(":")[0]
    assert {verb.encode() for verb in re.findall(r"^\.Cm (\S+)", text, re.MULTILINE)} == agent.TAKING_AWAY


def test_limits_of_the_protocol() -> None:
    """Each limit stands in the page with its number."""
    listed = re.findall(r"^\.It (\d+) \w+$", section(man("agentkeys-protocol.7"), "Limits", "Ss"), re.MULTILINE)
    assert [int(number) for number in listed] == [
        wire.MAX_FRAME,
        wire.MAX_REQUEST,
        wire.MAX_REPLY,
        wire.MAX_FIELDS,
        wire.MAX_VALUE,
        environment.MAX_ENTRY,
        environment.MAX_TOTAL,
        unlocking.MAX_STAGED,
        holdings.MAX_HELD,
        clients.CLIENT_PATIENCE // 1000,
        door.SPARE_FDS,
    ]


# --- config.toml ---------------------------------------------------------------------------------------------


def load(path: Path, text: str) -> config.Config:
    """The settings in `text`."""
    path.write_text(text)
    path.chmod(stat.S_IRUSR | stat.S_IWUSR)
    return config.load(str(path))


def settings(found: config.Config) -> dict[str, object]:
    """A config's fields."""
    return {name: getattr(found, name) for name in config.Config.__slots__}


def test_the_documented_defaults_are_the_defaults(tmp_path: Path) -> None:
    """The block of config.md says what no file at all says, and has a row for each setting."""
    text = (REFERENCE / "config.md").read_text()
    block = text.partition("```toml\n")[2].partition("```")[0]
    assert settings(load(tmp_path / "config.toml", block)) == settings(config.Config())
    rows = [code(row[0])[0] for row in table(text, "setting")]
    in_block = re.findall(r"^(\w+) =", block, re.MULTILINE)
    assert [name.rpartition(".")[2] for name in rows] == in_block
    assert len(rows) == len(config.Config.__slots__)


def test_the_documented_values_are_taken_and_others_refused(tmp_path: Path) -> None:
    """Each setting changes something; a mistyped one is no setting; a file that others can write is refused."""
    path = tmp_path / "config.toml"
    for text in (
        'login_session = "strict"',
        "allow_root = true",
        'dangerous_tokens = "block"',
        'minimum_grade = "encrypted/ephemeral"',
        '[exec]\nallow_names = ["NODE_OPTIONS"]',
        '[agent]\nmax_duration = "12h"',
        '[agent]\nidle = "30m"',
        "[hook]\ninject = true",
    ):
        assert settings(load(path, text)) != settings(config.Config()), text
    for text in (
        'login_sesion = "strict"',
        'allow_root = "yes"',
        'dangerous_tokens = "allow"',
        'minimum_grade = "good"',
        "[exec]\nallow = []",
        '[agent]\nidle = "soon"',
        '[hook]\ninject = "yes"',
        "[agent]\nidle = 30",
        "not toml",
    ):
        with pytest.raises(AgentkeysError) as fault:
            load(path, text)
        assert fault.value.exit_code == errors.USAGE, text
    load(path, "")
    path.chmod(0o620)
    with pytest.raises(AgentkeysError) as fault:
        config.load(str(path))
    assert fault.value.exit_code == errors.DENIED


# --- the audit log -------------------------------------------------------------------------------------------


def test_members_of_an_audit_line(tmp_path: Path) -> None:
    """Every member that is ever written has a row in audit-log.md, and no row is made up."""
    log = AuditLog(str(tmp_path), "seaturtle")
    log.append("get", 1, 2, ["@all.all.A"], "deny", "why not")
    log.seal(Secret(bytes(32)))
    log.append("exec", 1, 2, [f"@all.all.A{number}" for number in range(1001)], "allow")
    with (tmp_path / "chain.jsonl").open("ab") as file:
        file.write(b'{"seq":')
    log.append("get", 1, 2, [], "allow")
    members: dict[str, None] = {}
    for path in tmp_path.glob("*.jsonl"):
        for line in path.read_text().splitlines():
            members |= dict.fromkeys(json.loads(line))
    rows = table((REFERENCE / "audit-log.md").read_text(), "member")
    assert {code(row[0])[0] for row in rows} == set(members)


def test_the_example_of_an_audit_line_is_one() -> None:
    """Same members in the same order as the code writes them."""
    example = (REFERENCE / "audit-log.md").read_text().partition("```json\n")[2].partition("```")[0]
    found = json.loads(example)
    assert list(found) == ["seq", "time", "boot", "verb", "uid", "pid", "owner", "keys", "decision", "mac"]
    assert len(found["mac"]) == 32


# --- JSON output ---------------------------------------------------------------------------------------------


def test_members_of_json_output_are_documented(cli: Runner, canary: Plant) -> None:
    """What --json prints is explained under --json of the verb's page."""
    pages = ("agentkeys-rack.1", "agentkeys-agent.1", "agentkeys-exec.1", "agentkeys-owner.1")
    shown = {page: json_item(man(page)) for page in pages}
    outputs = [("agentkeys-rack.1", cli("init", "--json", check=True).json())]
    outputs.append(("agentkeys-rack.1", cli("set", "A", "--json", input=canary("A"), check=True).json()))
    cli("agent", check=True)
    outputs.append(("agentkeys-rack.1", cli("unlock", "--json", check=True).json()))
    outputs.append(("agentkeys-agent.1", cli("status", "--json", check=True).json()))
    outputs.append(("agentkeys-exec.1", cli("get", "A", "--json", check=True, reveals=True).json()))
    outputs.append(("agentkeys-rack.1", cli("list", "--json", check=True).json()))
    outputs.append(("agentkeys-agent.1", cli("relock", "--json", check=True).json()))
    outputs.append(("agentkeys-agent.1", cli("lock", "--json", check=True).json()))
    outputs.append(("agentkeys-rack.1", cli("del", "A", "--json", check=True).json()))
    outputs.append(("agentkeys-owner.1", cli("owner", "list", "--json", check=True).json()))
    outputs.append(("agentkeys-owner.1", cli("owner", "show", "--json", check=True).json()))
    outputs.append(("agentkeys-owner.1", cli("recipient", "get", "--json", check=True).json()))
    for page, output in outputs:
        assert set(names(output)) <= set(re.findall(r"\w+", shown[page])), page


def json_item(page: str) -> str:
    """The text that explains --json."""
    found = re.search(r"^\.It Fl -json\n.*?(?=^\.It)", page, re.MULTILINE | re.DOTALL)
    assert found
    return found[0]


def names(value: object) -> list[str]:
    """The names of members, at every depth."""
    if isinstance(value, dict):
        return [*value, *[name for inner in value.values() for name in names(inner)]]
    return [name for inner in value for name in names(inner)] if isinstance(value, list) else []
