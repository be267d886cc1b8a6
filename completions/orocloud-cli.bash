# bash completion for orocloud-cli

_orocloud_cli() {
    local global="--ansi --env= --log= --no-ansi --no-interaction --quiet --verbose --version --help"
    local names="app:package:build app:package:deploy app:package:list app:package:upgrade backup:create backup:list backup:restore backup:window completion deploy emergency:off emergency:on env:info env:list env:use help log:list log:sources log:tail log:view maintenance:off maintenance:on maintenance:status maintenance:windows operation:cancel operation:list operation:wait queue:list release:list release:rollback service:restart service:restart:consumer service:restart:cron service:restart:websocket service:start service:start:consumer service:start:cron service:start:websocket service:status service:status:consumer service:status:cron service:status:websocket service:stop service:stop:consumer service:stop:cron service:stop:websocket shell smtp:dns smtp:queue smtp:relay:remove smtp:relay:set smtp:show smtp:test smtp:whitelist status upgrade upgrade:rolling upgrade:source"
    local words=() current="" options="" command="" word i

    # Join what was split at colons: `backup : list` is one word.
    for ((i = 0; i <= COMP_CWORD; i++)); do
        word="${COMP_WORDS[i]}"
        if ((${#words[@]} > 0 && i > 0)) && { [[ $word == :* ]] || [[ ${words[-1]} == *: ]]; } &&
            [[ ${words[-1]} != -* ]]; then
            words[-1]+="$word"
        else
            words+=("$word")
        fi
    done
    current="${words[-1]}"

    local previous=""
    for word in "${words[@]:1:${#words[@]}-2}"; do
        if [[ $previous != -E && $previous != --env && $previous != --log && $word != -* && -z $command ]]; then
            command="$word"
        fi
        previous="$word"
    done

    COMPREPLY=()
    # `--env=acme` comes as `--env`, `=`, `acme`.
    local option="$previous"
    if [[ $previous == "=" && ${#words[@]} -ge 3 ]]; then
        option="${words[-3]}"
    elif [[ $current == "=" ]]; then
        option="$previous"
        current=""
    fi
    case "$option" in
        -E|--env|--confirm|env:use)
            COMPREPLY=($(compgen -W "$(orocloud-cli env:list --per-page=1000 --format=csv 2>/dev/null | sed -n '2,$s/,.*//p')" -- "$current"))
            return ;;
        --log) COMPREPLY=($(compgen -f -- "$current")); return ;;
        --format) COMPREPLY=($(compgen -W "table json csv" -- "$current")); return ;;
        --level) COMPREPLY=($(compgen -W "debug info notice warning error critical" -- "$current")); return ;;
    esac
    case "$command" in
        "")
            if [[ $current != -* ]]; then
                COMPREPLY=($(compgen -W "$names" -- "$current"))
                if [[ $COMP_WORDBREAKS == *:* && $current == *:* ]]; then
                    local typed="${current%"${current##*:}"}"
                    COMPREPLY=("${COMPREPLY[@]#"$typed"}")
                fi
                return
            fi ;;
        completion) options="bash zsh fish" ;;
        help) options="$names exit-codes config times" ;;
        app:package:build) options="--detach --dry-run --format= --ignore-window --json --label= --operation-id= --skip-assets-build --timeout= --wait-lock=" ;;
        app:package:deploy) options="--detach --dry-run --format= --ignore-window --json --operation-id= --rolling --skip-check-patches --source --timeout= --wait-lock=" ;;
        app:package:list) options="--format= --json --page= --per-page=" ;;
        app:package:upgrade) options="--detach --dry-run --format= --ignore-window --json --label= --operation-id= --rolling --source --timeout= --wait-lock=" ;;
        backup:create) options="--detach --dry-run --format= --ignore-window --json --keep-for= --label= --operation-id= --timeout= --wait-lock=" ;;
        backup:list) options="--format= --json --page= --per-page=" ;;
        backup:restore) options="--code-only --confirm= --database-only --detach --dry-run --force --format= --ignore-window --json --keep-old= --media --operation-id= --preview --timeline= --timeout= --to= --undo= --wait-lock=" ;;
        backup:window) options="--format= --json" ;;
        completion) options="" ;;
        deploy) options="--application-url= --detach --dry-run --format= --ignore-window --json --operation-id= --reference= --timeout= --user-email= --user-name= --user-password-stdin --wait-lock=" ;;
        emergency:off) options="--detach --dry-run --force --format= --ignore-window --json --operation-id= --timeout= --wait-lock=" ;;
        emergency:on) options="--detach --downtime-comment= --downtime-duration= --dry-run --force --format= --ignore-window --json --operation-id= --timeout= --wait-lock=" ;;
        env:info) options="--format= --json" ;;
        env:list) options="--format= --json --page= --per-page=" ;;
        env:use) options="" ;;
        help) options="" ;;
        log:list) options="--format= --json --page= --per-page=" ;;
        log:sources) options="--format= --json --page= --per-page=" ;;
        log:tail) options="--grep= --json --level= --lines= --no-follow --node= --since= --until-match= --until=" ;;
        log:view) options="--follow --format= --json" ;;
        maintenance:off) options="--detach --dry-run --force --format= --ignore-window --json --operation-id= --timeout= --wait-lock=" ;;
        maintenance:on) options="--detach --downtime-comment= --downtime-duration= --dry-run --force --format= --ignore-window --json --operation-id= --timeout= --wait-lock=" ;;
        maintenance:status) options="--format= --json" ;;
        maintenance:windows) options="--format= --from= --json --until=" ;;
        operation:cancel) options="--format= --give-up --json" ;;
        operation:list) options="--format= --json --page= --per-page=" ;;
        operation:wait) options="--format= --json --timeout=" ;;
        queue:list) options="--filter= --format= --json --page= --per-page=" ;;
        release:list) options="--format= --json --page= --per-page=" ;;
        release:rollback) options="--detach --dry-run --format= --ignore-window --json --operation-id= --timeout= --wait-lock=" ;;
        service:restart) options="--detach --dry-run --format= --ignore-window --json --operation-id= --timeout= --wait-lock=" ;;
        service:restart:consumer) options="--detach --dry-run --format= --ignore-window --json --operation-id= --timeout= --wait-lock=" ;;
        service:restart:cron) options="--detach --dry-run --format= --ignore-window --json --operation-id= --timeout= --wait-lock=" ;;
        service:restart:websocket) options="--detach --dry-run --format= --ignore-window --json --operation-id= --timeout= --wait-lock=" ;;
        service:start) options="--detach --dry-run --format= --ignore-window --json --operation-id= --timeout= --wait-lock=" ;;
        service:start:consumer) options="--detach --dry-run --format= --ignore-window --json --operation-id= --timeout= --wait-lock=" ;;
        service:start:cron) options="--detach --dry-run --format= --ignore-window --json --operation-id= --timeout= --wait-lock=" ;;
        service:start:websocket) options="--detach --dry-run --format= --ignore-window --json --operation-id= --timeout= --wait-lock=" ;;
        service:status) options="--format= --json" ;;
        service:status:consumer) options="--format= --json" ;;
        service:status:cron) options="--format= --json" ;;
        service:status:websocket) options="--format= --json" ;;
        service:stop) options="--detach --dry-run --format= --ignore-window --json --operation-id= --timeout= --wait-lock=" ;;
        service:stop:consumer) options="--detach --dry-run --format= --ignore-window --json --operation-id= --timeout= --wait-lock=" ;;
        service:stop:cron) options="--detach --dry-run --format= --ignore-window --json --operation-id= --timeout= --wait-lock=" ;;
        service:stop:websocket) options="--detach --dry-run --format= --ignore-window --json --operation-id= --timeout= --wait-lock=" ;;
        shell) options="" ;;
        smtp:dns) options="--format= --json" ;;
        smtp:queue) options="--doubtful --format= --history --json --page= --per-page=" ;;
        smtp:relay:remove) options="--detach --dry-run --format= --ignore-window --json --operation-id= --timeout= --wait-lock=" ;;
        smtp:relay:set) options="--ca-file= --detach --dry-run --format= --host= --ignore-window --json --operation-id= --password-stdin --port= --priority= --probe-from= --probe-to= --timeout= --tls= --user= --wait-lock=" ;;
        smtp:show) options="--format= --json" ;;
        smtp:test) options="--detach --dry-run --format= --from= --ignore-window --json --operation-id= --relay= --timeout= --to= --wait-lock=" ;;
        smtp:whitelist) options="--detach --dry-run --format= --ignore-window --json --operation-id= --timeout= --wait-lock=" ;;
        status) options="--format= --json --watch" ;;
        upgrade) options="--detach --downtime-comment= --downtime-duration= --dry-run --format= --ignore-window --json --operation-id= --reference= --schedule-search-reindexation --skip-backup --skip-cache-rebuild --skip-check-patches --skip-search-reindexation --timeout= --wait-lock=" ;;
        upgrade:rolling) options="--detach --downtime-comment= --downtime-duration= --dry-run --format= --ignore-window --json --operation-id= --reference= --schedule-search-reindexation --skip-backup --skip-cache-rebuild --skip-check-patches --skip-search-reindexation --timeout= --wait-lock=" ;;
        upgrade:source) options="--detach --downtime-comment= --downtime-duration= --dry-run --format= --ignore-window --json --operation-id= --reference= --schedule-search-reindexation --skip-backup --skip-cache-rebuild --skip-check-patches --skip-search-reindexation --timeout= --wait-lock=" ;;
    esac
    COMPREPLY=($(compgen -W "$options $global" -- "$current"))
    # No blank behind what still wants a value.
    [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
}

complete -F _orocloud_cli orocloud-cli
