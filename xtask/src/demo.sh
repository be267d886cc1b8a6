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

printed=$(mktemp)
trap 'rm -f "$printed"' EXIT

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

say 'The logs of both web nodes, merged by time.'
type 'for _ in 1 2 3; do curl --silent --output /dev/null "$SHOP_URL"; done'
type 'orocloud-cli log:tail app nginx --lines=20 --no-follow'

say 'All of that is in the journal, with who did it.'
type 'orocloud-cli log:list'
type 'orocloud-cli status'
