//! Overwrites deleted data in the unused parts of the database file, which `secure_delete` misses.
//!
//! `secure_delete` overwrites a row when it is deleted. But when SQLite balances a tree it moves rows to other pages, and
//! leaves old copies where it rebuilds a page (`rebuildPage` in [btree.c](https://sqlite.org/src/file/src/btree.c)). After
//! 3,800 leads were deleted one after the other from a table with searches of all lengths, the emails of some of them were
//! still in the file in 30 of 38 checks. And other programs may not use `secure_delete` at all. So this module finds the
//! unused bytes by [the file format](https://sqlite.org/fileformat.html#b_tree_pages) and overwrites them. It never changes a
//! byte that SQLite reads. `VACUUM` would change rowids and rewrite the whole file under the lock.
//!
//! The file is searched in a snapshot, and only the pages that were found are cleared under the write lock. What a page is is
//! determined then, because it may have changed. Meanwhile other programs may have moved old bytes to pages that were clean:
//! balancing exchanges the buffers of neighbours, and `auto_vacuum` moves whole pages. All pages that they changed are in the WAL,
//! so these are cleared too.

use std::{
    fs::File,
    io::{self, ErrorKind},
    iter,
    ops::Range,
    os::unix::fs::FileExt,
    slice,
    time::{Duration, Instant},
};

use rusqlite::{Connection, OptionalExtension, ffi};

use super::{SqliteDb, batch::BATCH_TIME_MAX, path_with};
use crate::{
    storage::{Cause, Error},
    text::memory::{self, OutOfMemory},
};

/// How often the file is searched, at most, until so few pages are found that one transaction clears them. Beyond that, they
/// are cleared in several while the WAL can't begin anew.
const ROUNDS_MAX: usize = 5;

/// How long a transaction clears pages at least, even if it took long to read which ones are free.
const CLEAR_TIME_MIN: Duration = Duration::from_millis(10);

/// A page that begins with a larger number is one of a table or an index: the first byte of these is 2 or more, and a page of a
/// long value begins with the number of the next one.
const PAGES_MAX: u32 = 0x0200_0000;

/// The fewest bytes of a page that SQLite uses.
const USABLE_BYTES_MIN: usize = 480;

const SCAN: &str = "SELECT pgno, data FROM sqlite_dbpage ORDER BY pgno";
const READ: &str = "SELECT data FROM sqlite_dbpage WHERE pgno = ?1";
const WRITE: &str = "UPDATE sqlite_dbpage SET data = ?2 WHERE pgno = ?1";

// Without this variable at build time SQLite lacks sqlite_dbpage, and the statements above would fail at run time.
const _: () = assert!(
    names_dbpage(option_env!("LIBSQLITE3_FLAGS")),
    "build leadclicks in its own directory, where cargo finds .cargo/config.toml"
);

const fn names_dbpage(flags: Option<&str>) -> bool {
    const NAME: &[u8] = b"SQLITE_ENABLE_DBPAGE_VTAB";
    let Some(flags) = flags else { return false };
    let mut rest = flags.as_bytes();
    while rest.len() >= NAME.len() {
        let mut same = 0;
        while same < NAME.len() && rest[same] == NAME[same] {
            same += 1;
        }
        if same == NAME.len() {
            return true;
        }
        let Some((_, after)) = rest.split_first() else {
            return false;
        };
        rest = after;
    }
    false
}

/// The kind of a page, by which its unused part is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A page of a table or an index.
    Tree,
    /// A free page that lists others in its first `used` bytes.
    Trunk { used: usize },
    /// A free page without any used bytes.
    Free,
}

/// The numbers of pages that may have to be cleared; the last is the next.
type Pages = Vec<u32>;

