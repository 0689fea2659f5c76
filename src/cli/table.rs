//! Rows under a heading, as wide as they need to be.

/// The lines of a table; the last column is not padded.
pub fn table<const N: usize>(heading: [&str; N], rows: &[[String; N]]) -> String {
    let mut widths = heading.map(|cell| cell.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = String::new();
    let mut line = |cells: [&str; N]| {
        let padded: Vec<String> = cells
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        out.push_str(padded.join("  ").trim_end());
        out.push('\n');
    };
    line(heading);
    for row in rows {
        line(std::array::from_fn(|index| row[index].as_str()));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [
            ["ä".to_owned(), "x".to_owned()],
            ["long".to_owned(), "y".to_owned()],
        ];
        assert_eq!(table(["a", "b"], &rows), "a     b\nä     x\nlong  y\n");
    }
}
