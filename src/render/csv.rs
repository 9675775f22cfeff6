//! CSV: always a header, and one line per row.

use std::io::{self, Write};

use jiff::tz::TimeZone;

use super::{
    Asked, Format, Report, rounded,
    rows::{Column, Value},
};
use crate::text::spreadsheet::Cells;

/// The CSV format.
#[derive(Debug, Clone)]
pub(crate) struct Csv {
    pub(crate) cells: Cells,
    pub(crate) reader: Reader,
    /// What separates cells. A cell is guarded for all that [`crate::text::spreadsheet`] names.
    pub(crate) separator: u8,
}

/// Who reads a CSV.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reader {
    /// A program: exact times in UTC.
    Program,
    /// Excel: times as it reads them, in this time zone and to the second, and a byte order mark, without which it would read
    /// the letters outside ASCII as those of another encoding.
    Excel(TimeZone),
}

impl Format for Csv {
    fn write(&self, report: &Report, _: &Asked, out: &mut impl Write) -> io::Result<()> {
        if let Reader::Excel(_) = self.reader {
            out.write_all(BYTE_ORDER_MARK)?;
        }
        let mut writer = self.writer(out);
        let list = report.list();
        for column in &list.sample {
            for field in column.info.fields {
                writer.write_field(field).map_err(io_error)?;
            }
        }
        end_record(&mut writer)?;
        (list.rows)(&mut |row| self.row(&mut writer, row))?;
        writer.flush()
    }
}

impl Csv {
    fn writer<W: Write>(&self, out: W) -> csv::Writer<W> {
        csv::WriterBuilder::new()
            .delimiter(self.separator)
            .from_writer(out)
    }

    fn row(&self, writer: &mut csv::Writer<impl Write>, row: &[Column<'_>]) -> io::Result<()> {
        for column in row {
            for (_, value) in column.values() {
                self.field(writer, value).map_err(io_error)?;
            }
        }
        end_record(writer)
    }

    fn field(
        &self,
        writer: &mut csv::Writer<impl Write>,
        value: Value<'_>,
    ) -> Result<(), csv::Error> {
        match value {
            Value::Nothing => writer.write_field(""),
            Value::Text(text) => writer.write_field(&*self.cells.write(text)),
            Value::Count(count) => writer.write_field(count.to_string()),
            Value::Share(share) => writer.write_field(rounded(share).to_string()),
            Value::Time(time) => match &self.reader {
                Reader::Program => writer.write_field(&*time.rfc3339()),
                Reader::Excel(zone) => writer.write_field(time.local_seconds(zone)),
            },
            Value::Day(date) => writer.write_field(date.to_string()),
        }
    }
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

fn end_record(writer: &mut csv::Writer<impl Write>) -> io::Result<()> {
    writer.write_record(None::<&[u8]>).map_err(io_error)
}

/// The conversion of the csv crate hides the error kind, which is needed to recognise a closed pipe.
fn io_error(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        _ => io::ErrorKind::InvalidData.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        import::clicks::Format,
        render::tests::{assert_imported, clicks, row},
    };
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_imported_as_it_was(clicks in clicks()) {
            let all = [Cells::Guarded, Cells::Raw].map(|cells| [b',', b';', b'\t'].map(|separator| (cells, separator)));
            for (cells, separator) in all.into_iter().flatten() {
                let csv = Csv { cells, reader: Reader::Program, separator };
                let header = "email,expert_username,expert_name,search_query,created_at\n";
                let mut file = header.replace(',', &char::from(separator).to_string()).into_bytes();
                let mut writer = csv.writer(&mut file);
                for (click, created_at) in &clicks {
                    csv.row(&mut writer, &row(click, *created_at).columns()).unwrap();
                }
                drop(writer);
                assert_imported(&file, Format::Csv, cells, &clicks);
            }
        }
    }
}
