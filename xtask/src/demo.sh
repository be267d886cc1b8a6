# The story that `cargo xtask demo` tells: `say` a sentence, `type` a command. The environment variables are those of
# `cargo xtask sandbox env`.
set -euo pipefail

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
type() { printf '\033[36m$ %s\033[0m\n' "$*"; eval "$*"; }

say 'An environment without an application: the load balancer shows what the web nodes say.'
type 'curl --silent "$SHOP_URL" | grep --only-matching "Nothing deployed yet:.*environment"'

say 'Its database is a real PostgreSQL, whose WAL goes to an encrypted repository.'
type 'psql "$DATABASE_URL" --tuples-only --command "select version()"'