impl SqliteDb {
    /// Overwrites with zeros the unused parts of all pages of tables and indexes, and the free pages, where deleted and moved
    /// rows have left copies. The WAL contains the overwritten bytes until [`SqliteDb::empty_wal`].
    ///
    /// Other programs can read and write meanwhile, because the search takes no lock, and each transaction takes at most some
    /// 50 ms and 4 MiB, and less if the disk is nearly full. Without a WAL they wait for a search too.
    ///
    /// # Errors
    /// If the database can't be written to, or is damaged. Earlier transactions are not rolled back.
    pub(crate) fn clear_unused(&self) -> Result<(), Error> {
        let mode: String =
            self.run(|conn| conn.query_row("PRAGMA journal_mode", [], |row| row.get(0)))?;
        let has_wal = mode == "wal";
        // A connection of its own, because its snapshot stays while this one writes.
        let searching = Self::open_for_report(&self.path)?;
        for round in 1.. {
            let many = searching.snapshot(|searching| {
                let found = searching.read(find)?;
                if found.len() > self.scrub_pages()? && round < ROUNDS_MAX {
                    return Ok(Some(found));
                }
                if has_wal {
                    self.clear_with_changed(found)?;
                }
                Ok(None)
            })?;
            let Some(mut left) = many else { break };
            while !left.is_empty() {
                self.clear_some(&mut left, |_| Ok(()))?;
            }
        }
        if has_wal {
            Ok(())
        } else {
            self.clear_without_wal()
        }
    }

    /// Clears the pages that were `found` in a snapshot that another connection keeps open, and those that were changed since.
    fn clear_with_changed(&self, found: Pages) -> Result<(), Error> {
        let mut left = found;
        if left.is_empty() {
            return Ok(());
        }
        let unusable = |error| Error::unusable(&self.path, error);
        let mut wal = WalTail::open(self).map_err(unusable)?;
        let mut frames = 0;
        while !left.is_empty() {
            frames = self.clear_some(&mut left, |left| {
                wal.add_changed_pages(frames, left).map_err(unusable)
            })?;
        }
        Ok(())
    }

    /// Without a WAL no other program can write during a search, nor read while this one writes.
    fn clear_without_wal(&self) -> Result<(), Error> {
        let mut left = Pages::new();
        loop {
            self.clear_some(&mut left, |left| {
                *left = self.read(find)?;
                Ok(())
            })?;
            if left.is_empty() {
                return Ok(());
            }
        }
    }

    /// Clears the last of the pages that are `left`, as many as one short transaction can, after that has begun and `add` has
    /// added others. Returns the number of frames in the WAL afterwards.
    fn clear_some(
        &self,
        left: &mut Pages,
        add: impl FnOnce(&mut Pages) -> Result<(), Error>,
    ) -> Result<u64, Error> {
        let pages_max = self.scrub_pages()?;
        let ((), frames) = self.in_batch(|| {
            self.write(|db| {
                add(left)?;
                db.read(|conn| clear(conn, left, pages_max))
            })
        })?;
        Ok(frames.number)
    }

    fn scrub_pages(&self) -> Result<usize, Error> {
        Ok(usize::try_from(self.batch_pages()?).unwrap_or(usize::MAX))
    }
}

/// The pages of the WAL that were changed since a snapshot that is still open: then the WAL begins anew once at most.
struct WalTail {
    file: File,
    page_bytes: u64,
    /// By these the frames since the WAL last began anew are recognized.
    salts: Option<[u8; 8]>,
    /// How many frames were read before.
    read: u64,
}

impl WalTail {
    /// The sizes of [the format](https://sqlite.org/fileformat.html#the_write_ahead_log).
    const HEADER_BYTES: usize = 32;
    const FRAME_HEADER_BYTES: usize = 24;

    fn open(db: &SqliteDb) -> io::Result<Self> {
        let file = File::open(path_with(&db.path, "-wal"))?;
        Ok(Self {
            file,
            page_bytes: 0,
            salts: None,
            read: 0,
        })
    }

