# agentkeys' hook for fish. At the end of ~/.config/fish/config.fish:
#
#     agentkeys hook fish | source
#
# Reads PWD and AGENTKEYS_OWNER, _SOCK and _STATE, and answers to fish_prompt and to changes of PWD; only where fish is
# interactive. At a prompt it compares and starts nothing. Only when another repository, owner or socket is in force, or
# an agent gave its sign, does it run `agentkeys env --hook fish` and source what that prints: calls of the functions
# below, and nothing else. `__agentkeys_off` takes everything back. The variables are those of the hook for bash:
#
#     __agentkeys_at       directory, owner, socket and state at the last prompt
#     __agentkeys_repo     the nearest .agentkeys.yml there, or empty
#     __agentkeys_while    a file that stays for as long as what was told is so, or empty
#     __agentkeys_until    a file that isn't there for as long as that is so, or empty
#     __agentkeys_older    a file that is older than __agentkeys_while for as long as that is so, or empty
#     __agentkeys_was_*    what a global variable held that a key replaced; __agentkeys_own_*: and it was not exported

if status is-interactive
    set -g __agentkeys_at
    set -g __agentkeys_repo
    set -g __agentkeys_while
    set -g __agentkeys_until
    set -g __agentkeys_older

    function __agentkeys_hook --on-event fish_prompt --on-variable PWD
        if test "$PWD|$AGENTKEYS_OWNER|$AGENTKEYS_SOCK|$AGENTKEYS_STATE" != "$__agentkeys_at"; or not __agentkeys_stands
            __agentkeys_moved
            or __agentkeys_ask
        else if test -n "$__agentkeys_older"
            test "$__agentkeys_older" -ot "$__agentkeys_while"
            or __agentkeys_ask
        else if test -n "$__agentkeys_while"
            test -e "$__agentkeys_while"
            or __agentkeys_ask
        else if test -n "$__agentkeys_until" -a -e "$__agentkeys_until"
            __agentkeys_ask
        end
    end

    # Whether the repository is the same: its manifest didn't go, and none came where there was none.
    function __agentkeys_stands
        test -z "$__agentkeys_repo" -o -e "$__agentkeys_repo"
        and test ! -e .agentkeys.yml -o "$__agentkeys_repo" = (string trim -r -c / -- $PWD)/.agentkeys.yml
    end

    # Whether another directory changes nothing: the same repository, or none, for the same owner, and no sign given.
    function __agentkeys_moved
        set -l near $PWD
        while test -n "$near" -a ! -e "$near/.agentkeys.yml"
            set near (string replace -r '/[^/]*$' '' -- $near)
        end
        if test -n "$near" -o -e /.agentkeys.yml
            set near $near/.agentkeys.yml
        end
        if test "$near" = "$__agentkeys_repo" -a -n "$__agentkeys_at" -a -e "$__agentkeys_while"
            if string match -q -- "*|$AGENTKEYS_OWNER|$AGENTKEYS_SOCK|$AGENTKEYS_STATE" "$__agentkeys_at"
                if test -z "$__agentkeys_older" -o "$__agentkeys_older" -ot "$__agentkeys_while"
                    set -g __agentkeys_at "$PWD|$AGENTKEYS_OWNER|$AGENTKEYS_SOCK|$AGENTKEYS_STATE"
                    return 0
                end
            end
        end
        set -g __agentkeys_repo $near
        return 1
    end

    function __agentkeys_ask
        set -l fish_trace # it would show values
        set -g __agentkeys_while
        set -g __agentkeys_until
        set -g __agentkeys_older
        command agentkeys env --hook fish $argv </dev/null | source
        set -g __agentkeys_at "$PWD|$AGENTKEYS_OWNER|$AGENTKEYS_SOCK|$AGENTKEYS_STATE"
    end

    function __agentkeys_set
        set -gx $argv[1] $argv[2]
    end

    function __agentkeys_unset
        set -eg $argv[1]
    end

    function __agentkeys_watch
        set -g __agentkeys_while $argv[1]
        set -g __agentkeys_until $argv[2]
        set -g __agentkeys_older $argv[3]
    end

    # NAME VALUE: set a key, and keep what was there. A universal variable is only hidden by it, and needs no keeping.
    function __agentkeys_take
        if not set -qg __agentkeys_was_$argv[1]; and set -qg $argv[1]
            set -g __agentkeys_was_$argv[1] $$argv[1]
            set -qgx $argv[1]
            or set -g __agentkeys_own_$argv[1]
        end
        set -gx $argv[1] $argv[2]
    end

    # NAME: back to what was there.
    function __agentkeys_drop
        set -l was __agentkeys_was_$argv[1]
        if not set -qg $was
            set -eg $argv[1]
        else if set -qg __agentkeys_own_$argv[1]
            set -gu $argv[1] $$was
        else
            set -gx $argv[1] $$was
        end
        __agentkeys_forget $argv[1]
    end

    # NAME: it is the user's again, who changed it.
    function __agentkeys_forget
        set -eg __agentkeys_was_$argv[1]
        set -eg __agentkeys_own_$argv[1]
    end

    function __agentkeys_off
        __agentkeys_ask --off
        set -eg __agentkeys_at __agentkeys_repo __agentkeys_while __agentkeys_until __agentkeys_older
        functions -e __agentkeys_hook __agentkeys_stands __agentkeys_moved __agentkeys_ask __agentkeys_set \
            __agentkeys_unset __agentkeys_watch __agentkeys_take __agentkeys_drop __agentkeys_forget __agentkeys_off
    end
end
