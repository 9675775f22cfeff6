//! Where a report goes: standard output, or a file that appears complete or not at all.

use std::{
    fs::{self, File},
    io::{self, BufWriter, ErrorKind, IsTerminal, Write},
    os::{fd::AsFd, unix::fs::PermissionsExt},
    path::{Path, PathBuf},
};

use anstream::{AutoStream, ColorChoice};
use jiff::tz::TimeZone;

use super::{
    failure::Failure,
    pager::Pager,
    progress::{Bar, WRITING},
};
use crate::{
    interrupt::TemporaryFile,
    progress::Progress,
    render::{ColorMode, table::Screen},
    storage::{Db, FILE_MODE},
};

/// The size of the write buffer.
const BUFFER_BYTES: usize = 64 * 1024;
/// The width of a table that is not printed on a terminal.
const WIDTH_DEFAULT: u16 = 80;
/// In a narrower table, a line would hold only one or two letters.
const WIDTH_MIN: u16 = 40;

/// What a renderer writes to.
pub(super) type Out = BufWriter<Counted>;

/// A file, and the number of bytes written to it.
pub(super) struct Counted {
    file: File,
    written: u64,
    /// None if the output goes to a terminal or a pipe, where the bar would appear between the lines.
    bar: Option<Bar>,
}

impl Counted {
    fn buffered(file: File, bar: Option<Bar>) -> Out {
        let counted = Self {
            file,
            written: 0,
            bar,
        };
        BufWriter::with_capacity(BUFFER_BYTES, counted)
    }
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.written += count as u64;
        if let Some(bar) = &mut self.bar {
            bar.show(Progress {
                done: self.written,
                total: 0,
            });
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Renders to standard output, or to a temporary file next to `path` that replaces `path` when it is complete and synced.
/// The files of `db`, from which the report is made, are never overwritten.
pub(super) fn write(
    db: &Db,
    path: Option<&Path>,
    render: impl FnOnce(&mut Out) -> io::Result<()>,
) -> Result<(), Failure> {
    let Some(path) = path.filter(|path| *path != Path::new("-")) else {
        return print(render);
    };
    let failed = |error: io::Error| Failure::Write {
        path: path.to_owned(),
        error,
    };
    let target = target(path).map_err(failed)?;
    if db.owns(&target) {
        return Err(Failure::OverDatabase(path.to_owned()));
    }
    let file = new_file_next_to(&target).map_err(failed)?;
    let open = file.as_file().try_clone().map_err(failed)?;
    let mut out = Counted::buffered(open, Some(Bar::new(WRITING)));
    render(&mut out).map_err(failed)?;
    drop(out);
    file.as_file().sync_all().map_err(failed)?;
    file.persist(&target).map_err(failed)
}

/// Renders to standard output, through a pager if that is a terminal.
pub(super) fn print(render: impl FnOnce(&mut Out) -> io::Result<()>) -> Result<(), Failure> {
    if io::stdout().is_terminal()
        && let Some((pager, input)) = Pager::start()
    {
        // The pager reads until its input is closed, which is when `render` has returned.
        let printed = render(&mut Counted::buffered(input, None));
        pager.wait();
        return Ok(ignore_closed_pipe(printed)?);
    }
    // Not through io::stdout(), which would add a second buffer.
    let stdout = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    // No bar if it is a pipe, because a pager may use the terminal.
    let is_file = stdout.metadata().is_ok_and(|stdout| stdout.is_file());
    let printed = render(&mut Counted::buffered(
        stdout,
        is_file.then(|| Bar::new(WRITING)),
    ));
    Ok(ignore_closed_pipe(printed)?)
}

/// A reader that ends early (`| head`) is not an error for a command that only prints.
pub(super) fn ignore_closed_pipe(printed: io::Result<()>) -> io::Result<()> {
    match printed {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        printed => printed,
    }
}

/// The file that will be replaced: the target of a symbolic link, never a device or a directory.
fn target(path: &Path) -> io::Result<PathBuf> {
    match fs::canonicalize(path) {
        Ok(target) if target.is_file() => Ok(target),
        Ok(_) => Err(io::Error::other("it is not a regular file")),
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        Err(_) if path.is_symlink() => Err(io::Error::other("it is a broken symbolic link")),
        Err(_) => std::path::absolute(path),
    }
}

/// A report contains data of the database, so its file has the same mode as the database, or a stricter one: that of the
/// umask, or of the file that it replaces.
fn new_file_next_to(target: &Path) -> io::Result<TemporaryFile> {
    let mode_before =
        fs::metadata(target).map_or(FILE_MODE, |metadata| metadata.permissions().mode());
    let directory = target.parent().unwrap_or(Path::new("/"));
    TemporaryFile::new(directory, FILE_MODE & mode_before)
}

/// The width of the terminal, also behind a pager, or else `COLUMNS`; and whether standard output gets colours. A
/// terminal does, unless `NO_COLOR`, `CLICOLOR=0` or `TERM=dumb` is set; with `CLICOLOR_FORCE`, any output does
/// ([no-color.org](https://no-color.org), [CLICOLOR](https://bixense.com/clicolors/)).
pub(super) fn screen(zone: TimeZone) -> Screen {
    let terminal = terminal_size::terminal_size_of(io::stdout())
        .or_else(|| terminal_size::terminal_size_of(io::stderr()))
        .map(|(width, _)| width.0);
    let columns = || std::env::var("COLUMNS").ok()?.parse().ok();
    let colors = match AutoStream::choice(&io::stdout()) {
        ColorChoice::Never => ColorMode::Plain,
        _ => ColorMode::Color,
    };
    Screen {
        width: terminal
            .or_else(columns)
            .unwrap_or(WIDTH_DEFAULT)
            .max(WIDTH_MIN),
        zone,
        colors,
        shared_names: None,
    }
}

/// Prints what was done to standard output. Errors are ignored, because it is done even if nobody reads the line.
pub(super) fn say_done(line: &str) {
    let _ = say(line);
}

/// Prints a line to standard output.
pub(super) fn say(line: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}")?;
    stdout.flush()
}
