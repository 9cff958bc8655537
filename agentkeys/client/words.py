"""Every verb with its options and arguments, as completion needs them.

Written by `python -m tests.completion.words` from the parser: change that, not this. An option that takes a value names
its kind behind a `=`, and the kinds of arguments stand behind the `:`.
"""

TABLE = {
    "agent": (
        "--all --auto-unlock --for=OWNER --help --login-session=uid|bound --owner=OWNER --print-socket --reload "
        "--robot --shell=SHELL --unlock -D -a=PATH -c -d -k -s -t=TIME:IDLE : COMMAND"
    ),
    "allow": "--dry-run --help --json --list --prune : PATH",
    "completion": "--help : bash|zsh|fish",
    "del": "--env=ENV --for=OWNER --help --json --key=NAME --no-repo --org=ORG --owner=OWNER : NAME",
    "deny": "--help --json : PATH",
    "direnv export": "--env=ENV --for=OWNER --help --org=ORG --owner=OWNER --shim=PROGRAM",
    "direnv install": "--force --help --print",
    "doctor": "--for=OWNER --help --json --owner=OWNER",
    "env": (
        "--env=ENV --for=OWNER --help --hook=SHELL --no-repo --off --org=ORG --owner=OWNER --shell=SHELL --sock=PATH"
    ),
    "exec": (
        "--behind=DIR --clean-env --env=ENV --for=OWNER --help --key=NAME --no-repo --org=ORG --owner=OWNER "
        "--sock=PATH : COMMAND"
    ),
    "get": "--env=ENV --for=OWNER --help --json --key=NAME --no-repo --org=ORG --owner=OWNER --sock=PATH : NAME",
    "hook": "--help : SHELL",
    "import": (
        "--dry-run --env=ENV --for=OWNER --help --json --key=NAME --max-duration=TIME --no-repo --org=ORG --overwrite "
        "--owner=OWNER --replace --vault=VAULT : FILE"
    ),
    "init": "--at=PATH --for=OWNER --help --identity=FILE --json --org=ORG --owner=OWNER --pubkey=PATH --via=HOW",
    "list": "--env=ENV --for=OWNER --help --json --no-repo --owner=OWNER",
    "lock": "--for=OWNER --help --json --open --owner=OWNER --passphrase",
    "owner alias": "--help --remove : OWNER ALIAS",
    "owner list": "--help --json",
    "owner remove": "--for=OWNER --help --owner=OWNER --yes : OWNER",
    "owner show": "--for=OWNER --help --json --owner=OWNER : OWNER",
    "recipient del": "--for=OWNER --help --label=LABEL --owner=OWNER",
    "recipient get": "--for=OWNER --help --json --owner=OWNER",
    "recipient set": "--for=OWNER --help --label=LABEL --owner=OWNER --pubkey=KEY",
    "relock": "--env=ENV --for=OWNER --help --json --key=NAME --owner=OWNER : NAME",
    "restore": (
        "--accept-older --for=OWNER --help --identity=FILE --owner=OWNER --plugin-identity=FILE --pubkey=KEY --via=HOW "
        "--yes"
    ),
    "session clear": "--for=OWNER --help --leave --owner=OWNER : SESSION",
    "session doctor": "--for=OWNER --help --json --owner=OWNER",
    "session list": "--help --json",
    "session move": "--for=OWNER --help --owner=OWNER --to=PLACE : SESSION",
    "session show": "--for=OWNER --help --json --owner=OWNER : SESSION",
    "set": (
        "--at=PATH --env=ENV --expires-at=WHEN --expires-in=TIME --for=OWNER --from-env=VAR --from-file=PATH --help "
        "--json --key=NAME --max-duration=TIME --no-repo --org=ORG --owner=OWNER --ref=TEXT --vault=VAULT : NAME"
    ),
    "setup launchd": "--dry-run --for=OWNER --help --owner=OWNER --print",
    "setup launcher": "--force --help --to=PATH",
    "setup remove": "--dry-run --for=OWNER --help --owner=OWNER",
    "setup systemd": "--dry-run --for=OWNER --help --owner=OWNER --print --socket",
    "shim": "--env=ENV --for=OWNER --help --json --key=NAME --list --org=ORG --owner=OWNER --remove : PROGRAM",
    "source": (
        "--env=ENV --for=OWNER --help --key=NAME --lenient --no-repo --org=ORG --owner=OWNER --shell=SHELL --sock=PATH "
        "--strict"
    ),
    "status": "--all --for=OWNER --help --json --owner=OWNER --sock=PATH --watch",
    "unlock": (
        "--duration=TIME --env=ENV --for=OWNER --help --json --key=NAME --no-repo --org=ORG --owner=OWNER --sock=PATH "
        ": NAME"
    ),
}

ABOUT = {
    "agent": "start or re-use the owner's agent",
    "allow": "show what .agentkeys.yml asks for, and allow that until it changes",
    "completion": "what bash, zsh or fish need to complete agentkeys' words",
    "del": "take a key out of the rack",
    "deny": "take that back",
    "direnv": "for .envrc files, which can then say `use agentkeys`",
    "doctor": "what is wrong between you and your keys, and what mends it",
    "env": "what the shell should know here: owner, socket, project, state",
    "exec": "run a command with the keys in its environment",
    "get": "print one value",
    "hook": "let the shell follow you",
    "import": "put what a .env file holds into the rack",
    "init": "make an owner: an identity, a wallet and an empty rack",
    "list": "what is in the rack",
    "lock": "make all of the owner's agents forget everything, at once",
    "owner": "list, show, alias and remove owners",
    "recipient": "who else can restore the rack: set, get, del",
    "relock": "make the agents forget: everything, one key, or one env's",
    "restore": "open the rack with a backup identity, or an older copy of it",
    "session": "where each owner's session is kept, and why: list, show, move, clear, doctor",
    "set": "put a value into the rack (hidden prompt, a pipe, --from-file, --from-env)",
    "setup": "have an owner's agent run from boot on: systemd, launchd, remove; write a faster launcher",
    "shim": "have programs run under `agentkeys exec` when they are called by name",
    "source": "set keys in this shell",
    "status": "what the agent holds, and for how long; --all for every owner's",
    "unlock": "bring keys from the rack into the agent, for a while",
}

FIXED = {
    "HOW": "env file keychain passphrase plugin: ssh",
    "SHELL": "bash csh fish json sh zsh",
    "VAULT": "keychain os.daemon os.direct os.envvar os.secure",
}
