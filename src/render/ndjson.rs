//! NDJSON: one object per line, with the same fields as the columns of the CSV.

use std::io::{self, Write};

use super::{Asked, Format, Report, json, rows::Column};

/// The NDJSON format. Text is exact.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ndjson;

impl Format for Ndjson {
    fn write(&self, report: &Report, _: &Asked, out: &mut impl Write) -> io::Result<()> {
        (report.list().rows)(&mut |row| line(out, row))?;
        out.flush()
    }
}

pub(super) fn line(out: &mut impl Write, row: &[Column<'_>]) -> io::Result<()> {
    json::object(out, row.iter())?;
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        import::clicks,
        render::tests::{assert_imported, clicks, row},
        text::spreadsheet::Cells,
    };
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_imported_as_it_was(clicks in clicks()) {
            let mut file = Vec::new();
            for (click, created_at) in &clicks {
                line(&mut file, &row(click, *created_at).columns()).unwrap();
            }
            assert_imported(&file, clicks::Format::Ndjson, Cells::Guarded, &clicks);
        }
    }
}
