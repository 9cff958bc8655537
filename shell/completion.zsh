#compdef agentkeys
# agentkeys: completion for zsh.
#
#     eval "$(agentkeys completion zsh)"                     in ~/.zshrc behind compinit, or once and for all
#     agentkeys completion zsh > DIRECTORY/_agentkeys        with a DIRECTORY of $fpath
#
# Reads words, CURRENT and PREFIX. Which words there are says `agentkeys completion words`, which asks the agent and
# nobody else: it never unlocks, prompts or waits.

_agentkeys() {
    local -a lines words_before plain shown
    local line
    words_before=("${(@Q)words[2,CURRENT-1]}")
    lines=("${(@f)$(command agentkeys completion words -- "${words_before[@]}" "$PREFIX" 2>/dev/null)}")
    case $lines[1] in
        ($'\tfiles') _files; return ;;
        ($'\tcommand'*)
            shift ${lines[1]##*$'\t'} words
            shift words
            (( CURRENT -= ${lines[1]##*$'\t'} + 1 ))
            _normal
            return ;;
    esac
    for line in "${lines[@]}"; do
        [[ -n $line ]] || continue
        plain+=("${line%%$'\t'*}")
        shown+=("${line/$'\t'/  -- }")
    done
    (( $#plain )) && compadd -l -d shown -- "${plain[@]}"
}

# As a file of $fpath this is the function's body, called for the first completion; by eval it is to be made known.
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _agentkeys "$@"
else
    (( $+functions[compdef] )) && compdef _agentkeys agentkeys
fi
