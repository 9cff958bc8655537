#!/bin/sh
# The program as a newcomer meets it: two owners, two values of one name, two agents; and what it looks like when
# something is missing. `make demo` runs it with the `agentkeys` it has installed first in PATH.
# Everything happens in a new directory under /tmp, which is removed at the end. Every exit code is checked: exits 1
# if one is not as expected, 0 otherwise.
# shellcheck disable=SC2016 # command lines are shown as they stand here, and expanded by the eval that runs them
set -u
umask 077

place=$(mktemp -d /tmp/ak-demo.XXXXXX) || exit 1
failures=0

clean_up() {
    for owner in seaturtle mechanic; do
        agentkeys agent -k --for "$owner" >"$place/out" 2>&1
    done
    rm -rf "$place"
}
trap clean_up EXIT
trap 'exit 130' HUP INT TERM

HOME=$place/home
XDG_RUNTIME_DIR=$place/run
export HOME XDG_RUNTIME_DIR
unset AGENTKEYS_AGENT_PID AGENTKEYS_HOME AGENTKEYS_OWNER AGENTKEYS_SOCK GITHUB_TOKEN XDG_CONFIG_HOME
mkdir "$HOME" "$XDG_RUNTIME_DIR" || exit 1
cd "$HOME" || exit 1

say() {
    printf '\n# %s\n' "$@"
}

# try CODE COMMAND [OUTPUT]: show the command line, run it in this shell, and check its exit code and standard output.
try() {
    printf '$ %s\n' "$2"
    eval "$2" >"$place/out"
    code=$?
    cat "$place/out"
    if [ "$1" -ne 0 ]; then
        printf '# exit code %s\n' "$code"
    fi
    if [ "$code" -ne "$1" ]; then
        printf 'demo: expected exit code %s, got %s\n' "$1" "$code" >&2
        failures=$((failures + 1))
    fi
    if [ $# -gt 2 ] && [ "$(cat "$place/out")" != "$3" ]; then
        printf 'demo: expected the output %s\n' "$3" >&2
        failures=$((failures + 1))
    fi
}

say 'Two owners. Each has an identity, a rack for its keys and a wallet.'
try 0 'agentkeys init --for seaturtle'
try 0 'agentkeys init --for mechanic'

say 'Two values of one name. You would type them at a hidden prompt; here they come from a pipe.'
try 0 'printf demo-seaturtle-1f0e | agentkeys set GITHUB_TOKEN --for seaturtle'
try 0 'printf demo-mechanic-9c4b | agentkeys set GITHUB_TOKEN --for mechanic'
try 0 'agentkeys list --for mechanic'

say 'Each owner has an agent, which holds its unlocked keys in memory.'
try 0 'eval "$(agentkeys agent --for mechanic)"'
try 0 'eval "$(agentkeys agent --for seaturtle)"'

say 'Nothing is unlocked yet.'
try 4 'agentkeys exec --for seaturtle --key GITHUB_TOKEN -- printenv GITHUB_TOKEN' ''

say 'Unlock, each for its own time.'
try 0 'agentkeys unlock --for seaturtle --duration 2h'
try 0 'agentkeys unlock --for mechanic --duration 10m'

say 'The same command for each owner. The value is in the command'\''s environment only.'
try 0 'agentkeys exec --for seaturtle -- printenv GITHUB_TOKEN' demo-seaturtle-1f0e
try 0 'agentkeys exec --for mechanic -- printenv GITHUB_TOKEN' demo-mechanic-9c4b
try 1 'printenv GITHUB_TOKEN' ''

say 'One key under another name, and the exit code of the command itself.'
try 0 'agentkeys exec --key GITHUB_TOKEN=GH_TOKEN -- printenv GH_TOKEN' demo-seaturtle-1f0e
try 42 'agentkeys exec -- sh -c "exit 42"'

say 'What the agent holds.'
try 0 'agentkeys status --for mechanic'

say 'An owner that is not there.'
try 2 'agentkeys exec --for mechanik -- printenv GITHUB_TOKEN' ''

say 'A key that is not there.'
try 5 'agentkeys exec --key STRIPE_KEY -- printenv STRIPE_KEY' ''

say 'A key that is locked. The other owner'\''s stays as it is.'
try 0 'agentkeys relock --for mechanic'
try 4 'agentkeys exec --for mechanic --key GITHUB_TOKEN -- printenv GITHUB_TOKEN' ''
try 0 'agentkeys exec --for seaturtle -- printenv GITHUB_TOKEN' demo-seaturtle-1f0e

say 'An agent that does not run.'
try 0 'agentkeys agent -k --for mechanic'
try 3 'agentkeys exec --for mechanic -- printenv GITHUB_TOKEN' ''
try 0 'agentkeys status --for mechanic' 'no agent for mechanic'

if [ "$failures" -ne 0 ]; then
    printf '\ndemo: %s checks failed\n' "$failures" >&2
    exit 1
fi
say 'All exit codes were as expected. Next: README.md, docs/tutorial/two-robots-one-laptop.md'
