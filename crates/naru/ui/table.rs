//! Tables: columns as wide as their widest cell, three spaces apart, as Docker prints them.

use super::metadata;

/// A table with a line of headings.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings and no rows.
    pub(crate) fn new(headings: &[&str]) -> Self {
        Self { rows: vec![headings.iter().map(|&heading| heading.to_owned()).collect()] }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells.iter().map(|cell| metadata(cell)).collect());
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let columns = self.rows.first().map_or(0, Vec::len);
        let cell_width = |row: &Vec<String>, column| {
            row.get(column).map_or(0, |cell: &String| cell.chars().count())
        };
        let widths: Vec<usize> = (0..columns)
            .map(|column| self.rows.iter().map(|row| cell_width(row, column)).max().unwrap_or(0))
            .collect();
        for row in &self.rows {
            let (last, rest) = row.split_last().map_or(("", [].as_slice()), |(l, r)| (l, r));
            for (cell, &width) in rest.iter().zip(&widths) {
                write!(f, "{cell:width$}   ")?;
            }
            writeln!(f, "{last}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_hostile_cells_are_harmless() {
        let mut table = Table::new(&["NAME", "STATUS"]);
        table.row(vec!["shop-web-1".into(), "Up".into()]);
        table.row(vec!["a\x1b[2J".into(), String::new()]);
        assert_eq!(table.to_string(), "NAME         STATUS\nshop-web-1   Up\na^[[2J       \n");
    }
}
