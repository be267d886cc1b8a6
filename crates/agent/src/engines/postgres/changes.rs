//! Whether anything in a database has changed since a moment: its schema, and committed transactions.

use std::time::Duration;

use jiff::Timestamp;
use orocloud_protocol::{CallError, ContentHash};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};
use tokio_postgres::Client;

use super::connection::{failed, timestamp_of};

/// Everything that defines the schema of a database, as sorted lines. Left out: what belongs to the server or to an
/// extension, and what merely counts (the values of sequences, statistics).
const SCHEMA: &str = r#"
with own as (
    select oid, nspname from pg_namespace
    where nspname not like 'pg\_%' and nspname <> 'information_schema'
)
select line from (
    select format('schema %I', nspname) as line from own
    union all
    select format('extension %I %s', extname, extversion) from pg_extension
    union all
    select format('relation %I.%I %s %s', n.nspname, c.relname, c.relkind, c.relpersistence)
        from pg_class c join own n on n.oid = c.relnamespace where c.relkind <> 't'
    union all
    select format('column %I.%I %s %I %s %s %s %s %s', n.nspname, c.relname, a.attnum, a.attname,
            format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated,
            pg_get_expr(d.adbin, d.adrelid))
        from pg_attribute a join pg_class c on c.oid = a.attrelid join own n on n.oid = c.relnamespace
        left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
        where a.attnum > 0 and not a.attisdropped and c.relkind in ('r', 'p', 'v', 'm', 'f', 'c')
    union all
    select format('constraint %s %I %s', c.conrelid::regclass, c.conname, pg_get_constraintdef(c.oid))
        from pg_constraint c join own n on n.oid = c.connamespace
    union all
    select format('index %s', pg_get_indexdef(i.indexrelid))
        from pg_index i join pg_class c on c.oid = i.indexrelid join own n on n.oid = c.relnamespace
    union all
    select format('view %I.%I %s', n.nspname, c.relname, pg_get_viewdef(c.oid))
        from pg_class c join own n on n.oid = c.relnamespace where c.relkind in ('v', 'm')
    union all
    select format('trigger %s', pg_get_triggerdef(t.oid))
        from pg_trigger t join pg_class c on c.oid = t.tgrelid join own n on n.oid = c.relnamespace
        where not t.tgisinternal
    union all
    select format('function %s', pg_get_functiondef(p.oid))
        from pg_proc p join own n on n.oid = p.pronamespace where p.prokind in ('f', 'p')
    union all
    select format('label %s %s %s', t.oid::regtype, e.enumsortorder, e.enumlabel)
        from pg_enum e join pg_type t on t.oid = e.enumtypid join own n on n.oid = t.typnamespace
) as lines order by line collate pg_catalog."C"
"#;

/// A digest of the schema: equal where nothing of it has changed.
pub async fn schema_digest(client: &Client) -> Result<ContentHash, CallError> {
    let rows = client.query(SCHEMA, &[]).await.map_err(failed("reading the schema"))?;
    let mut hasher = blake3::Hasher::new();
    for row in rows {
        hasher.update(row.get::<_, Option<&str>>(0).unwrap_or_default().as_bytes());
        hasher.update(b"\n");
    }
    Ok(crate::operations::hash(hasher.finalize()))
}

/// What a database held at a moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The moment.
    pub at: Timestamp,
    /// PostgreSQL's `pg_snapshot`: which transactions were visible then.
    snapshot: String,
    /// Of the schema.
    pub schema: ContentHash,
    /// Of the counts of rows written; absent where PostgreSQL counts too late to be asked.
    #[serde(default)]
    written: Option<String>,
}

/// What became of a database since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changes {
    /// Whether its schema is another one.
    pub schema: bool,
    /// Transactions that have committed something.
    pub transactions: u64,
}

/// Remembers what the database holds now.
pub async fn state(client: &Client) -> Result<State, CallError> {
    let schema = schema_digest(client).await?;
    let row = client
        .query_one(
            "select (extract(epoch from clock_timestamp()) * 1000000)::bigint, pg_current_snapshot()::text",
            &[],
        )
        .await
        .map_err(failed("asking for the newest transaction"))?;
    let at = timestamp_of(Some(row.get(0)))
        .ok_or_else(|| CallError::internal("the database has a time beyond all clocks"))?;
    Ok(State { at, snapshot: row.get(1), schema, written: written(client).await? })
}

