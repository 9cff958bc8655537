# shellcheck shell=sh
# agentkeys' hook for mksh, ksh and dash, and other shells of POSIX. In ~/.mkshrc, or the file that ENV names:
#
#     eval "$(agentkeys hook mksh)"
#
# mksh runs a function in its prompt, so there it works as in bash: put it behind the line that sets PS1. The others have
# no such place: `cd` becomes a function that asks, and what an agent does meanwhile is seen at the next `cd`, or with
# `__agentkeys_hook`. Reads PWD and AGENTKEYS_OWNER, _SOCK and _STATE. Only when another repository, owner or socket is in
# force, or an agent gave its sign, does it run `agentkeys env --hook sh` and evaluate what that prints: calls of the
# functions below, and nothing else. `__agentkeys_off` takes everything back. The variables are those of the hook for bash:
#
#     __agentkeys_at       directory, owner, socket and state at the last prompt
#     __agentkeys_repo     the nearest .agentkeys.yml there, or empty
#     __agentkeys_while    a file that stays for as long as what was told is so, or empty
#     __agentkeys_until    a file that isn't there for as long as that is so, or empty
#     __agentkeys_older    a file that is older than __agentkeys_while for as long as that is so, or empty
#     __agentkeys_was_*    what a variable held that a key replaced; __agentkeys_own_*: and it was not exported

__agentkeys_at='' __agentkeys_repo='' __agentkeys_while='' __agentkeys_until='' __agentkeys_older=''

__agentkeys_hook() {
    set -- "$?" # a variable might be exported
    case $- in
    *[aevx]*) __agentkeys_plainly __agentkeys_look ;;
    *) __agentkeys_look ;;
    esac
    # Under set -e a function that answers with the user's status would end the shell.
    case $- in *e*) ;; *) return "$1" ;; esac
}

# Run a function with the options off that would show values, export helpers or end the shell; they come back after.
__agentkeys_plainly() {
    set -- "$-" "$@"
    { set +aevx; } 2>/dev/null
    "$2"
    case $1 in *a*) set -a ;; esac
    case $1 in *e*) set -e ;; esac
    case $1 in *v*) set -v ;; esac
    case $1 in *x*) set -x ;; esac
}

__agentkeys_look() {
    if [ "$PWD|${AGENTKEYS_OWNER-}|${AGENTKEYS_SOCK-}|${AGENTKEYS_STATE-}" != "$__agentkeys_at" ] ||
        ! __agentkeys_stands; then
        __agentkeys_moved || __agentkeys_ask
    elif [ -n "$__agentkeys_older" ]; then
        __agentkeys_unchanged || __agentkeys_ask
    elif [ -n "$__agentkeys_while" ]; then
        [ -e "$__agentkeys_while" ] || __agentkeys_ask
    elif [ -n "$__agentkeys_until" ] && [ -e "$__agentkeys_until" ]; then
        __agentkeys_ask
    fi
}

# Whether the repository is the same: its manifest didn't go, and none came where there was none.
__agentkeys_stands() {
    { [ -z "$__agentkeys_repo" ] || [ -e "$__agentkeys_repo" ]; } &&
        { [ ! -e .agentkeys.yml ] || [ "$__agentkeys_repo" = "${PWD%/}/.agentkeys.yml" ]; }
}

# Whether the manifest is as it was. -ot is not of POSIX, and each of these shells has it.
__agentkeys_unchanged() {
    # shellcheck disable=SC3013
    [ -z "$__agentkeys_older" ] || [ "$__agentkeys_older" -ot "$__agentkeys_while" ]
}

