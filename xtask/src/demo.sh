# The story that `cargo xtask demo` tells: `say` a sentence, `type` a command. The environment variables are those of
# `cargo xtask sandbox env`.
set -euo pipefail

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
type() { printf '\033[36m$ %s\033[0m\n' "$*"; eval "$*"; }
orders() { type 'psql "$DATABASE_URL" --tuples-only --no-align --command "select count(*) as orders from orders"'; }
sell() {
    say "$1 orders come in."
    for _ in $(seq "$1"); do echo 'insert into orders default values;'; done | psql "$DATABASE_URL" --quiet
    orders
}
# The undo that a restore prints.
undo() { grep --only-matching -- '--undo=[0-9A-Z]*' "$1" | tail -n 1; }

# The options that a relay of the sandbox needs.
relay() {
    local address
    address=$(/usr/bin/python3 -c 'import json, sys
print(next(host["address"] for host in json.load(open(sys.argv[1]))["hosts"] if host["name"] == sys.argv[2]))' \
        "$sandbox/sandbox.json" "$1")
    printf '%s \\\n    %s \\\n    %s' "--host=$address --port=2525 --ca-file='$sandbox/nodes/$1/etc/authority.crt'" \
        '--probe-from=shop@example.com --probe-to=ann@example.com' \
        "--user=orocloud --password-stdin <'$sandbox/nodes/$1/etc/password'"
}
# Orders whose mail goes to as many buyers.
buy() {
    for number in $(seq "$1" "$2"); do
        curl --silent --output /dev/null --request POST "${SHOP_URL}order?mail=buyer$number@example.com"
    done
}
# How many buyers have mail by these relays.
buyers() {
    (cd "$sandbox/nodes" && for relay; do cat "$relay"/mail/received/*.json 2>/dev/null || true; done) |
        { grep --only-matching '"buyer[0-9]*@' || true; } | sort --unique | wc --lines
}

# Asks for the page as visitors do, until `visitors_leave`, which draws what they saw: a row for each half second.
visitors_come() {
    : >"$seen"
    for _ in 1 2 3; do
        while [ -e "$seen" ]; do
            curl --silent --max-time 10 --write-out 'status %{http_code} ' "$SHOP_URL" |
                awk -v now="$(date +%s.%N)" '
                    match($0, /id="version">[^<]*/) { version = substr($0, RSTART + 13, RLENGTH - 13) }
                    match($0, /status [0-9]+/) { status = substr($0, RSTART + 7, 3) }
                    END { print now, status, version == "" ? "-" : version }' >>"$seen" || true
        done &
    done
}
visitors_leave() {
    mv "$seen" "$seen.all"
    wait
    awk '
        NR == 1 { begin = $1 }
        { at = int(($1 - begin) * 2); if (at > last) last = at }
        $2 != 200 { failed[at]++; failures++; next }
        { answers[at, $3]++; versions[$3] = 1 }
        END {
            for (at = 0; at <= last; at++) {
                line = sprintf("%5.1f s ", at / 2)
                for (version in versions) {
                    count = answers[at, version] + 0
                    bar = ""
                    for (i = 0; i < count && i < 30; i++) bar = bar (i % 2 ? "" : "#")
                    line = line sprintf("  %s %-15s %3d", version, bar, count)
                }
                print line (failed[at] ? "  FAILED " failed[at] : "")
            }
            printf "%d answers, %d failed\n", NR, failures
        }' "$seen.all"
    rm -f "$seen.all"
}

printed=$(mktemp)
seen=$(mktemp)
trap 'rm -f "$printed" "$seen" "$seen.all"' EXIT

say 'An environment without an application.'
type 'curl --silent "$SHOP_URL" | grep --only-matching "Nothing deployed yet:.*environment"'
type 'orocloud-cli status || true'

say 'The first deployment: built once, sent to both web nodes, switched when its install commands have succeeded.'
type 'orocloud-cli deploy --reference=1.0.0'
type 'curl --silent --output /dev/null --write-out "%{http_code}\n" "$SHOP_URL"'

sell 10
say 'A recovery point by hand; from now on the agent takes one every hour.'
type 'orocloud-cli backup:create --label=before-disaster'
type 'orocloud-cli backup:list'

sell 15
before=$(psql "$DATABASE_URL" --tuples-only --no-align --command \
    "select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
# The mistake comes one second after this moment.
sleep 1
say 'Then, by mistake:'
type 'psql "$DATABASE_URL" --command "delete from orders"'
orders

say 'What can be restored, and what it was one second before the mistake.'
type 'orocloud-cli backup:window'
type "orocloud-cli backup:restore --to=$before --preview"

say 'Back to that second. A script names the environment; a person at a terminal is asked.'
type "orocloud-cli backup:restore --to=$before --force --confirm=acme-prod1 2>&1 | tee '$printed'"
orders

say 'The undo that was printed brings the empty table back …'
type "orocloud-cli backup:restore $(undo "$printed") --force --confirm=acme-prod1 2>&1 | tee '$printed'"
orders
say '… and is itself undone.'
type "orocloud-cli backup:restore $(undo "$printed") --force --confirm=acme-prod1"
orders

say 'Another version of the code, node after node, while visitors come in: what is going to happen, and what they see.'
type 'orocloud-cli upgrade:rolling --reference=1.0.1 --dry-run'
visitors_come
type 'orocloud-cli upgrade:rolling --reference=1.0.1'
visitors_leave

say 'A version whose update of the database fails goes back by itself: the page was up only meanwhile.'
type 'orocloud-cli upgrade --reference=2.0.0-broken || true'
type 'curl --silent "$SHOP_URL" | grep --only-matching "id=\"version\">[^<]*"'
type 'orocloud-cli release:list'

say 'Back to the version before.'
type 'orocloud-cli release:rollback'
type 'curl --silent "$SHOP_URL" | grep --only-matching "id=\"version\">[^<]*"'

say 'What runs beside the web: consumers, which take their messages from RabbitMQ.'
type 'orocloud-cli service:status'
type 'orocloud-cli queue:list'

say 'Who runs the environment announces an urgent maintenance window, on the maintenance node.'
sandbox=$(dirname "$OROCLOUD_CONFIG")
maint="$sandbox/nodes/maint1/etc/agent.toml"
received="$sandbox/nodes/mail/mail/received"
type "orocloud-agent window announce --config='$maint' --at=$(date --utc --date='+1 hour' +%Y-%m-%dT%H:%M:00Z) \\
    --for=30m --reason=security --work='OpenSSL, at once' --interrupts=yes | tee '$printed'"
window=$(cut --delimiter=' ' --fields=1 "$printed")
type 'orocloud-cli maintenance:windows'
say 'The technical contacts have it by mail, with the calendar attached.'
for _ in $(seq 120); do [ -e "$received/0001.json" ] || sleep 0.5; done
type "/usr/bin/python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[\"data\"])' '$received/0000.json' |
    sed --quiet '1,/END:VCALENDAR/p'"
say 'It has to begin at once. Whoever starts something now is told; a script is refused with exit code 7.'
type "orocloud-agent window change --config='$maint' --id=$window --at=$(date --utc +%Y-%m-%dT%H:%M:%SZ)"
type 'orocloud-cli backup:create -n || echo "exit code $?"'
type 'orocloud-cli backup:create -n --ignore-window'
say 'It is called off; calendars that have it take it out.'
type "orocloud-agent window cancel --config='$maint' --id=$window"
type 'orocloud-cli maintenance:windows --format=ical'

say 'Mail leaves by SMTP relays with priorities. Each is tried, stage by stage, before anything changes.'
type "orocloud-cli smtp:relay:set main --priority=10 $(relay relay1)"
type "orocloud-cli smtp:relay:set spare --priority=20 $(relay relay2)"
say 'The shop sends its orders by mail through them. Ten come in; then the preferred relay dies, and ten more come in.'
type 'buy 1 10'
type "cargo xtask sandbox --dir='$sandbox' node relay1 kill"
type 'buy 11 20'
say 'A message from each web node, followed to the relay that took it; and how the relays fare.'
type 'orocloud-cli smtp:test --to=ann@example.com'
type 'orocloud-cli smtp:show'
say 'Of the twenty orders each is somewhere:'
for _ in $(seq 60); do [ "$(buyers relay1 relay2)" -ge 20 ] || sleep 0.5; done
type 'echo "$(buyers relay1) by the relay that died, $(buyers relay2) by the other"'
say 'It comes back, and is used again.'
type "cargo xtask sandbox --dir='$sandbox' node relay1 start"
type 'orocloud-cli smtp:test --to=ann@example.com'

say 'The logs of both web nodes, merged by time.'
type 'for _ in 1 2 3; do curl --silent --output /dev/null "$SHOP_URL"; done'
type 'orocloud-cli log:tail app nginx --lines=20 --no-follow'

say 'All of that is in the journal, with who did it.'
type 'orocloud-cli log:list'
type 'orocloud-cli status'