    /// Adds the pages that other programs have changed, and some more, in a transaction that holds the write lock. `committed` is a
    /// number of frames that the WAL has had between the last call and this one: others after these may be of a transaction that
    /// was rolled back, and the next one overwrites them.
    fn add_changed_pages(&mut self, committed: u64, pages: &mut Pages) -> io::Result<()> {
        let mut header = [0; Self::HEADER_BYTES];
        let mut changed = Pages::new();
        if self.file.read_at(&mut header, 0)? < header.len() {
            // It is empty.
            return Ok(());
        }
        let salts = header[16..].first_chunk().copied();
        let is_same = self.salts == salts;
        if !is_same {
            self.salts = salts;
            self.read = 0;
            self.page_bytes = u64::from(u32_at(&header, 8).unwrap_or_default());
        }
        let mut frame = [0; Self::FRAME_HEADER_BYTES];
        let frame_bytes = frame.len() as u64 + self.page_bytes;
        for number in self.read.. {
            let at = header.len() as u64 + number * frame_bytes;
            let is_whole = self.file.read_at(&mut frame, at)? == frame.len();
            if !is_whole || frame[8..].first_chunk() != salts.as_ref() {
                break;
            }
            if let Some(page) = u32_at(&frame, 0) {
                memory::push(&mut changed, page).map_err(out_of_memory)?;
            }
        }
        if is_same {
            self.read = committed;
        }
        // A page is in the WAL as often as it was changed.
        changed.sort_unstable();
        changed.dedup();
        memory::reserve(pages, changed.len()).map_err(out_of_memory)?;
        pages.append(&mut changed);
        Ok(())
    }
}

fn out_of_memory(_: OutOfMemory) -> io::Error {
    ErrorKind::OutOfMemory.into()
}

/// The pages whose unused parts are not all zeros. A long value counts as a part of the page on which it begins.
fn find(conn: &Connection) -> Result<Pages, Cause> {
    let layout = Layout::read(conn)?;
    let mut found = Vec::new();
    let mut scan = conn.prepare_cached(SCAN)?;
    let mut pages = scan.query([])?;
    while let Some(row) = pages.next()? {
        let number = row.get(0)?;
        let page = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
        let mut is_clean = true;
        layout.for_unused(conn, number, page, &mut |_, page, unused| {
            is_clean &= is_clear(page, unused)?;
            Ok(())
        })?;
        if !is_clean {
            memory::push(&mut found, number)?;
        }
    }
    // The first is cleared first.
    found.reverse();
    Ok(found)
}

