# agentkeys: completion for bash 3.2 and later.
#
#     eval "$(agentkeys completion bash)"                    in ~/.bashrc, or once and for all:
#     agentkeys completion bash > ~/.local/share/bash-completion/completions/agentkeys
#
# Reads COMP_WORDS, COMP_CWORD, COMP_LINE and COMP_POINT. Which words there are says `agentkeys completion words`, which
# asks the agent and nobody else: it never unlocks, prompts or waits.

__agentkeys_complete() {
    COMPREPLY=()
    local IFS=$' \t\n' line="${COMP_LINE:0:COMP_POINT}" cur="${COMP_WORDS[COMP_CWORD]}" word
    local -a words
    # Not COMP_WORDS: they are cut at @ and =, which key names and options have.
    read -r -a words <<<"$line"
    [[ $line == *[$' \t'] ]] && words+=("")
    local last="${words[${#words[@]} - 1]}"
    case $cur in [=:@]) cur="" ;; esac
    local cut="${last%"$cur"}"
    IFS=$'\n'
    while read -r word; do
        case $word in
        $'\tfiles')
            compopt -o filenames 2>/dev/null
            while read -r word; do COMPREPLY+=("$word"); done < <(compgen -f -- "$cur")
            return
            ;;
        $'\tcommand'*)
            __agentkeys_complete_command "${word##*$'\t'}"
            return
            ;;
        esac
        word="${word%%$'\t'*}"
        COMPREPLY+=("${word#"$cut"}")
    done < <(command agentkeys completion words -- "${words[@]:1}" 2>/dev/null)
    # What may go on (--for=) wants no space behind it.
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]]; then
        compopt -o nospace 2>/dev/null
    fi
}

# Another program's command line, of which $1 words are agentkeys' own: bash-completion's word, where it is loaded.
__agentkeys_complete_command() {
    local IFS=$' \t\n' at=0 own whole
    for own in "${words[@]:1:$1}"; do
        # A word may be several of COMP_WORDS.
        whole=""
        while [[ $whole != "$own" && $at -lt $COMP_CWORD ]]; do
            at=$((at + 1))
            whole+="${COMP_WORDS[at]}"
        done
    done
    if declare -F _command_offset >/dev/null; then
        _command_offset "$((at + 1))"
    elif [[ $COMP_CWORD -eq $((at + 1)) ]]; then
        while read -r word; do COMPREPLY+=("$word"); done < <(compgen -c -- "$cur")
    else
        compopt -o filenames 2>/dev/null
        while read -r word; do COMPREPLY+=("$word"); done < <(compgen -f -- "$cur")
    fi
}

complete -F __agentkeys_complete agentkeys
