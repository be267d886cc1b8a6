//! Tables and their rows.

use std::collections::BTreeMap;

use orocloud_protocol::CallError;
use tokio_postgres::Client;

use super::connection::{Server, failed};

/// Databases that can be connected to, by name.
pub async fn databases(client: &Client) -> Result<Vec<String>, CallError> {
    let rows = client
        .query(
            "select datname::text from pg_database where datallowconn and not datistemplate order by 1",
            &[],
        )
        .await
        .map_err(failed("the list of databases"))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

const TABLES: &str = "from pg_class c join pg_namespace n on n.oid = c.relnamespace \
    where c.relkind = 'r' and c.relpersistence = 'p' \
    and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')";

/// How many tables there are in one database.
pub async fn count_tables(client: &Client) -> Result<u64, CallError> {
    let row = client
        .query_one(&format!("select count(*) {TABLES}"), &[])
        .await
        .map_err(failed("counting the tables"))?;
    Ok(row.get::<_, i64>(0).unsigned_abs())
}

/// Exact rows of every table of every database, by `database.schema.table` without what is `main_database` and
/// `public`. `None` for a table whose rows cannot be counted now, for instance because it is locked. Unlogged and
/// temporary tables are no part of a backup and are left out. Every database is connected to.
pub async fn count_rows(
    server: &Server,
    main_database: &str,
) -> Result<BTreeMap<String, Option<u64>>, CallError> {
    let names = databases(&server.must_connect("postgres").await?).await?;
    let mut rows = BTreeMap::new();
    for database in names {
        let client = server.must_connect(&database).await?;
        let tables = client
            .query(
                &format!(
                    "select n.nspname::text, c.relname::text, format('%I.%I', n.nspname, c.relname) {TABLES}"
                ),
                &[],
            )
            .await
            .map_err(failed("the list of tables"))?;
        for table in tables {
            let (schema, name, quoted): (String, String, String) = (table.get(0), table.get(1), table.get(2));
            let count = client.query_one(&format!("select count(*) from only {quoted}"), &[]).await;
            let count = count.ok().map(|row| row.get::<_, i64>(0).unsigned_abs());
            let mut shown = String::new();
            if database != main_database {
                shown = format!("{database}.{schema}.");
            } else if schema != "public" {
                shown = format!("{schema}.");
            }
            rows.insert(shown + &name, count);
        }
    }
    Ok(rows)
}
