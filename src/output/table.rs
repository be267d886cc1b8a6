//! Lists: as a table drawn with `+ - |`, as CSV, as JSON.

use std::io;

use comfy_table::{ContentArrangement, LineStyle, Table, TableStyle, presets};
use serde::Serialize;

use super::{Format, Ui, escape};

/// The frame that the documentation shows.
const DOCUMENTED: TableStyle =
    presets::ASCII_FULL_CONDENSED.header_separator(LineStyle::new('+', '-', '+', '+'));

/// A column: its heading, its name in CSV, and what a row has in it.
pub struct Column<'a, T> {
    /// As the documentation writes it.
    pub heading: &'static str,
    /// The field's name on the wire.
    pub field: &'static str,
    /// The text of a row; empty shows as `-` in a table.
    pub cell: Box<dyn Fn(&T) -> String + 'a>,
}

/// A column.
pub fn column<'a, T>(
    heading: &'static str,
    field: &'static str,
    cell: impl Fn(&T) -> String + 'a,
) -> Column<'a, T> {
    Column { heading, field, cell: Box::new(cell) }
}

impl Ui {
    /// Prints rows, or in JSON the whole answer they come from.
    pub fn list<T, A: Serialize>(
        &mut self,
        answer: &A,
        rows: &[T],
        columns: &[Column<'_, T>],
    ) -> io::Result<()> {
        match self.format {
            Format::Json => self.json(answer),
            Format::Csv => {
                let text = csv(rows, columns)?;
                self.line(text.trim_end_matches('\n'))
            }
            Format::Table => {
                let text = draw(rows, columns, self.table_width());
                self.line(&text)
            }
        }
    }

    /// The line under a list, on stderr.
    pub fn list_footer(&mut self, environment: &str, total: u64, page: u32, per_page: u32) {
        if self.format == Format::Table {
            let pages = total.div_ceil(u64::from(per_page.max(1))).max(1);
            self.note(&format!(
                "[{environment}] Total {total} item(s), {pages} page(s). Current page: {page}, items per page: {per_page}."
            ));
        }
    }
}

fn csv<T>(rows: &[T], columns: &[Column<'_, T>]) -> io::Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(columns.iter().map(|column| column.field))?;
    for row in rows {
        writer.write_record(columns.iter().map(|column| (column.cell)(row)))?;
    }
    let bytes = writer.into_inner().map_err(|error| io::Error::other(error.to_string()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Draws a table; `width` makes it fit by wrapping cells.
pub fn draw<T>(rows: &[T], columns: &[Column<'_, T>], width: Option<u16>) -> String {
    let mut table = Table::new();
    table.load_style(DOCUMENTED);
    if let Some(width) = width {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    } else {
        table.set_content_arrangement(ContentArrangement::Disabled);
    }
    table.set_header(columns.iter().map(|column| column.heading));
    for row in rows {
        table.add_row(columns.iter().map(|column| {
            let text = escape::strip(&(column.cell)(row)).replace('\n', " ");
            if text.is_empty() { "-".to_owned() } else { text }
        }));
    }
    let mut lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    if rows.is_empty() {
        const EMPTY: &str = "List is empty";
        let inner = lines.first().map_or(0, |line| line.chars().count().saturating_sub(4)).max(EMPTY.len());
        lines.truncate(3);
        lines.push(format!("| {EMPTY:inner$} |"));
        lines.push(format!("+{}+", "-".repeat(inner + 2)));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::{Manner, Terminal};

    fn columns<'a>() -> Vec<Column<'a, (&'static str, &'static str)>> {
        vec![
            column("DATE", "name", |row: &(&str, &str)| row.0.into()),
            column("LABEL", "label", |row: &(&str, &str)| row.1.into()),
        ]
    }

    #[test]
    fn a_table_is_drawn_as_documented() {
        let rows = [("2026-11-24-1025", "before \u{1b}[31mdisaster"), ("2026-11-24-0925", "")];
        assert_eq!(
            draw(&rows, &columns(), None),
            "+-----------------+-----------------+\n\
             | DATE            | LABEL           |\n\
             +-----------------+-----------------+\n\
             | 2026-11-24-1025 | before disaster |\n\
             | 2026-11-24-0925 | -               |\n\
             +-----------------+-----------------+"
        );
        assert_eq!(
            draw(&[], &columns(), None),
            "+------+-------+\n| DATE | LABEL |\n+------+-------+\n| List is empty |\n+---------------+"
        );
    }

    #[test]
    fn csv_has_the_wires_names_and_quotes() {
        let (mut ui, out, _) = Ui::captured(Terminal::default(), Manner::default(), &[]);
        ui.format = Format::Csv;
        ui.list(&(), &[("a", "x, \"y\"")], &columns()).unwrap();
        assert_eq!(out.text(), "name,label\na,\"x, \"\"y\"\"\"\n");
    }

    #[test]
    fn the_footer_stands_on_stderr() {
        let (mut ui, out, err) = Ui::captured(Terminal::default(), Manner::default(), &[]);
        ui.list_footer("acme-prod1", 51, 1, 25);
        assert_eq!(out.text(), "");
        assert_eq!(
            err.text(),
            "[acme-prod1] Total 51 item(s), 3 page(s). Current page: 1, items per page: 25.\n"
        );
    }
}