/// How many rows of each table were ever written, catalogs included, so that nothing is missed that a transaction can
/// do; but for statistics. Before PostgreSQL 15 an idle session may keep its counts for itself.
async fn written(client: &Client) -> Result<Option<String>, CallError> {
    let row = client
        .query_opt(
            "select md5(string_agg(concat_ws(' ', relid, n_tup_ins, n_tup_upd, n_tup_del), ',' order by relid)) \
             from pg_stat_all_tables where relid not in ( \
                select oid from pg_class where relnamespace = 'pg_catalog'::regnamespace \
                and relname in ('pg_statistic', 'pg_statistic_ext_data')) \
             having current_setting('server_version_num')::int >= 150000",
            &[],
        )
        .await
        .map_err(failed("counting the rows written"))?;
    Ok(row.and_then(|row| row.get(0)))
}

/// Longer than an idle session of PostgreSQL keeps its counts for itself.
const COUNTS_ARE_TOLD: Duration = Duration::from_secs(11);

/// What has changed since. Transactions that began since and still run are ended first: nobody could tell otherwise
/// what they are going to do. Those that wrote no row do not count, nor those that only gathered statistics, as
/// autovacuum does at any time: where it gives the end of a table back, that is a transaction too.
pub async fn changes_since(client: &Client, then: &State) -> Result<Changes, CallError> {
    end_writers(client, then).await?;
    // pg_xact_status takes one at a time, and fails for one that has not begun.
    let row = client
        .query_one(
            "select count(*) from generate_series( \
                pg_snapshot_xmin($1::text::pg_snapshot)::text::bigint, \
                pg_snapshot_xmax(pg_current_snapshot())::text::bigint - 1) as number \
             where pg_xact_status(number::text::xid8) = 'committed' \
             and not pg_visible_in_snapshot(number::text::xid8, $1::text::pg_snapshot) \
             and not exists (select from pg_statistic where xmin::text::bigint = number % 4294967296)",
            &[&then.snapshot],
        )
        .await
        .map_err(failed("counting the transactions"))?;
    let mut transactions = row.get::<_, i64>(0).unsigned_abs();
    let schema = schema_digest(client).await? != then.schema;
    if transactions > 0 && !schema && then.written.is_some() && written(client).await? == then.written {
        sleep(COUNTS_ARE_TOLD).await;
        if written(client).await? == then.written {
            transactions = 0;
        }
    }
    Ok(Changes { schema, transactions })
}

/// How long transactions may take to end by themselves: the program that began them is gone.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long they may take once they are told to.
const LIMIT: Duration = Duration::from_secs(60);

/// Waits for, then ends, sessions of this database that have begun to write since.
async fn end_writers(client: &Client, then: &State) -> Result<(), CallError> {
    let began = Instant::now();
    // backend_xid has 32 bits and turns over: it is compared as PostgreSQL does, by the difference.
    let writers = "from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() \
        and backend_type = 'client backend' and backend_xid is not null \
        and (backend_xid::text::bigint + 4294967296 \
            - pg_snapshot_xmax($1::text::pg_snapshot)::text::bigint % 4294967296) % 4294967296 < 2147483648";
    loop {
        let left: i64 = client
            .query_one(&format!("select count(*) {writers}"), &[&then.snapshot])
            .await
            .map_err(failed("looking for transactions that still run"))?
            .get(0);
        if left == 0 {
            return Ok(());
        }
        if began.elapsed() > LIMIT {
            return Err(CallError::failed(format!("{left} transactions do not end, though told to")));
        }
        if began.elapsed() > PATIENCE {
            client
                .query(&format!("select pg_terminate_backend(pid) {writers}"), &[&then.snapshot])
                .await
                .map_err(failed("ending transactions that still run"))?;
        }
        sleep(Duration::from_millis(100)).await;
    }
}
