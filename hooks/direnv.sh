# shellcheck shell=bash
# `use agentkeys` for direnv(1): references to your keys, for the directory of an .envrc.
#
#     use agentkeys [--for OWNER] [--env ENV] [--org ORG] [--shim PROGRAM,…]
#
# Called by direnv, which sources this file from $XDG_CONFIG_HOME/direnv/lib/ (`agentkeys direnv install` puts it there)
# with bash, no usable stdin, and maybe `set -euo pipefail`. What `agentkeys direnv export` prints is bash: it exports
# AGENTKEYS_ variables without any value of a key, watches what would change them, and puts a directory of shims first in
# PATH. It asks nobody anything and starts no agent; locked is a state, not a failure. Descriptors from 3 up are direnv's
# own, and aren't passed on. The exit code is that of `agentkeys`: 0, or 2 for arguments that can't be.
use_agentkeys() {
    local script
    script=$(agentkeys direnv export "$@" 3>&- </dev/null) || return
    eval "$script"
}