/// Clears the last of `left`, and removes them from it.
fn clear(conn: &Connection, left: &mut Pages, pages_max: usize) -> Result<(), Cause> {
    let begin = Instant::now();
    let layout = Layout::read(conn)?;
    // However long that took, so that each transaction clears some.
    let end = (begin + BATCH_TIME_MAX).max(Instant::now() + CLEAR_TIME_MIN);
    let mut cleared = 0;
    while cleared < pages_max
        && Instant::now() < end
        && let Some(number) = left.pop()
    {
        // Other programs may have shortened the file.
        let Some(page) = read_page(conn, number)? else {
            continue;
        };
        layout.for_unused(conn, number, &page, &mut |number, page, unused| {
            if !is_clear(page, unused)? {
                overwrite(conn, number, page.to_vec(), unused)?;
                cleared += 1;
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn is_clear(page: &[u8], unused: &[Range<usize>]) -> Result<bool, Cause> {
    let mut is_clear = true;
    for range in unused {
        let bytes = page.get(range.clone()).ok_or_else(damaged)?;
        is_clear &= bytes.iter().all(|byte| *byte == 0);
    }
    Ok(is_clear)
}

fn overwrite(
    conn: &Connection,
    number: u32,
    mut page: Vec<u8>,
    unused: &[Range<usize>],
) -> Result<(), Cause> {
    for range in unused {
        page.get_mut(range.clone()).ok_or_else(damaged)?.fill(0);
    }
    conn.prepare_cached(WRITE)?.execute((number, page))?;
    Ok(())
}

/// What decides the kind of a page besides its own bytes, as of one transaction.
struct Layout {
    pages: u32,
    /// The bytes of each page that SQLite uses: those at its end may be reserved for extensions.
    usable: usize,
    /// None without `auto_vacuum`.
    maps: Option<Maps>,
    free: FreePages,
}

impl Layout {
    fn read(conn: &Connection) -> Result<Self, Cause> {
        let pages = conn.query_row("PRAGMA page_count", [], |row| row.get(0))?;
        if pages >= PAGES_MAX {
            return Err(Cause::TooManyPages);
        }
        let header = read_page(conn, 1)?.ok_or_else(damaged)?;
        let reserved = usize::from(*header.get(20).ok_or_else(damaged)?);
        let usable = header.len().checked_sub(reserved);
        let usable = usable.filter(|bytes| *bytes >= USABLE_BYTES_MIN);
        let usable = usable.ok_or_else(damaged)?;
        let has_maps = u32_at(&header, 52).ok_or_else(damaged)? != 0;
        Ok(Self {
            pages,
            usable,
            maps: has_maps
                .then(|| Maps::of(header.len(), usable))
                .transpose()?,
            free: free_pages(conn, pages)?,
        })
    }

    /// The kind of the page `number`; none for a page of a long value, and for others without unused bytes.
    fn kind(&self, number: u32, page: &[u8]) -> Option<Kind> {
        let is_map = || self.maps.is_some_and(|maps| maps.contain(number));
        let is_tree = || u32_at(page, 0) > Some(self.pages) && !is_map();
        let kind = self.free.kind(number, page);
        kind.or_else(|| is_tree().then_some(Kind::Tree))
    }

    /// Calls `work` with the number, the bytes and the unused parts of a page, and of the last pages of the long values
    /// that begin on it.
    fn for_unused(
        &self,
        conn: &Connection,
        number: u32,
        page: &[u8],
        work: &mut impl FnMut(u32, &[u8], &[Range<usize>]) -> Result<(), Cause>,
    ) -> Result<(), Cause> {
        match self.kind(number, page) {
            None => Ok(()),
            Some(Kind::Free) => work(number, page, slice::from_ref(&(0..self.usable))),
            Some(Kind::Trunk { used }) => work(number, page, slice::from_ref(&(used..self.usable))),
            Some(Kind::Tree) => {
                let tree = TreePage::new(page, number, self.usable)?;
                work(number, page, &tree.unused().ok_or_else(damaged)?)?;
                for cell in 0..tree.cells {
                    if let Some(long) = tree.long_value(cell)? {
                        let (last, page, unused) = self.end_of(conn, long)?;
                        work(last, &page, slice::from_ref(&unused))?;
                    }
                }
                Ok(())
            }
        }
    }

    /// The number and the bytes of the last page of a long value, and which of these are unused.
    fn end_of(
        &self,
        conn: &Connection,
        LongValue { first, mut bytes }: LongValue,
    ) -> Result<(u32, Vec<u8>, Range<usize>), Cause> {
        const LINK_BYTES: usize = 4;
        let content = self.usable - LINK_BYTES;
        let mut number = first;
        loop {
            let page = read_page(conn, number)?.ok_or_else(damaged)?;
            if bytes <= content {
                return Ok((number, page, LINK_BYTES + bytes..self.usable));
            }
            bytes -= content;
            number = u32_at(&page, 0).ok_or_else(damaged)?;
        }
    }
}

/// Which pages are [maps of others](https://sqlite.org/fileformat.html#pointer_map_or_ptrmap_pages).
#[derive(Debug, Clone, Copy)]
struct Maps {
    /// How many pages there are from one map to the next, at most.
    distance: u32,
    /// The page that is only used for locks. If a map is due there, it is the next page.
    lock: u32,
}

impl Maps {
    fn of(page_bytes: usize, usable: usize) -> Result<Self, Cause> {
        const ENTRY_BYTES: usize = 5;
        const LOCK_AT: usize = 0x4000_0000;
        let number = |number| u32::try_from(number).map_err(|_| damaged());
        Ok(Self {
            distance: number(usable / ENTRY_BYTES + 1)?,
            lock: number(LOCK_AT / page_bytes + 1)?,
        })
    }

    fn contain(self, number: u32) -> bool {
        const FIRST: u32 = 2;
        let is_due = |number: u32| {
            let after = number.checked_sub(FIRST);
            after.is_some_and(|after| after.is_multiple_of(self.distance))
        };
        if number == self.lock + 1 {
            is_due(self.lock) || is_due(number)
        } else {
            number != self.lock && is_due(number)
        }
    }
}

/// Which pages are free. There may be millions, and their list is read again and again.
struct FreePages(Vec<Free>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Free {
    Not,
    /// A page of the list.
    Trunk,
    /// Any other free page.
    Leaf,
}

impl FreePages {
    fn kind(&self, number: u32, page: &[u8]) -> Option<Kind> {
        match self.0.get(number as usize)? {
            Free::Not => None,
            Free::Trunk => trunk_used(page).map(|used| Kind::Trunk { used }),
            Free::Leaf => Some(Kind::Free),
        }
    }
}

/// How many bytes of a page of the list are used.
fn trunk_used(page: &[u8]) -> Option<usize> {
    Some(8 + 4 * u32_at(page, 4)? as usize)
}

/// All free pages, from [the list](https://sqlite.org/fileformat.html#the_freelist) that begins in the file's header.
fn free_pages(conn: &Connection, pages: u32) -> Result<FreePages, Cause> {
    let count = pages as usize + 1;
    let mut free = Vec::new();
    memory::reserve(&mut free, count)?;
    free.resize(count, Free::Not);
    let header = read_page(conn, 1)?.ok_or_else(damaged)?;
    let mut number = u32_at(&header, 32).ok_or_else(damaged)?;
    while number != 0 {
        let page = read_page(conn, number)?.ok_or_else(damaged)?;
        let used = trunk_used(&page).ok_or_else(damaged)?;
        let leaves = page.get(8..used).ok_or_else(damaged)?;
        let trunk = free.get_mut(number as usize).ok_or_else(damaged)?;
        if *trunk == Free::Trunk {
            return Err(damaged());
        }
        *trunk = Free::Trunk;
        for leaf in leaves.chunks_exact(4).filter_map(|bytes| u32_at(bytes, 0)) {
            let leaf = free.get_mut(leaf as usize).ok_or_else(damaged)?;
            if *leaf == Free::Not {
                *leaf = Free::Leaf;
            }
        }
        number = u32_at(&page, 0).ok_or_else(damaged)?;
    }
    Ok(FreePages(free))
}

/// The bytes of a page; none beyond the file's end.
fn read_page(conn: &Connection, number: u32) -> rusqlite::Result<Option<Vec<u8>>> {
    conn.prepare_cached(READ)?
        .query_row([number], |row| row.get(0))
        .optional()
}

/// A page of a table or an index.
struct TreePage<'a> {
    page: &'a [u8],
    usable: usize,
    /// Where its header begins: after that of the file on the first page.
    header: usize,
    kind: u8,
    /// Where the list of its cells begins.
    list: usize,
    cells: usize,
}

/// A value that is longer than a page: the first of its other pages, and how many of its bytes are there.
struct LongValue {
    first: u32,
    bytes: usize,
}

impl<'a> TreePage<'a> {
    const INDEX_INTERIOR: u8 = 2;
    const TABLE_INTERIOR: u8 = 5;
    const INDEX_LEAF: u8 = 10;
    const TABLE_LEAF: u8 = 13;

    /// The longest value of SQLite.
    const VALUE_BYTES_MAX: usize = 0x7fff_ffff;

    fn new(page: &'a [u8], number: u32, usable: usize) -> Result<Self, Cause> {
        const FILE_HEADER_BYTES: usize = 100;
        let header = if number == 1 { FILE_HEADER_BYTES } else { 0 };
        let kind = *page.get(header).ok_or_else(damaged)?;
        let list = match kind {
            Self::INDEX_INTERIOR | Self::TABLE_INTERIOR => header + 12,
            Self::INDEX_LEAF | Self::TABLE_LEAF => header + 8,
            _ => return Err(damaged()),
        };
        Ok(Self {
            page,
            usable,
            header,
            kind,
            list,
            cells: u16_at(page, header + 3).ok_or_else(damaged)?,
        })
    }

    /// The gap between the list of the cells and the cells, and the free blocks among these, except the 4 bytes that link
    /// each block to the next. None if the page does not follow the format.
    fn unused(&self) -> Option<Vec<Range<usize>>> {
        const LINK_BYTES: usize = 4;
        let Self {
            page,
            usable,
            header,
            ..
        } = *self;
        let gap_begin = self.list + 2 * self.cells;
        let gap_end = match u16_at(page, header + 5)? {
            0 => 0x1_0000,
            end => end,
        };
        if gap_begin > gap_end || gap_end > usable {
            return None;
        }
        let mut ranges: Vec<Range<usize>> = iter::once(gap_begin..gap_end).collect();
        let mut after = gap_end;
        let mut block = u16_at(page, header + 1)?;
        while block != 0 {
            let block_end = block + u16_at(page, block + 2)?;
            if block < after || block_end < block + LINK_BYTES || block_end > usable {
                return None;
            }
            ranges.push(block + LINK_BYTES..block_end);
            after = block_end;
            block = u16_at(page, block)?;
        }
        Some(ranges)
    }

    /// The [part of a cell's value](https://sqlite.org/fileformat.html#b_tree_pages) that is on other pages, if there is one.
    fn long_value(&self, cell: usize) -> Result<Option<LongValue>, Cause> {
        const CHILD_BYTES: usize = 4;
        let mut at = u16_at(self.page, self.list + 2 * cell).ok_or_else(damaged)?;
        match self.kind {
            Self::TABLE_INTERIOR => return Ok(None),
            Self::INDEX_INTERIOR => at += CHILD_BYTES,
            _ => {}
        }
        let (bytes, mut at) = varint_at(self.page, at).ok_or_else(damaged)?;
        let bytes = usize::try_from(bytes).ok();
        let bytes = bytes.filter(|bytes| *bytes <= Self::VALUE_BYTES_MAX);
        let bytes = bytes.ok_or_else(damaged)?;
        let local_min = (self.usable - 12) * 32 / 255 - 23;
        let local_max = if self.kind == Self::TABLE_LEAF {
            (_, at) = varint_at(self.page, at).ok_or_else(damaged)?;
            self.usable - 35
        } else {
            (self.usable - 12) * 64 / 255 - 23
        };
        if bytes <= local_max {
            return Ok(None);
        }
        let local = match local_min + (bytes - local_min) % (self.usable - 4) {
            local if local <= local_max => local,
            _ => local_min,
        };
        Ok(Some(LongValue {
            first: u32_at(self.page, at + local).ok_or_else(damaged)?,
            bytes: bytes - local,
        }))
    }
}

/// A [number of variable length](https://sqlite.org/fileformat.html#varint), and where it ends.
fn varint_at(bytes: &[u8], at: usize) -> Option<(u64, usize)> {
    const BYTES_MAX: usize = 9;
    let mut number = 0;
    for index in 0..BYTES_MAX {
        let byte = *bytes.get(at + index)?;
        if index == BYTES_MAX - 1 {
            return Some((number << 8 | u64::from(byte), at + BYTES_MAX));
        }
        number = number << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((number, at + index + 1));
        }
    }
    None
}

fn u16_at(bytes: &[u8], at: usize) -> Option<usize> {
    let (number, _) = bytes.get(at..)?.split_first_chunk()?;
    Some(usize::from(u16::from_be_bytes(*number)))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let (number, _) = bytes.get(at..)?.split_first_chunk()?;
    Some(u32::from_be_bytes(*number))
}

fn damaged() -> Cause {
    Cause::Sqlite(rusqlite::Error::SqliteFailure(
        ffi::Error::new(ffi::SQLITE_CORRUPT),
        None,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A free page with a deleted row becomes the last page of a long value after it was found.
    #[test]
    fn deleted_bytes_that_another_program_moves_after_the_search_are_cleared_too() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("leadclicks.db");
        let db = SqliteDb::open_for_capture(&path).unwrap();
        let host_app = Connection::open(&path).unwrap();
        host_app
            .execute_batch(
                "PRAGMA secure_delete = OFF;
                 CREATE TABLE notes (text);
                 CREATE TABLE others (text);
                 INSERT INTO notes VALUES (replace(hex(zeroblob(1143)), '00', 'gone'));
                 DELETE FROM notes;",
            )
            .unwrap();
        let searching = SqliteDb::open_for_report(&path).unwrap();
        searching
            .snapshot(|searching| {
                let found = searching.read(find)?;
                assert!(!found.is_empty());
                // The last page has some 500 unused bytes. SQLite does not clear it, because it is the only free one.
                host_app
                    .execute_batch(
                        "INSERT INTO others VALUES (replace(hex(zeroblob(1016)), '00', 'kept'))",
                    )
                    .unwrap();
                db.clear_with_changed(found)
            })
            .unwrap();
        drop((searching, host_app));
        db.empty_wal().unwrap();
        assert!(db.read(find).unwrap().is_empty());
        drop(db);
        let file = std::fs::read(path).unwrap();
        let has = |text: &[u8]| file.windows(text.len()).any(|bytes| bytes == text);
        assert!(has(b"keptkept"));
        assert!(!has(b"gonegone"));
    }
}