# Whether another directory changes nothing: the same repository, or none, for the same owner, and no sign given.
__agentkeys_moved() {
    __agentkeys_near=$PWD
    until [ -z "$__agentkeys_near" ] || [ -e "$__agentkeys_near/.agentkeys.yml" ]; do
        __agentkeys_near=${__agentkeys_near%/*}
    done
    if [ -n "$__agentkeys_near" ] || [ -e /.agentkeys.yml ]; then
        __agentkeys_near=$__agentkeys_near/.agentkeys.yml
    fi
    if [ "$__agentkeys_near" = "$__agentkeys_repo" ] && [ -n "$__agentkeys_at" ] && [ -e "$__agentkeys_while" ] &&
        [ "${__agentkeys_at#*"|"}" = "${AGENTKEYS_OWNER-}|${AGENTKEYS_SOCK-}|${AGENTKEYS_STATE-}" ] &&
        __agentkeys_unchanged; then
        __agentkeys_at="$PWD|${AGENTKEYS_OWNER-}|${AGENTKEYS_SOCK-}|${AGENTKEYS_STATE-}"
        return 0
    fi
    __agentkeys_repo=$__agentkeys_near
    return 1
}

__agentkeys_ask() {
    __agentkeys_while='' __agentkeys_until='' __agentkeys_older=''
    __agentkeys_told=$(command agentkeys env --hook sh </dev/null) && eval "$__agentkeys_told"
    unset __agentkeys_told
    __agentkeys_at="$PWD|${AGENTKEYS_OWNER-}|${AGENTKEYS_SOCK-}|${AGENTKEYS_STATE-}"
}

__agentkeys_set() { export "$1=$2"; }
__agentkeys_unset() { unset "$1"; }
__agentkeys_watch() { __agentkeys_while=$1 __agentkeys_until=$2 __agentkeys_older=$3; }

# NAME VALUE EXPORTED: set a key, and keep what was there. EXPORTED is empty when what was there was not.
# agentkeys checks that NAME is a variable's name.
__agentkeys_take() {
    if eval "[ -z \"\${__agentkeys_was_$1+set}\" ] && [ -n \"\${$1+set}\" ]"; then
        eval "__agentkeys_was_$1=\$$1"
        [ -n "$3" ] || eval "__agentkeys_own_$1=set"
    fi
    export "$1=$2"
}

# NAME: back to what was there.
__agentkeys_drop() {
    if eval "[ -z \"\${__agentkeys_was_$1+set}\" ]"; then
        unset "$1"
    elif eval "[ -n \"\${__agentkeys_own_$1-}\" ]"; then
        unset "$1"
        eval "$1=\$__agentkeys_was_$1"
    else
        eval "export $1=\"\$__agentkeys_was_$1\""
    fi
    __agentkeys_forget "$1"
}

# NAME: it is the user's again, who changed it.
__agentkeys_forget() { unset "__agentkeys_was_$1" "__agentkeys_own_$1"; }

__agentkeys_off() {
    eval "$(command agentkeys env --hook sh --off </dev/null)"
    # shellcheck disable=SC2016 # the text itself
    case ${KSH_VERSION-} in
    *MIRBSD* | *LEGACY*) PS1=${PS1#'${|__agentkeys_hook;}'} ;;
    *) unset -f cd ;;
    esac
    unset __agentkeys_at __agentkeys_repo __agentkeys_while __agentkeys_until __agentkeys_older __agentkeys_near
    unset -f __agentkeys_hook __agentkeys_plainly __agentkeys_look __agentkeys_stands __agentkeys_unchanged \
        __agentkeys_moved __agentkeys_ask __agentkeys_set __agentkeys_unset __agentkeys_watch __agentkeys_take \
        __agentkeys_drop __agentkeys_forget __agentkeys_off
}

case ${KSH_VERSION-} in
*MIRBSD* | *LEGACY*)
    # ${|…} runs in this shell and puts the empty REPLY into the prompt; $? is still the user's afterwards.
    case ${PS1-} in *__agentkeys_hook*) ;; *) PS1='${|__agentkeys_hook;}'"${PS1-}" ;; esac
    ;;
*)
    cd() {
        command cd "$@" || return
        __agentkeys_hook
    }
    __agentkeys_hook
    ;;
esac
