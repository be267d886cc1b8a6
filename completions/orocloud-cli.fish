# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_orocloud_cli_global_optspecs
    string join \n E/env= q/quiet v/verbose n/no-interaction ansi no-ansi log= V/version h/help
end

function __fish_orocloud_cli_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_orocloud_cli_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_orocloud_cli_using_subcommand
    set -l cmd (__fish_orocloud_cli_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c orocloud-cli -n "__fish_orocloud_cli_needs_command" -s E -l env -d 'Environment to talk to; default: OROCLOUD_ENV, then `default` of the configuration' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_needs_command" -l log -d 'Append a copy of what is printed to FILE, with times and without colours' -r -F
complete -c orocloud-cli -n "__fish_orocloud_cli_needs_command" -s q -l quiet -d 'Print errors only'
complete -c orocloud-cli -n "__fish_orocloud_cli_needs_command" -s v -l verbose -d 'Print more: -v output of programs, -vv and -vvv more detail'
complete -c orocloud-cli -n "__fish_orocloud_cli_needs_command" -s n -l no-interaction -d 'Never ask; what destroys something then needs --force'
complete -c orocloud-cli -n "__fish_orocloud_cli_needs_command" -l ansi -d 'Use colours even without a terminal'
complete -c orocloud-cli -n "__fish_orocloud_cli_needs_command" -l no-ansi -d 'Use no colours; so does the variable NO_COLOR'
complete -c orocloud-cli -n "__fish_orocloud_cli_needs_command" -s V -l version -d 'Print the version, and the agents\' versions as of the last calls; never connects'
complete -c orocloud-cli -n "__fish_orocloud_cli_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c orocloud-cli -n "__fish_orocloud_cli_needs_command" -f -a "app:package:build" -d 'Build the application as a package that any environment of the project can deploy'
complete -c orocloud-cli -n "__fish_orocloud_cli_needs_command" -f -a "app:package:deploy" -d 'Deploy a package that was built before, here or in another environment of the project'
complete -c orocloud-cli -n "__fish_orocloud_cli_needs_command" -f -a "app:package:list" -d 'List the packages of the project, newest first'
complete -c orocloud-cli -n "__fish_orocloud_cli_needs_command" -f -a "app:package:upgrade" -d 'Build a package and deploy it'
complete -c orocloud-cli -n "__fish_orocloud_cli_needs_command" -f -a "backup:create" -d 'Take a recovery point now'
complete -c orocloud-cli -n "__fish_orocloud_cli_needs_command" -f -a "backup:list" -d 'List the recovery points, newest first'
complete -c orocloud-cli -n "__fish_orocloud_cli_needs_command" -f -a "backup:restore" -d 'Bring the environment back to a recovery point or to any second'
complete -c orocloud-cli -n "__fish_orocloud_cli_needs_command" -f -a "backup:window" -d 'Show which moments can be restored to'
complete -c orocloud-cli -n "__fish_orocloud_cli_needs_command" -f -a "completion" -d 'Print a completion script'
complete -c orocloud-cli -n "__fish_orocloud_cli_needs_command" -f -a "deploy" -d 'Install the application where none is yet'
complete -c orocloud-cli -n "__fish_orocloud_cli_needs_command" -f -a "emergency:off" -d 'Take down the maintenance page, and touch nothing else'
complete -c orocloud-cli -n "__fish_orocloud_cli_needs_command" -f -a "emergency:on" -d 'Put up the maintenance page at once, and touch nothing else'
complete -c orocloud-cli -n "__fish_orocloud_cli_needs_command" -f -a "env:info" -d 'Show what the environment is: nodes, zones, versions, endpoints'
complete -c orocloud-cli -n "__fish_orocloud_cli_needs_command" -f -a "env:list" -d 'List the environments that are configured'
complete -c orocloud-cli -n "__fish_orocloud_cli_needs_command" -f -a "env:use" -d 'Choose the environment that is used when none is named'
complete -c orocloud-cli -n "__fish_orocloud_cli_needs_command" -f -a "help" -d 'Show help: of a command, or `exit-codes`, `config`, `times`'
complete -c orocloud-cli -n "__fish_orocloud_cli_needs_command" -f -a "log:list" -d 'List operations: who did what, when, how it ended'
complete -c orocloud-cli -n "__fish_orocloud_cli_needs_command" -f -a "log:sources" -d 'List the logs there are, on which nodes, how large'
complete -c orocloud-cli -n "__fish_orocloud_cli_needs_command" -f -a "log:tail" -d 'Follow logs of all nodes, merged by time'
complete -c orocloud-cli -n "__fish_orocloud_cli_needs_command" -f -a "log:view" -d 'Show the log of one operation'
complete -c orocloud-cli -n "__fish_orocloud_cli_needs_command" -f -a "maintenance:off" -d 'Take down the maintenance page and start the services that ran before'
complete -c orocloud-cli -n "__fish_orocloud_cli_needs_command" -f -a "maintenance:on" -d 'Put up the maintenance page and stop the services'
complete -c orocloud-cli -n "__fish_orocloud_cli_needs_command" -f -a "maintenance:status" -d 'Tell whether the maintenance page is up, who wants it, why, and until when'
complete -c orocloud-cli -n "__fish_orocloud_cli_needs_command" -f -a "maintenance:windows" -d 'Show when the infrastructure is updated: planned and unplanned maintenance windows'
complete -c orocloud-cli -n "__fish_orocloud_cli_needs_command" -f -a "operation:cancel" -d 'Cancel an operation'
complete -c orocloud-cli -n "__fish_orocloud_cli_needs_command" -f -a "operation:list" -d 'List the operations that run'
complete -c orocloud-cli -n "__fish_orocloud_cli_needs_command" -f -a "operation:wait" -d 'Wait for the end of an operation and give its exit code'
complete -c orocloud-cli -n "__fish_orocloud_cli_needs_command" -f -a "queue:list" -d 'List the queues of messages: how much is in each, and who takes from it'
complete -c orocloud-cli -n "__fish_orocloud_cli_needs_command" -f -a "release:list" -d 'List releases: the current one, those kept, and what became of the others'
complete -c orocloud-cli -n "__fish_orocloud_cli_needs_command" -f -a "release:rollback" -d 'Serve an earlier release again'
complete -c orocloud-cli -n "__fish_orocloud_cli_needs_command" -f -a "service:restart" -d 'Restart services of the application'
complete -c orocloud-cli -n "__fish_orocloud_cli_needs_command" -f -a "service:restart:consumer" -d 'Restart consumers of messages'
complete -c orocloud-cli -n "__fish_orocloud_cli_needs_command" -f -a "service:restart:cron" -d 'Restart what runs scheduled work'
complete -c orocloud-cli -n "__fish_orocloud_cli_needs_command" -f -a "service:restart:websocket" -d 'Restart the websocket servers'
complete -c orocloud-cli -n "__fish_orocloud_cli_needs_command" -f -a "service:start" -d 'Start services of the application'
complete -c orocloud-cli -n "__fish_orocloud_cli_needs_command" -f -a "service:start:consumer" -d 'Start consumers of messages'
complete -c orocloud-cli -n "__fish_orocloud_cli_needs_command" -f -a "service:start:cron" -d 'Start what runs scheduled work'
complete -c orocloud-cli -n "__fish_orocloud_cli_needs_command" -f -a "service:start:websocket" -d 'Start the websocket servers'
complete -c orocloud-cli -n "__fish_orocloud_cli_needs_command" -f -a "service:status" -d 'Show the services of the application, and how each is on its node'
complete -c orocloud-cli -n "__fish_orocloud_cli_needs_command" -f -a "service:status:consumer" -d 'Show the consumers of messages, and how each is on its node'
complete -c orocloud-cli -n "__fish_orocloud_cli_needs_command" -f -a "service:status:cron" -d 'Show what runs scheduled work, and how it is'
complete -c orocloud-cli -n "__fish_orocloud_cli_needs_command" -f -a "service:status:websocket" -d 'Show the websocket servers, and how each is on its node'
complete -c orocloud-cli -n "__fish_orocloud_cli_needs_command" -f -a "service:stop" -d 'Stop services of the application'
complete -c orocloud-cli -n "__fish_orocloud_cli_needs_command" -f -a "service:stop:consumer" -d 'Stop consumers of messages'
complete -c orocloud-cli -n "__fish_orocloud_cli_needs_command" -f -a "service:stop:cron" -d 'Stop what runs scheduled work'
complete -c orocloud-cli -n "__fish_orocloud_cli_needs_command" -f -a "service:stop:websocket" -d 'Stop the websocket servers'
complete -c orocloud-cli -n "__fish_orocloud_cli_needs_command" -f -a "shell" -d 'Run commands one after another over one open connection'
complete -c orocloud-cli -n "__fish_orocloud_cli_needs_command" -f -a "smtp:dns" -d 'Show which SPF, DKIM and DMARC records the sender domains must publish'
complete -c orocloud-cli -n "__fish_orocloud_cli_needs_command" -f -a "smtp:queue" -d 'List the messages that wait to leave, and why'
complete -c orocloud-cli -n "__fish_orocloud_cli_needs_command" -f -a "smtp:relay:remove" -d 'Remove an SMTP relay'
complete -c orocloud-cli -n "__fish_orocloud_cli_needs_command" -f -a "smtp:relay:set" -d 'Add an SMTP relay that mail leaves by, or change one'
complete -c orocloud-cli -n "__fish_orocloud_cli_needs_command" -f -a "smtp:show" -d 'Show the SMTP relays that mail leaves by, and whom it reaches'
complete -c orocloud-cli -n "__fish_orocloud_cli_needs_command" -f -a "smtp:test" -d 'Send one message from each web node and follow them to the relays that take them, or try one relay'
complete -c orocloud-cli -n "__fish_orocloud_cli_needs_command" -f -a "smtp:whitelist" -d 'Say which domains are the only ones that mail may reach'
complete -c orocloud-cli -n "__fish_orocloud_cli_needs_command" -f -a "status" -d 'Show what works and what does not, worst first'
complete -c orocloud-cli -n "__fish_orocloud_cli_needs_command" -f -a "upgrade" -d 'Upgrade code and database, with maintenance mode'
complete -c orocloud-cli -n "__fish_orocloud_cli_needs_command" -f -a "upgrade:rolling" -d 'Upgrade code and database without maintenance mode, node after node'
complete -c orocloud-cli -n "__fish_orocloud_cli_needs_command" -f -a "upgrade:source" -d 'Upgrade the code alone, without maintenance mode'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:build" -l label -d 'Words to find it again by: one line of at most 200 characters' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:build" -l wait-lock -d 'Wait for a lock that another operation holds, instead of exit code 6 at once' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:build" -l timeout -d 'Stop watching after this time, with exit code 8; the operation goes on' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:build" -l operation-id -d 'Id of the operation, made by you: the same id again attaches instead of starting twice' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:build" -l format -d '`table` for people, `json` for scripts' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:build" -s E -l env -d 'Environment to talk to; default: OROCLOUD_ENV, then `default` of the configuration' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:build" -l log -d 'Append a copy of what is printed to FILE, with times and without colours' -r -F
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:build" -l skip-assets-build -d 'Tell composer\'s scripts, which build the assets, to leave that: they see OROCLOUD_SKIP_ASSETS_BUILD=1'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:build" -l detach -d 'Start it, print its id and leave; follow it with log:view --follow'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:build" -l ignore-window -d 'Start although a maintenance window is near'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:build" -l dry-run -d 'Show what it would do and change nothing'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:build" -l json -d 'The same as --format=json'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:build" -s q -l quiet -d 'Print errors only'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:build" -s v -l verbose -d 'Print more: -v output of programs, -vv and -vvv more detail'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:build" -s n -l no-interaction -d 'Never ask; what destroys something then needs --force'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:build" -l ansi -d 'Use colours even without a terminal'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:build" -l no-ansi -d 'Use no colours; so does the variable NO_COLOR'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:build" -s V -l version -d 'Print the version, and the agents\' versions as of the last calls; never connects'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:build" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:deploy" -l wait-lock -d 'Wait for a lock that another operation holds, instead of exit code 6 at once' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:deploy" -l timeout -d 'Stop watching after this time, with exit code 8; the operation goes on' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:deploy" -l operation-id -d 'Id of the operation, made by you: the same id again attaches instead of starting twice' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:deploy" -l format -d '`table` for people, `json` for scripts' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:deploy" -s E -l env -d 'Environment to talk to; default: OROCLOUD_ENV, then `default` of the configuration' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:deploy" -l log -d 'Append a copy of what is printed to FILE, with times and without colours' -r -F
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:deploy" -l rolling -d 'Node after node, without maintenance mode; the database is updated while the old release is served'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:deploy" -l source -d 'The code alone, without maintenance mode; the database is not touched'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:deploy" -l skip-check-patches -d 'Do not check patches; none are kept so far, so there is nothing to check either way'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:deploy" -l detach -d 'Start it, print its id and leave; follow it with log:view --follow'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:deploy" -l ignore-window -d 'Start although a maintenance window is near'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:deploy" -l dry-run -d 'Show what it would do and change nothing'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:deploy" -l json -d 'The same as --format=json'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:deploy" -s q -l quiet -d 'Print errors only'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:deploy" -s v -l verbose -d 'Print more: -v output of programs, -vv and -vvv more detail'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:deploy" -s n -l no-interaction -d 'Never ask; what destroys something then needs --force'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:deploy" -l ansi -d 'Use colours even without a terminal'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:deploy" -l no-ansi -d 'Use no colours; so does the variable NO_COLOR'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:deploy" -s V -l version -d 'Print the version, and the agents\' versions as of the last calls; never connects'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:deploy" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:list" -l page -d 'Page to show, from 1' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:list" -l per-page -d 'Rows a page' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:list" -l format -d '`table` for people, `json` for scripts, `csv` for spreadsheets' -r -f -a "table\t'For people'
json\t'The call\'s own answer as JSON; messages and errors are JSON lines on stderr'
csv\t'Comma-separated values with a header, for lists'"
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:list" -s E -l env -d 'Environment to talk to; default: OROCLOUD_ENV, then `default` of the configuration' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:list" -l log -d 'Append a copy of what is printed to FILE, with times and without colours' -r -F
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:list" -l json -d 'The same as --format=json'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:list" -s q -l quiet -d 'Print errors only'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:list" -s v -l verbose -d 'Print more: -v output of programs, -vv and -vvv more detail'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:list" -s n -l no-interaction -d 'Never ask; what destroys something then needs --force'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:list" -l ansi -d 'Use colours even without a terminal'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:list" -l no-ansi -d 'Use no colours; so does the variable NO_COLOR'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:list" -s V -l version -d 'Print the version, and the agents\' versions as of the last calls; never connects'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:list" -s h -l help -d 'Print help'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:upgrade" -l label -d 'Words to find it again by: one line of at most 200 characters' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:upgrade" -l wait-lock -d 'Wait for a lock that another operation holds, instead of exit code 6 at once' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:upgrade" -l timeout -d 'Stop watching after this time, with exit code 8; the operation goes on' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:upgrade" -l operation-id -d 'Id of the operation, made by you: the same id again attaches instead of starting twice' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:upgrade" -l format -d '`table` for people, `json` for scripts' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:upgrade" -s E -l env -d 'Environment to talk to; default: OROCLOUD_ENV, then `default` of the configuration' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:upgrade" -l log -d 'Append a copy of what is printed to FILE, with times and without colours' -r -F
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:upgrade" -l rolling -d 'Node after node, without maintenance mode; the database is updated while the old release is served'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:upgrade" -l source -d 'The code alone, without maintenance mode; the database is not touched'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:upgrade" -l detach -d 'Start it, print its id and leave; follow it with log:view --follow'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:upgrade" -l ignore-window -d 'Start although a maintenance window is near'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:upgrade" -l dry-run -d 'Show what it would do and change nothing'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:upgrade" -l json -d 'The same as --format=json'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:upgrade" -s q -l quiet -d 'Print errors only'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:upgrade" -s v -l verbose -d 'Print more: -v output of programs, -vv and -vvv more detail'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:upgrade" -s n -l no-interaction -d 'Never ask; what destroys something then needs --force'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:upgrade" -l ansi -d 'Use colours even without a terminal'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:upgrade" -l no-ansi -d 'Use no colours; so does the variable NO_COLOR'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:upgrade" -s V -l version -d 'Print the version, and the agents\' versions as of the last calls; never connects'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand app:package:upgrade" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand backup:create" -l label -d 'Words to find it again by: one line of at most 200 characters' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand backup:create" -l keep-for -d 'Keep it at least so long, whatever the rule of retention says' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand backup:create" -l wait-lock -d 'Wait for a lock that another operation holds, instead of exit code 6 at once' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand backup:create" -l timeout -d 'Stop watching after this time, with exit code 8; the operation goes on' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand backup:create" -l operation-id -d 'Id of the operation, made by you: the same id again attaches instead of starting twice' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand backup:create" -l format -d '`table` for people, `json` for scripts' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand backup:create" -s E -l env -d 'Environment to talk to; default: OROCLOUD_ENV, then `default` of the configuration' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand backup:create" -l log -d 'Append a copy of what is printed to FILE, with times and without colours' -r -F
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand backup:create" -l detach -d 'Start it, print its id and leave; follow it with log:view --follow'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand backup:create" -l ignore-window -d 'Start although a maintenance window is near'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand backup:create" -l dry-run -d 'Show what it would do and change nothing'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand backup:create" -l json -d 'The same as --format=json'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand backup:create" -s q -l quiet -d 'Print errors only'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand backup:create" -s v -l verbose -d 'Print more: -v output of programs, -vv and -vvv more detail'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand backup:create" -s n -l no-interaction -d 'Never ask; what destroys something then needs --force'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand backup:create" -l ansi -d 'Use colours even without a terminal'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand backup:create" -l no-ansi -d 'Use no colours; so does the variable NO_COLOR'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand backup:create" -s V -l version -d 'Print the version, and the agents\' versions as of the last calls; never connects'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand backup:create" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand backup:list" -l page -d 'Page to show, from 1' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand backup:list" -l per-page -d 'Rows a page' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand backup:list" -l format -d '`table` for people, `json` for scripts, `csv` for spreadsheets' -r -f -a "table\t'For people'
json\t'The call\'s own answer as JSON; messages and errors are JSON lines on stderr'
csv\t'Comma-separated values with a header, for lists'"
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand backup:list" -s E -l env -d 'Environment to talk to; default: OROCLOUD_ENV, then `default` of the configuration' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand backup:list" -l log -d 'Append a copy of what is printed to FILE, with times and without colours' -r -F
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand backup:list" -l json -d 'The same as --format=json'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand backup:list" -s q -l quiet -d 'Print errors only'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand backup:list" -s v -l verbose -d 'Print more: -v output of programs, -vv and -vvv more detail'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand backup:list" -s n -l no-interaction -d 'Never ask; what destroys something then needs --force'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand backup:list" -l ansi -d 'Use colours even without a terminal'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand backup:list" -l no-ansi -d 'Use no colours; so does the variable NO_COLOR'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand backup:list" -s V -l version -d 'Print the version, and the agents\' versions as of the last calls; never connects'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand backup:list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand backup:restore" -l to -d 'Moment: what was committed at or before it is kept' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand backup:restore" -l undo -d 'Bring back what was there before this restore' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand backup:restore" -l timeline -d 'Branch of history, when the moment lies on several; the error that asks for it names them' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand backup:restore" -l keep-old -d 'Keep what is replaced for so long, for the undo; default: the environment\'s, 48h' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand backup:restore" -l confirm -d 'Name the environment, as one of type prod wants it besides --force' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand backup:restore" -l wait-lock -d 'Wait for a lock that another operation holds, instead of exit code 6 at once' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand backup:restore" -l timeout -d 'Stop watching after this time, with exit code 8; the operation goes on' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand backup:restore" -l operation-id -d 'Id of the operation, made by you: the same id again attaches instead of starting twice' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand backup:restore" -l format -d '`table` for people, `json` for scripts' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand backup:restore" -s E -l env -d 'Environment to talk to; default: OROCLOUD_ENV, then `default` of the configuration' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand backup:restore" -l log -d 'Append a copy of what is printed to FILE, with times and without colours' -r -F
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand backup:restore" -l media -d 'Media too'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand backup:restore" -l database-only -d 'The database alone, not the code'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand backup:restore" -l code-only -d 'The code alone, not the database'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand backup:restore" -l preview -d 'Restore aside, show the rows of each table then and now, and end'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand backup:restore" -l force -d 'Answer the question with yes'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand backup:restore" -l detach -d 'Start it, print its id and leave; follow it with log:view --follow'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand backup:restore" -l ignore-window -d 'Start although a maintenance window is near'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand backup:restore" -l dry-run -d 'Show what it would do and change nothing'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand backup:restore" -l json -d 'The same as --format=json'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand backup:restore" -s q -l quiet -d 'Print errors only'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand backup:restore" -s v -l verbose -d 'Print more: -v output of programs, -vv and -vvv more detail'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand backup:restore" -s n -l no-interaction -d 'Never ask; what destroys something then needs --force'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand backup:restore" -l ansi -d 'Use colours even without a terminal'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand backup:restore" -l no-ansi -d 'Use no colours; so does the variable NO_COLOR'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand backup:restore" -s V -l version -d 'Print the version, and the agents\' versions as of the last calls; never connects'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand backup:restore" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand backup:window" -l format -d '`table` for people, `json` for scripts' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand backup:window" -s E -l env -d 'Environment to talk to; default: OROCLOUD_ENV, then `default` of the configuration' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand backup:window" -l log -d 'Append a copy of what is printed to FILE, with times and without colours' -r -F
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand backup:window" -l json -d 'The same as --format=json'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand backup:window" -s q -l quiet -d 'Print errors only'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand backup:window" -s v -l verbose -d 'Print more: -v output of programs, -vv and -vvv more detail'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand backup:window" -s n -l no-interaction -d 'Never ask; what destroys something then needs --force'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand backup:window" -l ansi -d 'Use colours even without a terminal'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand backup:window" -l no-ansi -d 'Use no colours; so does the variable NO_COLOR'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand backup:window" -s V -l version -d 'Print the version, and the agents\' versions as of the last calls; never connects'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand backup:window" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand completion" -s E -l env -d 'Environment to talk to; default: OROCLOUD_ENV, then `default` of the configuration' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand completion" -l log -d 'Append a copy of what is printed to FILE, with times and without colours' -r -F
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand completion" -s q -l quiet -d 'Print errors only'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand completion" -s v -l verbose -d 'Print more: -v output of programs, -vv and -vvv more detail'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand completion" -s n -l no-interaction -d 'Never ask; what destroys something then needs --force'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand completion" -l ansi -d 'Use colours even without a terminal'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand completion" -l no-ansi -d 'Use no colours; so does the variable NO_COLOR'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand completion" -s V -l version -d 'Print the version, and the agents\' versions as of the last calls; never connects'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand completion" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand deploy" -l reference -l tag -d 'Tag, branch or commit to deploy; asked for when it is missing' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand deploy" -l application-url -d 'URL of the shop, for the install commands; default: the environment\'s' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand deploy" -l user-name -d 'First user of the back office' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand deploy" -l user-email -d 'Their address' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand deploy" -l wait-lock -d 'Wait for a lock that another operation holds, instead of exit code 6 at once' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand deploy" -l timeout -d 'Stop watching after this time, with exit code 8; the operation goes on' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand deploy" -l operation-id -d 'Id of the operation, made by you: the same id again attaches instead of starting twice' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand deploy" -l format -d '`table` for people, `json` for scripts' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand deploy" -s E -l env -d 'Environment to talk to; default: OROCLOUD_ENV, then `default` of the configuration' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand deploy" -l log -d 'Append a copy of what is printed to FILE, with times and without colours' -r -F
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand deploy" -l user-password-stdin -d 'Read their password from standard input, one line'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand deploy" -l detach -d 'Start it, print its id and leave; follow it with log:view --follow'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand deploy" -l ignore-window -d 'Start although a maintenance window is near'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand deploy" -l dry-run -d 'Show what it would do and change nothing'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand deploy" -l json -d 'The same as --format=json'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand deploy" -s q -l quiet -d 'Print errors only'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand deploy" -s v -l verbose -d 'Print more: -v output of programs, -vv and -vvv more detail'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand deploy" -s n -l no-interaction -d 'Never ask; what destroys something then needs --force'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand deploy" -l ansi -d 'Use colours even without a terminal'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand deploy" -l no-ansi -d 'Use no colours; so does the variable NO_COLOR'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand deploy" -s V -l version -d 'Print the version, and the agents\' versions as of the last calls; never connects'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand deploy" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand emergency:off" -l wait-lock -d 'Wait for a lock that another operation holds, instead of exit code 6 at once' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand emergency:off" -l timeout -d 'Stop watching after this time, with exit code 8; the operation goes on' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand emergency:off" -l operation-id -d 'Id of the operation, made by you: the same id again attaches instead of starting twice' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand emergency:off" -l format -d '`table` for people, `json` for scripts' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand emergency:off" -s E -l env -d 'Environment to talk to; default: OROCLOUD_ENV, then `default` of the configuration' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand emergency:off" -l log -d 'Append a copy of what is printed to FILE, with times and without colours' -r -F
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand emergency:off" -l force -d 'Ask nothing'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand emergency:off" -l detach -d 'Start it, print its id and leave; follow it with log:view --follow'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand emergency:off" -l ignore-window -d 'Start although a maintenance window is near'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand emergency:off" -l dry-run -d 'Show what it would do and change nothing'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand emergency:off" -l json -d 'The same as --format=json'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand emergency:off" -s q -l quiet -d 'Print errors only'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand emergency:off" -s v -l verbose -d 'Print more: -v output of programs, -vv and -vvv more detail'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand emergency:off" -s n -l no-interaction -d 'Never ask; what destroys something then needs --force'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand emergency:off" -l ansi -d 'Use colours even without a terminal'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand emergency:off" -l no-ansi -d 'Use no colours; so does the variable NO_COLOR'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand emergency:off" -s V -l version -d 'Print the version, and the agents\' versions as of the last calls; never connects'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand emergency:off" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand emergency:on" -l downtime-duration -d 'How long it is going to last, 1h without a value; the page does not go down by itself' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand emergency:on" -l downtime-comment -d 'Why: one line, shown by maintenance:status and status' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand emergency:on" -l wait-lock -d 'Wait for a lock that another operation holds, instead of exit code 6 at once' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand emergency:on" -l timeout -d 'Stop watching after this time, with exit code 8; the operation goes on' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand emergency:on" -l operation-id -d 'Id of the operation, made by you: the same id again attaches instead of starting twice' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand emergency:on" -l format -d '`table` for people, `json` for scripts' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand emergency:on" -s E -l env -d 'Environment to talk to; default: OROCLOUD_ENV, then `default` of the configuration' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand emergency:on" -l log -d 'Append a copy of what is printed to FILE, with times and without colours' -r -F
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand emergency:on" -l force -d 'Ask nothing'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand emergency:on" -l detach -d 'Start it, print its id and leave; follow it with log:view --follow'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand emergency:on" -l ignore-window -d 'Start although a maintenance window is near'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand emergency:on" -l dry-run -d 'Show what it would do and change nothing'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand emergency:on" -l json -d 'The same as --format=json'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand emergency:on" -s q -l quiet -d 'Print errors only'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand emergency:on" -s v -l verbose -d 'Print more: -v output of programs, -vv and -vvv more detail'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand emergency:on" -s n -l no-interaction -d 'Never ask; what destroys something then needs --force'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand emergency:on" -l ansi -d 'Use colours even without a terminal'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand emergency:on" -l no-ansi -d 'Use no colours; so does the variable NO_COLOR'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand emergency:on" -s V -l version -d 'Print the version, and the agents\' versions as of the last calls; never connects'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand emergency:on" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand env:info" -l format -d '`table` for people, `json` for scripts' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand env:info" -s E -l env -d 'Environment to talk to; default: OROCLOUD_ENV, then `default` of the configuration' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand env:info" -l log -d 'Append a copy of what is printed to FILE, with times and without colours' -r -F
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand env:info" -l json -d 'The same as --format=json'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand env:info" -s q -l quiet -d 'Print errors only'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand env:info" -s v -l verbose -d 'Print more: -v output of programs, -vv and -vvv more detail'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand env:info" -s n -l no-interaction -d 'Never ask; what destroys something then needs --force'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand env:info" -l ansi -d 'Use colours even without a terminal'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand env:info" -l no-ansi -d 'Use no colours; so does the variable NO_COLOR'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand env:info" -s V -l version -d 'Print the version, and the agents\' versions as of the last calls; never connects'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand env:info" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand env:list" -l page -d 'Page to show, from 1' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand env:list" -l per-page -d 'Rows a page' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand env:list" -l format -d '`table` for people, `json` for scripts, `csv` for spreadsheets' -r -f -a "table\t'For people'
json\t'The call\'s own answer as JSON; messages and errors are JSON lines on stderr'
csv\t'Comma-separated values with a header, for lists'"
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand env:list" -s E -l env -d 'Environment to talk to; default: OROCLOUD_ENV, then `default` of the configuration' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand env:list" -l log -d 'Append a copy of what is printed to FILE, with times and without colours' -r -F
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand env:list" -l json -d 'The same as --format=json'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand env:list" -s q -l quiet -d 'Print errors only'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand env:list" -s v -l verbose -d 'Print more: -v output of programs, -vv and -vvv more detail'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand env:list" -s n -l no-interaction -d 'Never ask; what destroys something then needs --force'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand env:list" -l ansi -d 'Use colours even without a terminal'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand env:list" -l no-ansi -d 'Use no colours; so does the variable NO_COLOR'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand env:list" -s V -l version -d 'Print the version, and the agents\' versions as of the last calls; never connects'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand env:list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand env:use" -s E -l env -d 'Environment to talk to; default: OROCLOUD_ENV, then `default` of the configuration' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand env:use" -l log -d 'Append a copy of what is printed to FILE, with times and without colours' -r -F
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand env:use" -s q -l quiet -d 'Print errors only'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand env:use" -s v -l verbose -d 'Print more: -v output of programs, -vv and -vvv more detail'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand env:use" -s n -l no-interaction -d 'Never ask; what destroys something then needs --force'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand env:use" -l ansi -d 'Use colours even without a terminal'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand env:use" -l no-ansi -d 'Use no colours; so does the variable NO_COLOR'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand env:use" -s V -l version -d 'Print the version, and the agents\' versions as of the last calls; never connects'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand env:use" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand help" -s E -l env -d 'Environment to talk to; default: OROCLOUD_ENV, then `default` of the configuration' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand help" -l log -d 'Append a copy of what is printed to FILE, with times and without colours' -r -F
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand help" -s q -l quiet -d 'Print errors only'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand help" -s v -l verbose -d 'Print more: -v output of programs, -vv and -vvv more detail'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand help" -s n -l no-interaction -d 'Never ask; what destroys something then needs --force'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand help" -l ansi -d 'Use colours even without a terminal'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand help" -l no-ansi -d 'Use no colours; so does the variable NO_COLOR'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand help" -s V -l version -d 'Print the version, and the agents\' versions as of the last calls; never connects'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand log:list" -l page -d 'Page to show, from 1' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand log:list" -l per-page -d 'Rows a page' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand log:list" -l format -d '`table` for people, `json` for scripts, `csv` for spreadsheets' -r -f -a "table\t'For people'
json\t'The call\'s own answer as JSON; messages and errors are JSON lines on stderr'
csv\t'Comma-separated values with a header, for lists'"
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand log:list" -s E -l env -d 'Environment to talk to; default: OROCLOUD_ENV, then `default` of the configuration' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand log:list" -l log -d 'Append a copy of what is printed to FILE, with times and without colours' -r -F
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand log:list" -l json -d 'The same as --format=json'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand log:list" -s q -l quiet -d 'Print errors only'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand log:list" -s v -l verbose -d 'Print more: -v output of programs, -vv and -vvv more detail'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand log:list" -s n -l no-interaction -d 'Never ask; what destroys something then needs --force'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand log:list" -l ansi -d 'Use colours even without a terminal'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand log:list" -l no-ansi -d 'Use no colours; so does the variable NO_COLOR'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand log:list" -s V -l version -d 'Print the version, and the agents\' versions as of the last calls; never connects'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand log:list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand log:sources" -l page -d 'Page to show, from 1' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand log:sources" -l per-page -d 'Rows a page' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand log:sources" -l format -d '`table` for people, `json` for scripts, `csv` for spreadsheets' -r -f -a "table\t'For people'
json\t'The call\'s own answer as JSON; messages and errors are JSON lines on stderr'
csv\t'Comma-separated values with a header, for lists'"
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand log:sources" -s E -l env -d 'Environment to talk to; default: OROCLOUD_ENV, then `default` of the configuration' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand log:sources" -l log -d 'Append a copy of what is printed to FILE, with times and without colours' -r -F
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand log:sources" -l json -d 'The same as --format=json'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand log:sources" -s q -l quiet -d 'Print errors only'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand log:sources" -s v -l verbose -d 'Print more: -v output of programs, -vv and -vvv more detail'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand log:sources" -s n -l no-interaction -d 'Never ask; what destroys something then needs --force'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand log:sources" -l ansi -d 'Use colours even without a terminal'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand log:sources" -l no-ansi -d 'Use no colours; so does the variable NO_COLOR'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand log:sources" -s V -l version -d 'Print the version, and the agents\' versions as of the last calls; never connects'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand log:sources" -s h -l help -d 'Print help'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand log:tail" -l lines -d 'How many of the last entries to begin with; default: 10, or all since --since' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand log:tail" -l since -d 'Only entries from this moment on; a moment, or a time ago like 15m' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand log:tail" -l until -d 'Only entries before this moment, and no following beyond it' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand log:tail" -l node -d 'Only from this node; may be given several times' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand log:tail" -l grep -d 'Only entries that match this regular expression' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand log:tail" -l level -d 'Only entries of this level or a worse one: debug, info, notice, warning, error, critical' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand log:tail" -l until-match -d 'End with exit code 0 as soon as an entry matches; exit code 1 when none did' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand log:tail" -s E -l env -d 'Environment to talk to; default: OROCLOUD_ENV, then `default` of the configuration' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand log:tail" -l log -d 'Append a copy of what is printed to FILE, with times and without colours' -r -F
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand log:tail" -l no-follow -d 'Show what there is and end'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand log:tail" -l json -d 'One line of JSON an entry'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand log:tail" -s q -l quiet -d 'Print errors only'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand log:tail" -s v -l verbose -d 'Print more: -v output of programs, -vv and -vvv more detail'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand log:tail" -s n -l no-interaction -d 'Never ask; what destroys something then needs --force'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand log:tail" -l ansi -d 'Use colours even without a terminal'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand log:tail" -l no-ansi -d 'Use no colours; so does the variable NO_COLOR'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand log:tail" -s V -l version -d 'Print the version, and the agents\' versions as of the last calls; never connects'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand log:tail" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand log:view" -l format -d '`table` for people, `json` for scripts' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand log:view" -s E -l env -d 'Environment to talk to; default: OROCLOUD_ENV, then `default` of the configuration' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand log:view" -l log -d 'Append a copy of what is printed to FILE, with times and without colours' -r -F
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand log:view" -l follow -d 'Go on until the operation ends'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand log:view" -l json -d 'The same as --format=json'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand log:view" -s q -l quiet -d 'Print errors only'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand log:view" -s v -l verbose -d 'Print more: -v output of programs, -vv and -vvv more detail'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand log:view" -s n -l no-interaction -d 'Never ask; what destroys something then needs --force'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand log:view" -l ansi -d 'Use colours even without a terminal'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand log:view" -l no-ansi -d 'Use no colours; so does the variable NO_COLOR'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand log:view" -s V -l version -d 'Print the version, and the agents\' versions as of the last calls; never connects'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand log:view" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand maintenance:off" -l wait-lock -d 'Wait for a lock that another operation holds, instead of exit code 6 at once' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand maintenance:off" -l timeout -d 'Stop watching after this time, with exit code 8; the operation goes on' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand maintenance:off" -l operation-id -d 'Id of the operation, made by you: the same id again attaches instead of starting twice' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand maintenance:off" -l format -d '`table` for people, `json` for scripts' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand maintenance:off" -s E -l env -d 'Environment to talk to; default: OROCLOUD_ENV, then `default` of the configuration' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand maintenance:off" -l log -d 'Append a copy of what is printed to FILE, with times and without colours' -r -F
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand maintenance:off" -l force -d 'Ask nothing'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand maintenance:off" -l detach -d 'Start it, print its id and leave; follow it with log:view --follow'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand maintenance:off" -l ignore-window -d 'Start although a maintenance window is near'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand maintenance:off" -l dry-run -d 'Show what it would do and change nothing'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand maintenance:off" -l json -d 'The same as --format=json'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand maintenance:off" -s q -l quiet -d 'Print errors only'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand maintenance:off" -s v -l verbose -d 'Print more: -v output of programs, -vv and -vvv more detail'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand maintenance:off" -s n -l no-interaction -d 'Never ask; what destroys something then needs --force'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand maintenance:off" -l ansi -d 'Use colours even without a terminal'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand maintenance:off" -l no-ansi -d 'Use no colours; so does the variable NO_COLOR'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand maintenance:off" -s V -l version -d 'Print the version, and the agents\' versions as of the last calls; never connects'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand maintenance:off" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand maintenance:on" -l downtime-duration -d 'How long it is going to last, 1h without a value; the page does not go down by itself' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand maintenance:on" -l downtime-comment -d 'Why: one line, shown by maintenance:status and status' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand maintenance:on" -l wait-lock -d 'Wait for a lock that another operation holds, instead of exit code 6 at once' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand maintenance:on" -l timeout -d 'Stop watching after this time, with exit code 8; the operation goes on' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand maintenance:on" -l operation-id -d 'Id of the operation, made by you: the same id again attaches instead of starting twice' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand maintenance:on" -l format -d '`table` for people, `json` for scripts' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand maintenance:on" -s E -l env -d 'Environment to talk to; default: OROCLOUD_ENV, then `default` of the configuration' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand maintenance:on" -l log -d 'Append a copy of what is printed to FILE, with times and without colours' -r -F
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand maintenance:on" -l force -d 'Ask nothing'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand maintenance:on" -l detach -d 'Start it, print its id and leave; follow it with log:view --follow'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand maintenance:on" -l ignore-window -d 'Start although a maintenance window is near'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand maintenance:on" -l dry-run -d 'Show what it would do and change nothing'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand maintenance:on" -l json -d 'The same as --format=json'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand maintenance:on" -s q -l quiet -d 'Print errors only'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand maintenance:on" -s v -l verbose -d 'Print more: -v output of programs, -vv and -vvv more detail'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand maintenance:on" -s n -l no-interaction -d 'Never ask; what destroys something then needs --force'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand maintenance:on" -l ansi -d 'Use colours even without a terminal'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand maintenance:on" -l no-ansi -d 'Use no colours; so does the variable NO_COLOR'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand maintenance:on" -s V -l version -d 'Print the version, and the agents\' versions as of the last calls; never connects'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand maintenance:on" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand maintenance:status" -l format -d '`table` for people, `json` for scripts' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand maintenance:status" -s E -l env -d 'Environment to talk to; default: OROCLOUD_ENV, then `default` of the configuration' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand maintenance:status" -l log -d 'Append a copy of what is printed to FILE, with times and without colours' -r -F
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand maintenance:status" -l json -d 'The same as --format=json'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand maintenance:status" -s q -l quiet -d 'Print errors only'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand maintenance:status" -s v -l verbose -d 'Print more: -v output of programs, -vv and -vvv more detail'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand maintenance:status" -s n -l no-interaction -d 'Never ask; what destroys something then needs --force'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand maintenance:status" -l ansi -d 'Use colours even without a terminal'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand maintenance:status" -l no-ansi -d 'Use no colours; so does the variable NO_COLOR'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand maintenance:status" -s V -l version -d 'Print the version, and the agents\' versions as of the last calls; never connects'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand maintenance:status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand maintenance:windows" -l from -d 'Windows that end after this moment; default: now' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand maintenance:windows" -l until -d 'Windows that begin before this moment; default: eight weeks later' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand maintenance:windows" -l format -d '`table` for people, `json` or `csv` for scripts, `ical` for calendars' -r -f -a "table\t'For people'
json\t'The call\'s own answer'
csv\t'For spreadsheets'
ical\t'RFC 5545'"
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand maintenance:windows" -s E -l env -d 'Environment to talk to; default: OROCLOUD_ENV, then `default` of the configuration' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand maintenance:windows" -l log -d 'Append a copy of what is printed to FILE, with times and without colours' -r -F
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand maintenance:windows" -l json -d 'The same as --format=json'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand maintenance:windows" -s q -l quiet -d 'Print errors only'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand maintenance:windows" -s v -l verbose -d 'Print more: -v output of programs, -vv and -vvv more detail'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand maintenance:windows" -s n -l no-interaction -d 'Never ask; what destroys something then needs --force'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand maintenance:windows" -l ansi -d 'Use colours even without a terminal'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand maintenance:windows" -l no-ansi -d 'Use no colours; so does the variable NO_COLOR'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand maintenance:windows" -s V -l version -d 'Print the version, and the agents\' versions as of the last calls; never connects'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand maintenance:windows" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand operation:cancel" -l format -d '`table` for people, `json` for scripts' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand operation:cancel" -s E -l env -d 'Environment to talk to; default: OROCLOUD_ENV, then `default` of the configuration' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand operation:cancel" -l log -d 'Append a copy of what is printed to FILE, with times and without colours' -r -F
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand operation:cancel" -l give-up -d 'End one that does not go on by itself as it stands'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand operation:cancel" -l json -d 'The same as --format=json'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand operation:cancel" -s q -l quiet -d 'Print errors only'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand operation:cancel" -s v -l verbose -d 'Print more: -v output of programs, -vv and -vvv more detail'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand operation:cancel" -s n -l no-interaction -d 'Never ask; what destroys something then needs --force'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand operation:cancel" -l ansi -d 'Use colours even without a terminal'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand operation:cancel" -l no-ansi -d 'Use no colours; so does the variable NO_COLOR'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand operation:cancel" -s V -l version -d 'Print the version, and the agents\' versions as of the last calls; never connects'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand operation:cancel" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand operation:list" -l page -d 'Page to show, from 1' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand operation:list" -l per-page -d 'Rows a page' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand operation:list" -l format -d '`table` for people, `json` for scripts, `csv` for spreadsheets' -r -f -a "table\t'For people'
json\t'The call\'s own answer as JSON; messages and errors are JSON lines on stderr'
csv\t'Comma-separated values with a header, for lists'"
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand operation:list" -s E -l env -d 'Environment to talk to; default: OROCLOUD_ENV, then `default` of the configuration' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand operation:list" -l log -d 'Append a copy of what is printed to FILE, with times and without colours' -r -F
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand operation:list" -l json -d 'The same as --format=json'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand operation:list" -s q -l quiet -d 'Print errors only'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand operation:list" -s v -l verbose -d 'Print more: -v output of programs, -vv and -vvv more detail'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand operation:list" -s n -l no-interaction -d 'Never ask; what destroys something then needs --force'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand operation:list" -l ansi -d 'Use colours even without a terminal'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand operation:list" -l no-ansi -d 'Use no colours; so does the variable NO_COLOR'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand operation:list" -s V -l version -d 'Print the version, and the agents\' versions as of the last calls; never connects'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand operation:list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand operation:wait" -l timeout -d 'Stop waiting after this time, with exit code 8' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand operation:wait" -l format -d '`table` for people, `json` for scripts' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand operation:wait" -s E -l env -d 'Environment to talk to; default: OROCLOUD_ENV, then `default` of the configuration' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand operation:wait" -l log -d 'Append a copy of what is printed to FILE, with times and without colours' -r -F
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand operation:wait" -l json -d 'The same as --format=json'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand operation:wait" -s q -l quiet -d 'Print errors only'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand operation:wait" -s v -l verbose -d 'Print more: -v output of programs, -vv and -vvv more detail'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand operation:wait" -s n -l no-interaction -d 'Never ask; what destroys something then needs --force'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand operation:wait" -l ansi -d 'Use colours even without a terminal'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand operation:wait" -l no-ansi -d 'Use no colours; so does the variable NO_COLOR'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand operation:wait" -s V -l version -d 'Print the version, and the agents\' versions as of the last calls; never connects'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand operation:wait" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand queue:list" -l filter -d 'Only queues whose names contain this' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand queue:list" -l page -d 'Page to show, from 1' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand queue:list" -l per-page -d 'Rows a page' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand queue:list" -l format -d '`table` for people, `json` for scripts, `csv` for spreadsheets' -r -f -a "table\t'For people'
json\t'The call\'s own answer as JSON; messages and errors are JSON lines on stderr'
csv\t'Comma-separated values with a header, for lists'"
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand queue:list" -s E -l env -d 'Environment to talk to; default: OROCLOUD_ENV, then `default` of the configuration' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand queue:list" -l log -d 'Append a copy of what is printed to FILE, with times and without colours' -r -F
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand queue:list" -l json -d 'The same as --format=json'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand queue:list" -s q -l quiet -d 'Print errors only'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand queue:list" -s v -l verbose -d 'Print more: -v output of programs, -vv and -vvv more detail'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand queue:list" -s n -l no-interaction -d 'Never ask; what destroys something then needs --force'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand queue:list" -l ansi -d 'Use colours even without a terminal'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand queue:list" -l no-ansi -d 'Use no colours; so does the variable NO_COLOR'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand queue:list" -s V -l version -d 'Print the version, and the agents\' versions as of the last calls; never connects'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand queue:list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand release:list" -l page -d 'Page to show, from 1' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand release:list" -l per-page -d 'Rows a page' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand release:list" -l format -d '`table` for people, `json` for scripts, `csv` for spreadsheets' -r -f -a "table\t'For people'
json\t'The call\'s own answer as JSON; messages and errors are JSON lines on stderr'
csv\t'Comma-separated values with a header, for lists'"
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand release:list" -s E -l env -d 'Environment to talk to; default: OROCLOUD_ENV, then `default` of the configuration' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand release:list" -l log -d 'Append a copy of what is printed to FILE, with times and without colours' -r -F
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand release:list" -l json -d 'The same as --format=json'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand release:list" -s q -l quiet -d 'Print errors only'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand release:list" -s v -l verbose -d 'Print more: -v output of programs, -vv and -vvv more detail'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand release:list" -s n -l no-interaction -d 'Never ask; what destroys something then needs --force'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand release:list" -l ansi -d 'Use colours even without a terminal'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand release:list" -l no-ansi -d 'Use no colours; so does the variable NO_COLOR'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand release:list" -s V -l version -d 'Print the version, and the agents\' versions as of the last calls; never connects'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand release:list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand release:rollback" -l wait-lock -d 'Wait for a lock that another operation holds, instead of exit code 6 at once' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand release:rollback" -l timeout -d 'Stop watching after this time, with exit code 8; the operation goes on' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand release:rollback" -l operation-id -d 'Id of the operation, made by you: the same id again attaches instead of starting twice' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand release:rollback" -l format -d '`table` for people, `json` for scripts' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand release:rollback" -s E -l env -d 'Environment to talk to; default: OROCLOUD_ENV, then `default` of the configuration' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand release:rollback" -l log -d 'Append a copy of what is printed to FILE, with times and without colours' -r -F
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand release:rollback" -l detach -d 'Start it, print its id and leave; follow it with log:view --follow'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand release:rollback" -l ignore-window -d 'Start although a maintenance window is near'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand release:rollback" -l dry-run -d 'Show what it would do and change nothing'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand release:rollback" -l json -d 'The same as --format=json'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand release:rollback" -s q -l quiet -d 'Print errors only'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand release:rollback" -s v -l verbose -d 'Print more: -v output of programs, -vv and -vvv more detail'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand release:rollback" -s n -l no-interaction -d 'Never ask; what destroys something then needs --force'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand release:rollback" -l ansi -d 'Use colours even without a terminal'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand release:rollback" -l no-ansi -d 'Use no colours; so does the variable NO_COLOR'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand release:rollback" -s V -l version -d 'Print the version, and the agents\' versions as of the last calls; never connects'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand release:rollback" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:restart" -l wait-lock -d 'Wait for a lock that another operation holds, instead of exit code 6 at once' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:restart" -l timeout -d 'Stop watching after this time, with exit code 8; the operation goes on' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:restart" -l operation-id -d 'Id of the operation, made by you: the same id again attaches instead of starting twice' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:restart" -l format -d '`table` for people, `json` for scripts' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:restart" -s E -l env -d 'Environment to talk to; default: OROCLOUD_ENV, then `default` of the configuration' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:restart" -l log -d 'Append a copy of what is printed to FILE, with times and without colours' -r -F
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:restart" -l detach -d 'Start it, print its id and leave; follow it with log:view --follow'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:restart" -l ignore-window -d 'Start although a maintenance window is near'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:restart" -l dry-run -d 'Show what it would do and change nothing'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:restart" -l json -d 'The same as --format=json'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:restart" -s q -l quiet -d 'Print errors only'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:restart" -s v -l verbose -d 'Print more: -v output of programs, -vv and -vvv more detail'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:restart" -s n -l no-interaction -d 'Never ask; what destroys something then needs --force'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:restart" -l ansi -d 'Use colours even without a terminal'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:restart" -l no-ansi -d 'Use no colours; so does the variable NO_COLOR'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:restart" -s V -l version -d 'Print the version, and the agents\' versions as of the last calls; never connects'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:restart" -s h -l help -d 'Print help'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:restart:consumer" -l wait-lock -d 'Wait for a lock that another operation holds, instead of exit code 6 at once' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:restart:consumer" -l timeout -d 'Stop watching after this time, with exit code 8; the operation goes on' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:restart:consumer" -l operation-id -d 'Id of the operation, made by you: the same id again attaches instead of starting twice' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:restart:consumer" -l format -d '`table` for people, `json` for scripts' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:restart:consumer" -s E -l env -d 'Environment to talk to; default: OROCLOUD_ENV, then `default` of the configuration' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:restart:consumer" -l log -d 'Append a copy of what is printed to FILE, with times and without colours' -r -F
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:restart:consumer" -l detach -d 'Start it, print its id and leave; follow it with log:view --follow'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:restart:consumer" -l ignore-window -d 'Start although a maintenance window is near'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:restart:consumer" -l dry-run -d 'Show what it would do and change nothing'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:restart:consumer" -l json -d 'The same as --format=json'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:restart:consumer" -s q -l quiet -d 'Print errors only'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:restart:consumer" -s v -l verbose -d 'Print more: -v output of programs, -vv and -vvv more detail'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:restart:consumer" -s n -l no-interaction -d 'Never ask; what destroys something then needs --force'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:restart:consumer" -l ansi -d 'Use colours even without a terminal'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:restart:consumer" -l no-ansi -d 'Use no colours; so does the variable NO_COLOR'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:restart:consumer" -s V -l version -d 'Print the version, and the agents\' versions as of the last calls; never connects'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:restart:consumer" -s h -l help -d 'Print help'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:restart:cron" -l wait-lock -d 'Wait for a lock that another operation holds, instead of exit code 6 at once' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:restart:cron" -l timeout -d 'Stop watching after this time, with exit code 8; the operation goes on' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:restart:cron" -l operation-id -d 'Id of the operation, made by you: the same id again attaches instead of starting twice' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:restart:cron" -l format -d '`table` for people, `json` for scripts' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:restart:cron" -s E -l env -d 'Environment to talk to; default: OROCLOUD_ENV, then `default` of the configuration' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:restart:cron" -l log -d 'Append a copy of what is printed to FILE, with times and without colours' -r -F
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:restart:cron" -l detach -d 'Start it, print its id and leave; follow it with log:view --follow'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:restart:cron" -l ignore-window -d 'Start although a maintenance window is near'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:restart:cron" -l dry-run -d 'Show what it would do and change nothing'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:restart:cron" -l json -d 'The same as --format=json'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:restart:cron" -s q -l quiet -d 'Print errors only'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:restart:cron" -s v -l verbose -d 'Print more: -v output of programs, -vv and -vvv more detail'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:restart:cron" -s n -l no-interaction -d 'Never ask; what destroys something then needs --force'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:restart:cron" -l ansi -d 'Use colours even without a terminal'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:restart:cron" -l no-ansi -d 'Use no colours; so does the variable NO_COLOR'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:restart:cron" -s V -l version -d 'Print the version, and the agents\' versions as of the last calls; never connects'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:restart:cron" -s h -l help -d 'Print help'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:restart:websocket" -l wait-lock -d 'Wait for a lock that another operation holds, instead of exit code 6 at once' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:restart:websocket" -l timeout -d 'Stop watching after this time, with exit code 8; the operation goes on' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:restart:websocket" -l operation-id -d 'Id of the operation, made by you: the same id again attaches instead of starting twice' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:restart:websocket" -l format -d '`table` for people, `json` for scripts' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:restart:websocket" -s E -l env -d 'Environment to talk to; default: OROCLOUD_ENV, then `default` of the configuration' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:restart:websocket" -l log -d 'Append a copy of what is printed to FILE, with times and without colours' -r -F
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:restart:websocket" -l detach -d 'Start it, print its id and leave; follow it with log:view --follow'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:restart:websocket" -l ignore-window -d 'Start although a maintenance window is near'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:restart:websocket" -l dry-run -d 'Show what it would do and change nothing'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:restart:websocket" -l json -d 'The same as --format=json'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:restart:websocket" -s q -l quiet -d 'Print errors only'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:restart:websocket" -s v -l verbose -d 'Print more: -v output of programs, -vv and -vvv more detail'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:restart:websocket" -s n -l no-interaction -d 'Never ask; what destroys something then needs --force'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:restart:websocket" -l ansi -d 'Use colours even without a terminal'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:restart:websocket" -l no-ansi -d 'Use no colours; so does the variable NO_COLOR'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:restart:websocket" -s V -l version -d 'Print the version, and the agents\' versions as of the last calls; never connects'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:restart:websocket" -s h -l help -d 'Print help'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:start" -l wait-lock -d 'Wait for a lock that another operation holds, instead of exit code 6 at once' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:start" -l timeout -d 'Stop watching after this time, with exit code 8; the operation goes on' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:start" -l operation-id -d 'Id of the operation, made by you: the same id again attaches instead of starting twice' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:start" -l format -d '`table` for people, `json` for scripts' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:start" -s E -l env -d 'Environment to talk to; default: OROCLOUD_ENV, then `default` of the configuration' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:start" -l log -d 'Append a copy of what is printed to FILE, with times and without colours' -r -F
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:start" -l detach -d 'Start it, print its id and leave; follow it with log:view --follow'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:start" -l ignore-window -d 'Start although a maintenance window is near'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:start" -l dry-run -d 'Show what it would do and change nothing'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:start" -l json -d 'The same as --format=json'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:start" -s q -l quiet -d 'Print errors only'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:start" -s v -l verbose -d 'Print more: -v output of programs, -vv and -vvv more detail'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:start" -s n -l no-interaction -d 'Never ask; what destroys something then needs --force'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:start" -l ansi -d 'Use colours even without a terminal'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:start" -l no-ansi -d 'Use no colours; so does the variable NO_COLOR'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:start" -s V -l version -d 'Print the version, and the agents\' versions as of the last calls; never connects'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:start" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:start:consumer" -l wait-lock -d 'Wait for a lock that another operation holds, instead of exit code 6 at once' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:start:consumer" -l timeout -d 'Stop watching after this time, with exit code 8; the operation goes on' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:start:consumer" -l operation-id -d 'Id of the operation, made by you: the same id again attaches instead of starting twice' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:start:consumer" -l format -d '`table` for people, `json` for scripts' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:start:consumer" -s E -l env -d 'Environment to talk to; default: OROCLOUD_ENV, then `default` of the configuration' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:start:consumer" -l log -d 'Append a copy of what is printed to FILE, with times and without colours' -r -F
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:start:consumer" -l detach -d 'Start it, print its id and leave; follow it with log:view --follow'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:start:consumer" -l ignore-window -d 'Start although a maintenance window is near'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:start:consumer" -l dry-run -d 'Show what it would do and change nothing'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:start:consumer" -l json -d 'The same as --format=json'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:start:consumer" -s q -l quiet -d 'Print errors only'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:start:consumer" -s v -l verbose -d 'Print more: -v output of programs, -vv and -vvv more detail'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:start:consumer" -s n -l no-interaction -d 'Never ask; what destroys something then needs --force'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:start:consumer" -l ansi -d 'Use colours even without a terminal'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:start:consumer" -l no-ansi -d 'Use no colours; so does the variable NO_COLOR'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:start:consumer" -s V -l version -d 'Print the version, and the agents\' versions as of the last calls; never connects'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:start:consumer" -s h -l help -d 'Print help'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:start:cron" -l wait-lock -d 'Wait for a lock that another operation holds, instead of exit code 6 at once' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:start:cron" -l timeout -d 'Stop watching after this time, with exit code 8; the operation goes on' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:start:cron" -l operation-id -d 'Id of the operation, made by you: the same id again attaches instead of starting twice' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:start:cron" -l format -d '`table` for people, `json` for scripts' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:start:cron" -s E -l env -d 'Environment to talk to; default: OROCLOUD_ENV, then `default` of the configuration' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:start:cron" -l log -d 'Append a copy of what is printed to FILE, with times and without colours' -r -F
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:start:cron" -l detach -d 'Start it, print its id and leave; follow it with log:view --follow'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:start:cron" -l ignore-window -d 'Start although a maintenance window is near'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:start:cron" -l dry-run -d 'Show what it would do and change nothing'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:start:cron" -l json -d 'The same as --format=json'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:start:cron" -s q -l quiet -d 'Print errors only'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:start:cron" -s v -l verbose -d 'Print more: -v output of programs, -vv and -vvv more detail'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:start:cron" -s n -l no-interaction -d 'Never ask; what destroys something then needs --force'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:start:cron" -l ansi -d 'Use colours even without a terminal'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:start:cron" -l no-ansi -d 'Use no colours; so does the variable NO_COLOR'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:start:cron" -s V -l version -d 'Print the version, and the agents\' versions as of the last calls; never connects'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:start:cron" -s h -l help -d 'Print help'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:start:websocket" -l wait-lock -d 'Wait for a lock that another operation holds, instead of exit code 6 at once' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:start:websocket" -l timeout -d 'Stop watching after this time, with exit code 8; the operation goes on' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:start:websocket" -l operation-id -d 'Id of the operation, made by you: the same id again attaches instead of starting twice' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:start:websocket" -l format -d '`table` for people, `json` for scripts' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:start:websocket" -s E -l env -d 'Environment to talk to; default: OROCLOUD_ENV, then `default` of the configuration' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:start:websocket" -l log -d 'Append a copy of what is printed to FILE, with times and without colours' -r -F
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:start:websocket" -l detach -d 'Start it, print its id and leave; follow it with log:view --follow'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:start:websocket" -l ignore-window -d 'Start although a maintenance window is near'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:start:websocket" -l dry-run -d 'Show what it would do and change nothing'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:start:websocket" -l json -d 'The same as --format=json'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:start:websocket" -s q -l quiet -d 'Print errors only'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:start:websocket" -s v -l verbose -d 'Print more: -v output of programs, -vv and -vvv more detail'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:start:websocket" -s n -l no-interaction -d 'Never ask; what destroys something then needs --force'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:start:websocket" -l ansi -d 'Use colours even without a terminal'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:start:websocket" -l no-ansi -d 'Use no colours; so does the variable NO_COLOR'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:start:websocket" -s V -l version -d 'Print the version, and the agents\' versions as of the last calls; never connects'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:start:websocket" -s h -l help -d 'Print help'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:status" -l format -d '`table` for people, `json` for scripts' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:status" -s E -l env -d 'Environment to talk to; default: OROCLOUD_ENV, then `default` of the configuration' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:status" -l log -d 'Append a copy of what is printed to FILE, with times and without colours' -r -F
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:status" -l json -d 'The same as --format=json'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:status" -s q -l quiet -d 'Print errors only'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:status" -s v -l verbose -d 'Print more: -v output of programs, -vv and -vvv more detail'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:status" -s n -l no-interaction -d 'Never ask; what destroys something then needs --force'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:status" -l ansi -d 'Use colours even without a terminal'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:status" -l no-ansi -d 'Use no colours; so does the variable NO_COLOR'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:status" -s V -l version -d 'Print the version, and the agents\' versions as of the last calls; never connects'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:status" -s h -l help -d 'Print help'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:status:consumer" -l format -d '`table` for people, `json` for scripts' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:status:consumer" -s E -l env -d 'Environment to talk to; default: OROCLOUD_ENV, then `default` of the configuration' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:status:consumer" -l log -d 'Append a copy of what is printed to FILE, with times and without colours' -r -F
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:status:consumer" -l json -d 'The same as --format=json'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:status:consumer" -s q -l quiet -d 'Print errors only'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:status:consumer" -s v -l verbose -d 'Print more: -v output of programs, -vv and -vvv more detail'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:status:consumer" -s n -l no-interaction -d 'Never ask; what destroys something then needs --force'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:status:consumer" -l ansi -d 'Use colours even without a terminal'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:status:consumer" -l no-ansi -d 'Use no colours; so does the variable NO_COLOR'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:status:consumer" -s V -l version -d 'Print the version, and the agents\' versions as of the last calls; never connects'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:status:consumer" -s h -l help -d 'Print help'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:status:cron" -l format -d '`table` for people, `json` for scripts' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:status:cron" -s E -l env -d 'Environment to talk to; default: OROCLOUD_ENV, then `default` of the configuration' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:status:cron" -l log -d 'Append a copy of what is printed to FILE, with times and without colours' -r -F
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:status:cron" -l json -d 'The same as --format=json'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:status:cron" -s q -l quiet -d 'Print errors only'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:status:cron" -s v -l verbose -d 'Print more: -v output of programs, -vv and -vvv more detail'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:status:cron" -s n -l no-interaction -d 'Never ask; what destroys something then needs --force'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:status:cron" -l ansi -d 'Use colours even without a terminal'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:status:cron" -l no-ansi -d 'Use no colours; so does the variable NO_COLOR'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:status:cron" -s V -l version -d 'Print the version, and the agents\' versions as of the last calls; never connects'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:status:cron" -s h -l help -d 'Print help'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:status:websocket" -l format -d '`table` for people, `json` for scripts' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:status:websocket" -s E -l env -d 'Environment to talk to; default: OROCLOUD_ENV, then `default` of the configuration' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:status:websocket" -l log -d 'Append a copy of what is printed to FILE, with times and without colours' -r -F
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:status:websocket" -l json -d 'The same as --format=json'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:status:websocket" -s q -l quiet -d 'Print errors only'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:status:websocket" -s v -l verbose -d 'Print more: -v output of programs, -vv and -vvv more detail'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:status:websocket" -s n -l no-interaction -d 'Never ask; what destroys something then needs --force'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:status:websocket" -l ansi -d 'Use colours even without a terminal'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:status:websocket" -l no-ansi -d 'Use no colours; so does the variable NO_COLOR'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:status:websocket" -s V -l version -d 'Print the version, and the agents\' versions as of the last calls; never connects'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:status:websocket" -s h -l help -d 'Print help'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:stop" -l wait-lock -d 'Wait for a lock that another operation holds, instead of exit code 6 at once' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:stop" -l timeout -d 'Stop watching after this time, with exit code 8; the operation goes on' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:stop" -l operation-id -d 'Id of the operation, made by you: the same id again attaches instead of starting twice' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:stop" -l format -d '`table` for people, `json` for scripts' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:stop" -s E -l env -d 'Environment to talk to; default: OROCLOUD_ENV, then `default` of the configuration' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:stop" -l log -d 'Append a copy of what is printed to FILE, with times and without colours' -r -F
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:stop" -l detach -d 'Start it, print its id and leave; follow it with log:view --follow'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:stop" -l ignore-window -d 'Start although a maintenance window is near'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:stop" -l dry-run -d 'Show what it would do and change nothing'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:stop" -l json -d 'The same as --format=json'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:stop" -s q -l quiet -d 'Print errors only'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:stop" -s v -l verbose -d 'Print more: -v output of programs, -vv and -vvv more detail'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:stop" -s n -l no-interaction -d 'Never ask; what destroys something then needs --force'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:stop" -l ansi -d 'Use colours even without a terminal'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:stop" -l no-ansi -d 'Use no colours; so does the variable NO_COLOR'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:stop" -s V -l version -d 'Print the version, and the agents\' versions as of the last calls; never connects'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:stop" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:stop:consumer" -l wait-lock -d 'Wait for a lock that another operation holds, instead of exit code 6 at once' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:stop:consumer" -l timeout -d 'Stop watching after this time, with exit code 8; the operation goes on' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:stop:consumer" -l operation-id -d 'Id of the operation, made by you: the same id again attaches instead of starting twice' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:stop:consumer" -l format -d '`table` for people, `json` for scripts' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:stop:consumer" -s E -l env -d 'Environment to talk to; default: OROCLOUD_ENV, then `default` of the configuration' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:stop:consumer" -l log -d 'Append a copy of what is printed to FILE, with times and without colours' -r -F
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:stop:consumer" -l detach -d 'Start it, print its id and leave; follow it with log:view --follow'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:stop:consumer" -l ignore-window -d 'Start although a maintenance window is near'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:stop:consumer" -l dry-run -d 'Show what it would do and change nothing'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:stop:consumer" -l json -d 'The same as --format=json'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:stop:consumer" -s q -l quiet -d 'Print errors only'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:stop:consumer" -s v -l verbose -d 'Print more: -v output of programs, -vv and -vvv more detail'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:stop:consumer" -s n -l no-interaction -d 'Never ask; what destroys something then needs --force'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:stop:consumer" -l ansi -d 'Use colours even without a terminal'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:stop:consumer" -l no-ansi -d 'Use no colours; so does the variable NO_COLOR'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:stop:consumer" -s V -l version -d 'Print the version, and the agents\' versions as of the last calls; never connects'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:stop:consumer" -s h -l help -d 'Print help'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:stop:cron" -l wait-lock -d 'Wait for a lock that another operation holds, instead of exit code 6 at once' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:stop:cron" -l timeout -d 'Stop watching after this time, with exit code 8; the operation goes on' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:stop:cron" -l operation-id -d 'Id of the operation, made by you: the same id again attaches instead of starting twice' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:stop:cron" -l format -d '`table` for people, `json` for scripts' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:stop:cron" -s E -l env -d 'Environment to talk to; default: OROCLOUD_ENV, then `default` of the configuration' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:stop:cron" -l log -d 'Append a copy of what is printed to FILE, with times and without colours' -r -F
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:stop:cron" -l detach -d 'Start it, print its id and leave; follow it with log:view --follow'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:stop:cron" -l ignore-window -d 'Start although a maintenance window is near'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:stop:cron" -l dry-run -d 'Show what it would do and change nothing'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:stop:cron" -l json -d 'The same as --format=json'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:stop:cron" -s q -l quiet -d 'Print errors only'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:stop:cron" -s v -l verbose -d 'Print more: -v output of programs, -vv and -vvv more detail'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:stop:cron" -s n -l no-interaction -d 'Never ask; what destroys something then needs --force'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:stop:cron" -l ansi -d 'Use colours even without a terminal'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:stop:cron" -l no-ansi -d 'Use no colours; so does the variable NO_COLOR'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:stop:cron" -s V -l version -d 'Print the version, and the agents\' versions as of the last calls; never connects'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:stop:cron" -s h -l help -d 'Print help'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:stop:websocket" -l wait-lock -d 'Wait for a lock that another operation holds, instead of exit code 6 at once' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:stop:websocket" -l timeout -d 'Stop watching after this time, with exit code 8; the operation goes on' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:stop:websocket" -l operation-id -d 'Id of the operation, made by you: the same id again attaches instead of starting twice' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:stop:websocket" -l format -d '`table` for people, `json` for scripts' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:stop:websocket" -s E -l env -d 'Environment to talk to; default: OROCLOUD_ENV, then `default` of the configuration' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:stop:websocket" -l log -d 'Append a copy of what is printed to FILE, with times and without colours' -r -F
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:stop:websocket" -l detach -d 'Start it, print its id and leave; follow it with log:view --follow'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:stop:websocket" -l ignore-window -d 'Start although a maintenance window is near'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:stop:websocket" -l dry-run -d 'Show what it would do and change nothing'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:stop:websocket" -l json -d 'The same as --format=json'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:stop:websocket" -s q -l quiet -d 'Print errors only'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:stop:websocket" -s v -l verbose -d 'Print more: -v output of programs, -vv and -vvv more detail'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:stop:websocket" -s n -l no-interaction -d 'Never ask; what destroys something then needs --force'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:stop:websocket" -l ansi -d 'Use colours even without a terminal'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:stop:websocket" -l no-ansi -d 'Use no colours; so does the variable NO_COLOR'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:stop:websocket" -s V -l version -d 'Print the version, and the agents\' versions as of the last calls; never connects'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand service:stop:websocket" -s h -l help -d 'Print help'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand shell" -s E -l env -d 'Environment to talk to; default: OROCLOUD_ENV, then `default` of the configuration' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand shell" -l log -d 'Append a copy of what is printed to FILE, with times and without colours' -r -F
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand shell" -s q -l quiet -d 'Print errors only'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand shell" -s v -l verbose -d 'Print more: -v output of programs, -vv and -vvv more detail'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand shell" -s n -l no-interaction -d 'Never ask; what destroys something then needs --force'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand shell" -l ansi -d 'Use colours even without a terminal'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand shell" -l no-ansi -d 'Use no colours; so does the variable NO_COLOR'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand shell" -s V -l version -d 'Print the version, and the agents\' versions as of the last calls; never connects'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand shell" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:dns" -l format -d '`table` for people, `json` for scripts' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:dns" -s E -l env -d 'Environment to talk to; default: OROCLOUD_ENV, then `default` of the configuration' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:dns" -l log -d 'Append a copy of what is printed to FILE, with times and without colours' -r -F
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:dns" -l json -d 'The same as --format=json'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:dns" -s q -l quiet -d 'Print errors only'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:dns" -s v -l verbose -d 'Print more: -v output of programs, -vv and -vvv more detail'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:dns" -s n -l no-interaction -d 'Never ask; what destroys something then needs --force'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:dns" -l ansi -d 'Use colours even without a terminal'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:dns" -l no-ansi -d 'Use no colours; so does the variable NO_COLOR'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:dns" -s V -l version -d 'Print the version, and the agents\' versions as of the last calls; never connects'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:dns" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:queue" -l page -d 'Page to show, from 1' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:queue" -l per-page -d 'Rows a page' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:queue" -l format -d '`table` for people, `json` for scripts, `csv` for spreadsheets' -r -f -a "table\t'For people'
json\t'The call\'s own answer as JSON; messages and errors are JSON lines on stderr'
csv\t'Comma-separated values with a header, for lists'"
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:queue" -s E -l env -d 'Environment to talk to; default: OROCLOUD_ENV, then `default` of the configuration' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:queue" -l log -d 'Append a copy of what is printed to FILE, with times and without colours' -r -F
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:queue" -l history -d 'What became of the last messages'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:queue" -l doubtful -d 'Only messages that somebody may have got more than once'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:queue" -l json -d 'The same as --format=json'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:queue" -s q -l quiet -d 'Print errors only'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:queue" -s v -l verbose -d 'Print more: -v output of programs, -vv and -vvv more detail'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:queue" -s n -l no-interaction -d 'Never ask; what destroys something then needs --force'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:queue" -l ansi -d 'Use colours even without a terminal'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:queue" -l no-ansi -d 'Use no colours; so does the variable NO_COLOR'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:queue" -s V -l version -d 'Print the version, and the agents\' versions as of the last calls; never connects'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:queue" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:relay:remove" -l wait-lock -d 'Wait for a lock that another operation holds, instead of exit code 6 at once' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:relay:remove" -l timeout -d 'Stop watching after this time, with exit code 8; the operation goes on' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:relay:remove" -l operation-id -d 'Id of the operation, made by you: the same id again attaches instead of starting twice' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:relay:remove" -l format -d '`table` for people, `json` for scripts' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:relay:remove" -s E -l env -d 'Environment to talk to; default: OROCLOUD_ENV, then `default` of the configuration' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:relay:remove" -l log -d 'Append a copy of what is printed to FILE, with times and without colours' -r -F
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:relay:remove" -l detach -d 'Start it, print its id and leave; follow it with log:view --follow'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:relay:remove" -l ignore-window -d 'Start although a maintenance window is near'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:relay:remove" -l dry-run -d 'Show what it would do and change nothing'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:relay:remove" -l json -d 'The same as --format=json'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:relay:remove" -s q -l quiet -d 'Print errors only'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:relay:remove" -s v -l verbose -d 'Print more: -v output of programs, -vv and -vvv more detail'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:relay:remove" -s n -l no-interaction -d 'Never ask; what destroys something then needs --force'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:relay:remove" -l ansi -d 'Use colours even without a terminal'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:relay:remove" -l no-ansi -d 'Use no colours; so does the variable NO_COLOR'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:relay:remove" -s V -l version -d 'Print the version, and the agents\' versions as of the last calls; never connects'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:relay:remove" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:relay:set" -l host -d 'Name or address of its host' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:relay:set" -l port -d 'Its port; default: 587 with starttls, 465 with implicit, 25 with none' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:relay:set" -l tls -d 'How the connection is kept secret: starttls (the default), implicit, or none' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:relay:set" -l ca-file -d 'The only authorities that its certificate may come from, a file in PEM; default: those that everybody believes' -r -F
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:relay:set" -l priority -d 'The least one is tried first; default: 10' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:relay:set" -l user -d 'Whom to sign in as; the password is asked for, or read with --password-stdin' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:relay:set" -l probe-from -d 'A sender to try it with' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:relay:set" -l probe-to -d 'A recipient to try it with, who gets nothing' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:relay:set" -l wait-lock -d 'Wait for a lock that another operation holds, instead of exit code 6 at once' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:relay:set" -l timeout -d 'Stop watching after this time, with exit code 8; the operation goes on' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:relay:set" -l operation-id -d 'Id of the operation, made by you: the same id again attaches instead of starting twice' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:relay:set" -l format -d '`table` for people, `json` for scripts' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:relay:set" -s E -l env -d 'Environment to talk to; default: OROCLOUD_ENV, then `default` of the configuration' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:relay:set" -l log -d 'Append a copy of what is printed to FILE, with times and without colours' -r -F
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:relay:set" -l password-stdin -d 'Read the password from standard input, one line'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:relay:set" -l detach -d 'Start it, print its id and leave; follow it with log:view --follow'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:relay:set" -l ignore-window -d 'Start although a maintenance window is near'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:relay:set" -l dry-run -d 'Show what it would do and change nothing'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:relay:set" -l json -d 'The same as --format=json'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:relay:set" -s q -l quiet -d 'Print errors only'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:relay:set" -s v -l verbose -d 'Print more: -v output of programs, -vv and -vvv more detail'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:relay:set" -s n -l no-interaction -d 'Never ask; what destroys something then needs --force'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:relay:set" -l ansi -d 'Use colours even without a terminal'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:relay:set" -l no-ansi -d 'Use no colours; so does the variable NO_COLOR'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:relay:set" -s V -l version -d 'Print the version, and the agents\' versions as of the last calls; never connects'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:relay:set" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:show" -l format -d '`table` for people, `json` for scripts' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:show" -s E -l env -d 'Environment to talk to; default: OROCLOUD_ENV, then `default` of the configuration' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:show" -l log -d 'Append a copy of what is printed to FILE, with times and without colours' -r -F
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:show" -l json -d 'The same as --format=json'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:show" -s q -l quiet -d 'Print errors only'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:show" -s v -l verbose -d 'Print more: -v output of programs, -vv and -vvv more detail'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:show" -s n -l no-interaction -d 'Never ask; what destroys something then needs --force'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:show" -l ansi -d 'Use colours even without a terminal'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:show" -l no-ansi -d 'Use no colours; so does the variable NO_COLOR'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:show" -s V -l version -d 'Print the version, and the agents\' versions as of the last calls; never connects'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:test" -l to -d 'Who gets the messages' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:test" -l from -d 'The sender; default: the one the relay was tried with when it was set' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:test" -l relay -d 'Only try this relay' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:test" -l wait-lock -d 'Wait for a lock that another operation holds, instead of exit code 6 at once' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:test" -l timeout -d 'Stop watching after this time, with exit code 8; the operation goes on' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:test" -l operation-id -d 'Id of the operation, made by you: the same id again attaches instead of starting twice' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:test" -l format -d '`table` for people, `json` for scripts' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:test" -s E -l env -d 'Environment to talk to; default: OROCLOUD_ENV, then `default` of the configuration' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:test" -l log -d 'Append a copy of what is printed to FILE, with times and without colours' -r -F
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:test" -l detach -d 'Start it, print its id and leave; follow it with log:view --follow'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:test" -l ignore-window -d 'Start although a maintenance window is near'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:test" -l dry-run -d 'Show what it would do and change nothing'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:test" -l json -d 'The same as --format=json'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:test" -s q -l quiet -d 'Print errors only'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:test" -s v -l verbose -d 'Print more: -v output of programs, -vv and -vvv more detail'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:test" -s n -l no-interaction -d 'Never ask; what destroys something then needs --force'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:test" -l ansi -d 'Use colours even without a terminal'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:test" -l no-ansi -d 'Use no colours; so does the variable NO_COLOR'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:test" -s V -l version -d 'Print the version, and the agents\' versions as of the last calls; never connects'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:test" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:whitelist" -l wait-lock -d 'Wait for a lock that another operation holds, instead of exit code 6 at once' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:whitelist" -l timeout -d 'Stop watching after this time, with exit code 8; the operation goes on' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:whitelist" -l operation-id -d 'Id of the operation, made by you: the same id again attaches instead of starting twice' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:whitelist" -l format -d '`table` for people, `json` for scripts' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:whitelist" -s E -l env -d 'Environment to talk to; default: OROCLOUD_ENV, then `default` of the configuration' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:whitelist" -l log -d 'Append a copy of what is printed to FILE, with times and without colours' -r -F
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:whitelist" -l detach -d 'Start it, print its id and leave; follow it with log:view --follow'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:whitelist" -l ignore-window -d 'Start although a maintenance window is near'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:whitelist" -l dry-run -d 'Show what it would do and change nothing'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:whitelist" -l json -d 'The same as --format=json'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:whitelist" -s q -l quiet -d 'Print errors only'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:whitelist" -s v -l verbose -d 'Print more: -v output of programs, -vv and -vvv more detail'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:whitelist" -s n -l no-interaction -d 'Never ask; what destroys something then needs --force'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:whitelist" -l ansi -d 'Use colours even without a terminal'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:whitelist" -l no-ansi -d 'Use no colours; so does the variable NO_COLOR'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:whitelist" -s V -l version -d 'Print the version, and the agents\' versions as of the last calls; never connects'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand smtp:whitelist" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand status" -l format -d '`table` for people, `json` for scripts' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand status" -s E -l env -d 'Environment to talk to; default: OROCLOUD_ENV, then `default` of the configuration' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand status" -l log -d 'Append a copy of what is printed to FILE, with times and without colours' -r -F
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand status" -l watch -d 'Look again every two seconds until Ctrl-C'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand status" -l json -d 'The same as --format=json'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand status" -s q -l quiet -d 'Print errors only'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand status" -s v -l verbose -d 'Print more: -v output of programs, -vv and -vvv more detail'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand status" -s n -l no-interaction -d 'Never ask; what destroys something then needs --force'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand status" -l ansi -d 'Use colours even without a terminal'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand status" -l no-ansi -d 'Use no colours; so does the variable NO_COLOR'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand status" -s V -l version -d 'Print the version, and the agents\' versions as of the last calls; never connects'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade" -l reference -l tag -d 'Tag, branch or commit to upgrade to; asked for when it is missing' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade" -l downtime-duration -d 'How long the maintenance is announced to take' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade" -l downtime-comment -d 'Why, for whoever asks during the maintenance' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade" -l wait-lock -d 'Wait for a lock that another operation holds, instead of exit code 6 at once' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade" -l timeout -d 'Stop watching after this time, with exit code 8; the operation goes on' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade" -l operation-id -d 'Id of the operation, made by you: the same id again attaches instead of starting twice' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade" -l format -d '`table` for people, `json` for scripts' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade" -s E -l env -d 'Environment to talk to; default: OROCLOUD_ENV, then `default` of the configuration' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade" -l log -d 'Append a copy of what is printed to FILE, with times and without colours' -r -F
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade" -l skip-check-patches -d 'Do not check patches; none are kept so far, so there is nothing to check either way'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade" -l skip-search-reindexation -d 'Leave the search index alone; this is the default'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade" -l schedule-search-reindexation -d 'Have oro:platform:update schedule the indexing of everything'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade" -l skip-backup -d 'Take no recovery point first'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade" -l skip-cache-rebuild -d 'Leave the caches of the new release to its first requests'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade" -l detach -d 'Start it, print its id and leave; follow it with log:view --follow'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade" -l ignore-window -d 'Start although a maintenance window is near'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade" -l dry-run -d 'Show what it would do and change nothing'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade" -l json -d 'The same as --format=json'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade" -s q -l quiet -d 'Print errors only'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade" -s v -l verbose -d 'Print more: -v output of programs, -vv and -vvv more detail'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade" -s n -l no-interaction -d 'Never ask; what destroys something then needs --force'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade" -l ansi -d 'Use colours even without a terminal'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade" -l no-ansi -d 'Use no colours; so does the variable NO_COLOR'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade" -s V -l version -d 'Print the version, and the agents\' versions as of the last calls; never connects'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade:rolling" -l reference -l tag -d 'Tag, branch or commit to upgrade to; asked for when it is missing' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade:rolling" -l downtime-duration -d 'How long the maintenance is announced to take' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade:rolling" -l downtime-comment -d 'Why, for whoever asks during the maintenance' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade:rolling" -l wait-lock -d 'Wait for a lock that another operation holds, instead of exit code 6 at once' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade:rolling" -l timeout -d 'Stop watching after this time, with exit code 8; the operation goes on' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade:rolling" -l operation-id -d 'Id of the operation, made by you: the same id again attaches instead of starting twice' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade:rolling" -l format -d '`table` for people, `json` for scripts' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade:rolling" -s E -l env -d 'Environment to talk to; default: OROCLOUD_ENV, then `default` of the configuration' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade:rolling" -l log -d 'Append a copy of what is printed to FILE, with times and without colours' -r -F
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade:rolling" -l skip-check-patches -d 'Do not check patches; none are kept so far, so there is nothing to check either way'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade:rolling" -l skip-search-reindexation -d 'Leave the search index alone; this is the default'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade:rolling" -l schedule-search-reindexation -d 'Have oro:platform:update schedule the indexing of everything'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade:rolling" -l skip-backup -d 'Take no recovery point first'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade:rolling" -l skip-cache-rebuild -d 'Leave the caches of the new release to its first requests'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade:rolling" -l detach -d 'Start it, print its id and leave; follow it with log:view --follow'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade:rolling" -l ignore-window -d 'Start although a maintenance window is near'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade:rolling" -l dry-run -d 'Show what it would do and change nothing'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade:rolling" -l json -d 'The same as --format=json'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade:rolling" -s q -l quiet -d 'Print errors only'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade:rolling" -s v -l verbose -d 'Print more: -v output of programs, -vv and -vvv more detail'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade:rolling" -s n -l no-interaction -d 'Never ask; what destroys something then needs --force'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade:rolling" -l ansi -d 'Use colours even without a terminal'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade:rolling" -l no-ansi -d 'Use no colours; so does the variable NO_COLOR'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade:rolling" -s V -l version -d 'Print the version, and the agents\' versions as of the last calls; never connects'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade:rolling" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade:source" -l reference -l tag -d 'Tag, branch or commit to upgrade to; asked for when it is missing' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade:source" -l downtime-duration -d 'How long the maintenance is announced to take' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade:source" -l downtime-comment -d 'Why, for whoever asks during the maintenance' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade:source" -l wait-lock -d 'Wait for a lock that another operation holds, instead of exit code 6 at once' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade:source" -l timeout -d 'Stop watching after this time, with exit code 8; the operation goes on' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade:source" -l operation-id -d 'Id of the operation, made by you: the same id again attaches instead of starting twice' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade:source" -l format -d '`table` for people, `json` for scripts' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade:source" -s E -l env -d 'Environment to talk to; default: OROCLOUD_ENV, then `default` of the configuration' -r
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade:source" -l log -d 'Append a copy of what is printed to FILE, with times and without colours' -r -F
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade:source" -l skip-check-patches -d 'Do not check patches; none are kept so far, so there is nothing to check either way'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade:source" -l skip-search-reindexation -d 'Leave the search index alone; this is the default'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade:source" -l schedule-search-reindexation -d 'Have oro:platform:update schedule the indexing of everything'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade:source" -l skip-backup -d 'Take no recovery point first'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade:source" -l skip-cache-rebuild -d 'Leave the caches of the new release to its first requests'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade:source" -l detach -d 'Start it, print its id and leave; follow it with log:view --follow'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade:source" -l ignore-window -d 'Start although a maintenance window is near'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade:source" -l dry-run -d 'Show what it would do and change nothing'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade:source" -l json -d 'The same as --format=json'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade:source" -s q -l quiet -d 'Print errors only'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade:source" -s v -l verbose -d 'Print more: -v output of programs, -vv and -vvv more detail'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade:source" -s n -l no-interaction -d 'Never ask; what destroys something then needs --force'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade:source" -l ansi -d 'Use colours even without a terminal'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade:source" -l no-ansi -d 'Use no colours; so does the variable NO_COLOR'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade:source" -s V -l version -d 'Print the version, and the agents\' versions as of the last calls; never connects'
complete -c orocloud-cli -n "__fish_orocloud_cli_using_subcommand upgrade:source" -s h -l help -d 'Print help (see more with \'--help\')'
