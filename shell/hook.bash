# shellcheck shell=bash disable=SC2119,SC2120 # __agentkeys_plainly passes --off to __agentkeys_ask
# agentkeys' hook for bash, from 3.2 on. At the end of ~/.bashrc:
#
#     eval "$(agentkeys hook bash)"
#
# Reads PWD and AGENTKEYS_OWNER, _SOCK and _STATE, and puts itself in front of PROMPT_COMMAND, once. At a prompt it compares
# and starts nothing. Only when another repository, owner or socket is in force, or an agent gave its sign, does it run
# `agentkeys env --hook bash` and evaluate what that prints: calls of the functions below, and nothing else.
# `__agentkeys_off` takes everything back.
#
#     __agentkeys_at       directory, owner, socket and state at the last prompt
#     __agentkeys_repo     the nearest .agentkeys.yml there, or empty
#     __agentkeys_while    a file that stays for as long as what was told is so, or empty
#     __agentkeys_until    a file that isn't there for as long as that is so, or empty
#     __agentkeys_older    a file that is older than __agentkeys_while for as long as that is so, or empty
#     __agentkeys_was_*    what a variable held that a key replaced; __agentkeys_own_*: and it was not exported

__agentkeys_at='' __agentkeys_repo='' __agentkeys_while='' __agentkeys_until='' __agentkeys_older=''

__agentkeys_hook() {
    \builtin local __agentkeys_status=$?
    # Nearly every prompt ends here.
    if [[ "$PWD|${AGENTKEYS_OWNER-}|${AGENTKEYS_SOCK-}|${AGENTKEYS_STATE-}" == "$__agentkeys_at" ]] &&
        [[ $- != *[aeTvx]* && -z $__agentkeys_repo && -e $__agentkeys_while && ! -e .agentkeys.yml ]]; then
        \builtin return "$__agentkeys_status"
    fi
    case $- in
    *[aeTvx]*) __agentkeys_plainly __agentkeys_look ;;
    *) __agentkeys_look ;;
    esac
    # Under set -e a function that answers with the user's status would end the shell.
    [[ $- == *e* ]] || \builtin return "$__agentkeys_status"
}

# Run a function with the options off that would show values, export helpers or end the shell; they come back after.
__agentkeys_plainly() {
    \builtin local __agentkeys_flags=$-
    { \builtin set +aeTvx; } 2>/dev/null
    "$@"
    case $__agentkeys_flags in *a*) \builtin set -a ;; esac
    case $__agentkeys_flags in *T*) \builtin set -T ;; esac
    case $__agentkeys_flags in *e*) \builtin set -e ;; esac
    case $__agentkeys_flags in *v*) \builtin set -v ;; esac
    case $__agentkeys_flags in *x*) \builtin set -x ;; esac
}

__agentkeys_look() {
    if [[ "$PWD|${AGENTKEYS_OWNER-}|${AGENTKEYS_SOCK-}|${AGENTKEYS_STATE-}" != "$__agentkeys_at" ]] ||
        ! __agentkeys_stands; then
        __agentkeys_moved || __agentkeys_ask
    elif [[ -n $__agentkeys_older ]]; then
        [[ $__agentkeys_older -ot $__agentkeys_while ]] || __agentkeys_ask
    elif [[ -n $__agentkeys_while ]]; then
        [[ -e $__agentkeys_while ]] || __agentkeys_ask
    elif [[ -n $__agentkeys_until && -e $__agentkeys_until ]]; then
        __agentkeys_ask
    fi
}

# Whether the repository is the same: its manifest didn't go, and none came where there was none.
__agentkeys_stands() {
    [[ (-z $__agentkeys_repo || -e $__agentkeys_repo) &&
        (! -e .agentkeys.yml || $__agentkeys_repo == "${PWD%/}/.agentkeys.yml") ]]
}

