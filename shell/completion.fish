# agentkeys: completion for fish 3.0 and later.
#
#     agentkeys completion fish | source                     in ~/.config/fish/config.fish, or once and for all:
#     agentkeys completion fish > ~/.config/fish/completions/agentkeys.fish
#
# Reads the command line. Which words there are says `agentkeys completion words`, which asks the agent and nobody else:
# it never unlocks, prompts or waits.

function __agentkeys_complete
    set -l before (commandline -opc)[2..-1]
    set -l lines (command agentkeys completion words -- $before (commandline -ct) 2>/dev/null)
    switch "$lines[1]"
        case \tfiles
            __fish_complete_path (commandline -ct)
        case \tcommand\*
            set -l own (string split \t -- $lines[1])[3]
            set -l rest $before[(math $own + 1)..-1]
            complete -C (string join ' ' -- (string escape -- $rest) (commandline -ct))
        case '*'
            string join \n -- $lines
    end
end

complete -c agentkeys -f -a '(__agentkeys_complete)'
