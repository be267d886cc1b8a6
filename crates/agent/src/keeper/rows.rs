//! What a restore would do to the rows of each table.

use std::collections::{BTreeMap, BTreeSet};

use orocloud_protocol::backup::TableRows;

/// Rows by table; `None` where they could not be counted.
type Counted = BTreeMap<String, Option<u64>>;

/// Every table of either side, by name. `now` is `None` when the live database could not be read.
pub fn compare(then: &Counted, now: Option<&Counted>) -> Vec<TableRows> {
    let names: BTreeSet<&String> = then.keys().chain(now.into_iter().flat_map(BTreeMap::keys)).collect();
    names
        .into_iter()
        .map(|table| {
            let (then, now) = (then.get(table), now.map(|now| now.get(table)));
            TableRows {
                table: table.clone(),
                now: now.flatten().copied().flatten(),
                then: then.copied().flatten(),
                uncounted: now.is_none() || now == Some(Some(&None)) || then == Some(&None),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_cannot_be_counted_is_not_one_that_is_gone() {
        let counted = |tables: &[(&str, Option<u64>)]| -> Counted {
            tables.iter().map(|(table, rows)| ((*table).to_owned(), *rows)).collect()
        };
        let row = |table: &str, now, then, uncounted| TableRows { table: table.into(), now, then, uncounted };
        let then = counted(&[("orders", Some(25)), ("old", Some(1)), ("locked", None), ("busy", Some(2))]);
        let now = counted(&[("orders", Some(0)), ("new", Some(1)), ("locked", Some(3)), ("busy", None)]);
        assert_eq!(
            compare(&then, Some(&now)),
            [
                row("busy", None, Some(2), true),
                row("locked", Some(3), None, true),
                row("new", Some(1), None, false),
                row("old", None, Some(1), false),
                row("orders", Some(0), Some(25), false),
            ]
        );
        assert_eq!(compare(&counted(&[("orders", Some(25))]), None), [row("orders", None, Some(25), true)]);
    }
}