# Whether another directory changes nothing: the same repository, or none, for the same owner, and no sign given.
__agentkeys_moved() {
    \builtin local __agentkeys_near=$PWD
    until [[ -z $__agentkeys_near || -e $__agentkeys_near/.agentkeys.yml ]]; do
        __agentkeys_near=${__agentkeys_near%/*}
    done
    if [[ -n $__agentkeys_near || -e /.agentkeys.yml ]]; then
        __agentkeys_near=$__agentkeys_near/.agentkeys.yml
    fi
    [[ $__agentkeys_near == "$__agentkeys_repo" && -n $__agentkeys_at && -e $__agentkeys_while ]] &&
        [[ ${__agentkeys_at#*|} == "${AGENTKEYS_OWNER-}|${AGENTKEYS_SOCK-}|${AGENTKEYS_STATE-}" ]] &&
        [[ -z $__agentkeys_older || $__agentkeys_older -ot $__agentkeys_while ]] &&
        __agentkeys_at="$PWD|${AGENTKEYS_OWNER-}|${AGENTKEYS_SOCK-}|${AGENTKEYS_STATE-}" && \builtin return 0
    __agentkeys_repo=$__agentkeys_near
    \builtin return 1
}

__agentkeys_ask() {
    __agentkeys_while='' __agentkeys_until='' __agentkeys_older=''
    \builtin local __agentkeys_told
    __agentkeys_told=$(\command agentkeys env --hook bash "$@" </dev/null) && \builtin eval "$__agentkeys_told"
    __agentkeys_at="$PWD|${AGENTKEYS_OWNER-}|${AGENTKEYS_SOCK-}|${AGENTKEYS_STATE-}"
}

__agentkeys_set() { \builtin export "$1=$2"; }
__agentkeys_unset() { \builtin unset -v "$1"; }
__agentkeys_watch() { __agentkeys_while=$1 __agentkeys_until=$2 __agentkeys_older=$3; }

# NAME VALUE EXPORTED: set a key, and keep what was there. EXPORTED is empty when what was there was not.
__agentkeys_take() {
    \builtin local __agentkeys_was=__agentkeys_was_$1
    if [[ -z ${!__agentkeys_was+set} && -n ${!1+set} ]]; then
        \builtin printf -v "$__agentkeys_was" %s "${!1}"
        [[ -n $3 ]] || \builtin printf -v "__agentkeys_own_$1" set
    fi
    \builtin export "$1=$2"
}

# NAME: back to what was there.
__agentkeys_drop() {
    \builtin local __agentkeys_was=__agentkeys_was_$1 __agentkeys_own=__agentkeys_own_$1
    if [[ -z ${!__agentkeys_was+set} ]]; then
        \builtin unset -v "$1"
    elif [[ -n ${!__agentkeys_own-} ]]; then
        \builtin export -n "$1=${!__agentkeys_was}"
    else
        \builtin export "$1=${!__agentkeys_was}"
    fi
    __agentkeys_forget "$1"
}

# NAME: it is the user's again, who changed it.
__agentkeys_forget() { \builtin unset -v "__agentkeys_was_$1" "__agentkeys_own_$1"; }

__agentkeys_on() {
    \builtin local __agentkeys_found __agentkeys_how __agentkeys_entry=__agentkeys_hook
    __agentkeys_found=$(\builtin declare -p PROMPT_COMMAND 2>/dev/null) || :
    case $__agentkeys_found in *__agentkeys_hook*) \builtin return 0 ;; esac
    __agentkeys_how=${__agentkeys_found#declare -} __agentkeys_how=${__agentkeys_how%% *}
    # shellcheck disable=SC2016 # the entry is expanded at each prompt
    case $__agentkeys_how in
    *r*)
        \builtin printf '%s\n' 'agentkeys: error: PROMPT_COMMAND is readonly, so the hook is not called' \
            'agentkeys: hint: __agentkeys_hook' >&2
        \builtin return 0
        ;;
    # A child that inherits it has no such function: there it has to vanish.
    *x*) __agentkeys_entry='${__agentkeys_here:+__agentkeys_hook}' __agentkeys_here=1 ;;
    esac
    if [[ $__agentkeys_how == *a* ]] && ((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] >= 501)); then
        PROMPT_COMMAND=("$__agentkeys_entry" "${PROMPT_COMMAND[@]}")
    else
        # shellcheck disable=SC2128,SC2178 # an older bash runs the first element alone
        PROMPT_COMMAND="$__agentkeys_entry${PROMPT_COMMAND:+;$PROMPT_COMMAND}"
    fi
}

__agentkeys_off() {
    \builtin local __agentkeys_entry __agentkeys_kept
    __agentkeys_plainly __agentkeys_ask --off
    __agentkeys_kept=()
    for __agentkeys_entry in "${PROMPT_COMMAND[@]}"; do
        # shellcheck disable=SC2016 # the text itself
        __agentkeys_entry=${__agentkeys_entry/#'${__agentkeys_here:+__agentkeys_hook}'/__agentkeys_hook}
        __agentkeys_entry=${__agentkeys_entry/#__agentkeys_hook;/}
        [[ $__agentkeys_entry == __agentkeys_hook ]] || __agentkeys_kept+=("$__agentkeys_entry")
    done
    if ((${#PROMPT_COMMAND[@]} > 1)); then
        PROMPT_COMMAND=("${__agentkeys_kept[@]}")
    elif [[ -n ${__agentkeys_kept[0]-} ]]; then
        # shellcheck disable=SC2178 # it was one text before, too
        PROMPT_COMMAND=${__agentkeys_kept[0]}
    else
        \builtin unset -v PROMPT_COMMAND
    fi
    \builtin unset -v __agentkeys_at __agentkeys_repo __agentkeys_while __agentkeys_until __agentkeys_older
    \builtin unset -v __agentkeys_here
    \builtin unset -f __agentkeys_hook __agentkeys_plainly __agentkeys_look __agentkeys_stands __agentkeys_moved \
        __agentkeys_ask __agentkeys_set __agentkeys_unset __agentkeys_watch __agentkeys_take __agentkeys_drop \
        __agentkeys_forget __agentkeys_on __agentkeys_off
}

__agentkeys_on
