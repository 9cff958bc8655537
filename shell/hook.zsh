# agentkeys' hook for zsh. At the end of ~/.zshrc:
#
#     eval "$(agentkeys hook zsh)"
#
# Reads PWD, AGENTKEYS_OWNER, AGENTKEYS_SOCK and AGENTKEYS_STATE, and puts itself in front of precmd_functions and
# chpwd_functions, once. At a prompt it compares and starts nothing. Only when another repository, owner or socket is in
# force, or an agent gave its sign, does it run `agentkeys env --hook zsh` and evaluate what that prints: calls of the
# functions below, and nothing else. `__agentkeys_off` takes everything back. The variables are those of the hook for bash:
#
#     __agentkeys_at       directory, owner, socket and state at the last prompt
#     __agentkeys_repo     the nearest .agentkeys.yml there, or empty
#     __agentkeys_while    a file that stays for as long as what was told is so, or empty
#     __agentkeys_until    a file that isn't there for as long as that is so, or empty
#     __agentkeys_older    a file that is older than __agentkeys_while for as long as that is so, or empty
#     __agentkeys_was_*    what a variable held that a key replaced; __agentkeys_own_*: and it was not exported

\builtin typeset -g __agentkeys_at= __agentkeys_repo= __agentkeys_while= __agentkeys_until= __agentkeys_older=

__agentkeys_hook() {
    # Nearly every prompt ends here, in words that no option changes.
    [[ "$PWD|${AGENTKEYS_OWNER-}|${AGENTKEYS_SOCK-}|${AGENTKEYS_STATE-}" == "$__agentkeys_at" &&
        -z "$__agentkeys_repo" && -e "$__agentkeys_while" && ! -e .agentkeys.yml ]] && \builtin return 0
    \builtin emulate -L zsh -o no_xtrace -o no_verbose
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
    \builtin return 0
}

# Whether the repository is the same: its manifest didn't go, and none came where there was none.
__agentkeys_stands() {
    [[ ( -z $__agentkeys_repo || -e $__agentkeys_repo ) &&
        ( ! -e .agentkeys.yml || $__agentkeys_repo == "${PWD%/}/.agentkeys.yml" ) ]]
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
    if [[ $__agentkeys_near == "$__agentkeys_repo" && -n $__agentkeys_at && -e $__agentkeys_while &&
        "${__agentkeys_at#*|}" == "${AGENTKEYS_OWNER-}|${AGENTKEYS_SOCK-}|${AGENTKEYS_STATE-}" ]] &&
        [[ -z $__agentkeys_older || $__agentkeys_older -ot $__agentkeys_while ]]; then
        __agentkeys_at="$PWD|${AGENTKEYS_OWNER-}|${AGENTKEYS_SOCK-}|${AGENTKEYS_STATE-}"
        \builtin return 0
    fi
    __agentkeys_repo=$__agentkeys_near
    \builtin return 1
}

__agentkeys_ask() {
    \builtin emulate -L zsh -o no_xtrace -o no_verbose
    \builtin local __agentkeys_told
    __agentkeys_while= __agentkeys_until= __agentkeys_older=
    __agentkeys_told="$(\command agentkeys env --hook zsh "$@" </dev/null)" && \builtin eval "$__agentkeys_told"
    __agentkeys_at="$PWD|${AGENTKEYS_OWNER-}|${AGENTKEYS_SOCK-}|${AGENTKEYS_STATE-}"
}

__agentkeys_set() { \builtin export "$1=$2" }
__agentkeys_unset() { \builtin unset -v "$1" }
__agentkeys_watch() { __agentkeys_while=$1 __agentkeys_until=$2 __agentkeys_older=$3 }

# NAME VALUE EXPORTED: set a key, and keep what was there. EXPORTED is empty when what was there was not.
__agentkeys_take() {
    if (( ! ${(P)+${:-__agentkeys_was_$1}} && ${(P)+1} )); then
        \builtin typeset -g "__agentkeys_was_$1=${(P)1}"
        [[ -n $3 ]] || \builtin typeset -g "__agentkeys_own_$1=set"
    fi
    \builtin export "$1=$2"
}

# NAME: back to what was there.
__agentkeys_drop() {
    if (( ! ${(P)+${:-__agentkeys_was_$1}} )); then
        \builtin unset -v "$1"
    elif (( ${(P)+${:-__agentkeys_own_$1}} )); then
        \builtin typeset -g +x "$1=${(P)${:-__agentkeys_was_$1}}"
    else
        \builtin export "$1=${(P)${:-__agentkeys_was_$1}}"
    fi
    __agentkeys_forget "$1"
}

# NAME: it is the user's again, who changed it.
__agentkeys_forget() { \builtin unset -v "__agentkeys_was_$1" "__agentkeys_own_$1" }

__agentkeys_on() {
    \builtin emulate -L zsh -o no_xtrace -o no_verbose
    \builtin typeset -ga precmd_functions chpwd_functions
    precmd_functions=(__agentkeys_hook "${(@)precmd_functions:#__agentkeys_hook}")
    chpwd_functions=(__agentkeys_hook "${(@)chpwd_functions:#__agentkeys_hook}")
}

__agentkeys_off() {
    \builtin emulate -L zsh -o no_xtrace -o no_verbose
    __agentkeys_ask --off
    precmd_functions=("${(@)precmd_functions:#__agentkeys_hook}")
    chpwd_functions=("${(@)chpwd_functions:#__agentkeys_hook}")
    \builtin unset -v __agentkeys_at __agentkeys_repo __agentkeys_while __agentkeys_until __agentkeys_older
    \builtin unset -f __agentkeys_hook __agentkeys_stands __agentkeys_moved __agentkeys_ask __agentkeys_set \
        __agentkeys_unset __agentkeys_watch __agentkeys_take __agentkeys_drop __agentkeys_forget __agentkeys_on \
        __agentkeys_off
}

__agentkeys_on
