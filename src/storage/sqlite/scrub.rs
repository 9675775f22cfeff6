//! Overwrites deleted data in the unused parts of the database file, which `secure_delete` misses.
//!
//! `secure_delete` overwrites a row when it is deleted. But when SQLite balances a tree it moves rows to other pages, and
//! leaves old copies where it rebuilds a page (`rebuildPage` in [btree.c](https://sqlite.org/src/file/src/btree.c)). After
//! 3,800 leads were deleted one after the other from a table with searches of all lengths, the emails of some of them were
//! still in the file in 30 of 38 checks. And other programs may not use `secure_delete` at all. So this module finds the
//! unused bytes by [the file format](https://sqlite.org/fileformat.html#b_tree_pages) and overwrites them. It never changes a
//! byte that SQLite reads. `VACUUM` would change rowids and rewrite the whole file under the lock.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hasher},
    iter,
    ops::Range,
};

use rusqlite::{Connection, OptionalExtension, ffi};

use super::SqliteDb;
use crate::storage::{Cause, Error};

/// How often the file is searched while other programs change it. After that it is searched under the write lock.
const ROUNDS_MAX: usize = 5;

const LIST: &str = "SELECT pageno, pagetype, unused FROM dbstat WHERE unused <> 0";
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
    /// A page of a value that is longer than a page, with this many unused bytes at its end.
    Overflow { unused: usize },
    /// A free page that lists others in its first `used` bytes.
    Trunk { used: usize },
    /// A free page without any used bytes.
    Free,
}

/// A page whose unused part is not all zeros, and the hash of the whole page when it was found.
#[derive(Debug, Clone, Copy)]
struct DirtyPage {
    number: u32,
    kind: Kind,
    hash: u64,
}

impl SqliteDb {
    /// Overwrites with zeros the unused parts of all pages of tables and indexes, and the free pages, where deleted and moved
    /// rows have left copies. The WAL contains the overwritten bytes until [`SqliteDb::empty_wal`].
    ///
    /// Other programs can read and write meanwhile, because each transaction overwrites at most some 4 MiB, and less if the
    /// disk is nearly full. In two cases each such transaction also searches the whole file: if pages change faster than they
    /// are cleared, or if programs without `secure_delete` have left data after values that are longer than a page.
    ///
    /// # Errors
    /// If the database can't be written to, or is damaged. Earlier transactions are not rolled back.
    pub(crate) fn clear_unused(&self) -> Result<(), Error> {
        for _ in 0..ROUNDS_MAX {
            let found = self.snapshot(|db| db.read(find_in_use))?;
            if found.is_empty() {
                return self.clear_free();
            }
            // A page of a tree with unchanged bytes is still one: as part of a long value its first bytes would be the number
            // of the next page, over 33 million. But the unused end of a long value may be in use with unchanged bytes.
            let (trees, _): (Vec<DirtyPage>, Vec<DirtyPage>) =
                found.into_iter().partition(|page| page.kind == Kind::Tree);
            if trees.is_empty() {
                break;
            }
            let mut left = trees.as_slice();
            while !left.is_empty() {
                let (batch, rest) = left.split_at(left.len().min(self.scrub_pages()?));
                self.in_batch(|| self.write(|db| db.read(|conn| clear(conn, batch))))?;
                left = rest;
            }
        }
        loop {
            let pages_max = self.scrub_pages()?;
            let (found, _) = self.in_batch(|| {
                self.write(|db| {
                    db.read(|conn| {
                        let found = find_in_use(conn)?;
                        clear(conn, found.get(..pages_max).unwrap_or(&found))?;
                        Ok(found.len())
                    })
                })
            })?;
            if found <= pages_max {
                return self.clear_free();
            }
        }
    }

    fn clear_free(&self) -> Result<(), Error> {
        let found = self.snapshot(|db| db.read(find_free))?;
        let mut left = found.as_slice();
        while !left.is_empty() {
            let pages_max = self.scrub_pages()?;
            let clear = || self.write(|db| db.read(|conn| clear_still_free(conn, left, pages_max)));
            left = self.in_batch(clear)?.0;
        }
        Ok(())
    }

    fn scrub_pages(&self) -> Result<usize, Error> {
        Ok(usize::try_from(self.batch_pages()?).unwrap_or(usize::MAX))
    }
}

/// The pages of tables and indexes whose unused part is not all zeros.
fn find_in_use(conn: &Connection) -> Result<Vec<DirtyPage>, Cause> {
    let mut found = Vec::new();
    let mut list = conn.prepare_cached(LIST)?;
    let mut rows = list.query([])?;
    let reserved = reserved_bytes(conn)?;
    while let Some(row) = rows.next()? {
        let kind = if row.get_ref(1)?.as_bytes().ok() == Some(b"overflow") {
            let unused = row.get(2)?;
            Kind::Overflow { unused }
        } else {
            Kind::Tree
        };
        found.extend(dirty_page(conn, row.get(0)?, kind, reserved)?);
    }
    Ok(found)
}

/// The numbers of the free pages that are not all zeros.
fn find_free(conn: &Connection) -> Result<Vec<u32>, Cause> {
    let mut found = Vec::new();
    let reserved = reserved_bytes(conn)?;
    let free = free_pages(conn)?;
    let last = u32::try_from(free.leaves.len()).map_err(|_| damaged())?;
    for number in 1..last {
        if let Some(kind) = free.kind(number) {
            found.extend(dirty_page(conn, number, kind, reserved)?.map(|page| page.number));
        }
    }
    Ok(found)
}

/// Clears the first `pages_max` of `pages`, those that are still free, and returns the rest. Reads the list of free pages
/// again, because their kinds may have changed.
fn clear_still_free<'a>(
    conn: &Connection,
    pages: &'a [u32],
    pages_max: usize,
) -> Result<&'a [u32], Cause> {
    let free = free_pages(conn)?;
    let reserved = reserved_bytes(conn)?;
    let (batch, rest) = pages.split_at(pages.len().min(pages_max));
    for number in batch {
        if let Some(kind) = free.kind(*number) {
            let page = read_page(conn, *number)?.ok_or_else(damaged)?;
            overwrite(conn, page, *number, kind, reserved)?;
        }
    }
    Ok(rest)
}

/// The page, if its unused part is not all zeros.
fn dirty_page(
    conn: &Connection,
    number: u32,
    kind: Kind,
    reserved: usize,
) -> Result<Option<DirtyPage>, Cause> {
    let page = read_page(conn, number)?.ok_or_else(damaged)?;
    let is_clear = unused(&page, number, kind, reserved)?
        .into_iter()
        .all(|range| {
            page.get(range)
                .is_some_and(|bytes| bytes.iter().all(|byte| *byte == 0))
        });
    Ok((!is_clear).then(|| DirtyPage {
        number,
        kind,
        hash: hash(&page),
    }))
}

/// Clears the pages that are unchanged since they were found. The next round checks the others, whose kind may have changed.
fn clear(conn: &Connection, pages: &[DirtyPage]) -> Result<(), Cause> {
    let reserved = reserved_bytes(conn)?;
    for found in pages {
        // Other programs may have shortened the file.
        let Some(page) = read_page(conn, found.number)? else {
            continue;
        };
        if hash(&page) == found.hash {
            overwrite(conn, page, found.number, found.kind, reserved)?;
        }
    }
    Ok(())
}

fn overwrite(
    conn: &Connection,
    mut page: Vec<u8>,
    number: u32,
    kind: Kind,
    reserved: usize,
) -> Result<(), Cause> {
    for range in unused(&page, number, kind, reserved)? {
        page.get_mut(range).ok_or_else(damaged)?.fill(0);
    }
    conn.prepare_cached(WRITE)?.execute((number, page))?;
    Ok(())
}

/// The free pages. There may be millions, and their list is read again and again.
struct FreePages {
    /// The pages of the list, and how many of their bytes are used.
    trunks: BTreeMap<u32, usize>,
    /// Whether the page with this number is any other free page.
    leaves: Vec<bool>,
}

impl FreePages {
    fn kind(&self, number: u32) -> Option<Kind> {
        match self.trunks.get(&number) {
            Some(used) => Some(Kind::Trunk { used: *used }),
            None if self.leaves.get(number as usize) == Some(&true) => Some(Kind::Free),
            None => None,
        }
    }
}

/// All free pages, from [the list](https://sqlite.org/fileformat.html#the_freelist) that begins in the file's header.
fn free_pages(conn: &Connection) -> Result<FreePages, Cause> {
    let pages: usize = conn.query_row("PRAGMA page_count", [], |row| row.get(0))?;
    let mut free = FreePages {
        trunks: BTreeMap::new(),
        leaves: vec![false; pages + 1],
    };
    let header = read_page(conn, 1)?.ok_or_else(damaged)?;
    let mut number = u32_at(&header, 32).ok_or_else(damaged)?;
    while number != 0 {
        let page = read_page(conn, number)?.ok_or_else(damaged)?;
        let count = u32_at(&page, 4).ok_or_else(damaged)? as usize;
        let used = 8 + 4 * count;
        let leaves = page.get(8..used).ok_or_else(damaged)?;
        if free.trunks.insert(number, used).is_some() {
            return Err(damaged());
        }
        for leaf in leaves.chunks_exact(4).filter_map(|bytes| u32_at(bytes, 0)) {
            *free.leaves.get_mut(leaf as usize).ok_or_else(damaged)? = true;
        }
        number = u32_at(&page, 0).ok_or_else(damaged)?;
    }
    Ok(free)
}

/// The number of bytes at the end of each page that are reserved for extensions of SQLite.
fn reserved_bytes(conn: &Connection) -> Result<usize, Cause> {
    let header = read_page(conn, 1)?.ok_or_else(damaged)?;
    Ok(usize::from(*header.get(20).ok_or_else(damaged)?))
}

/// The bytes of a page; none beyond the file's end.
fn read_page(conn: &Connection, number: u32) -> rusqlite::Result<Option<Vec<u8>>> {
    conn.prepare_cached(READ)?
        .query_row([number], |row| row.get(0))
        .optional()
}

/// The parts of a page that SQLite never reads.
fn unused(
    page: &[u8],
    number: u32,
    kind: Kind,
    reserved: usize,
) -> Result<Vec<Range<usize>>, Cause> {
    let usable = page.len().checked_sub(reserved).ok_or_else(damaged)?;
    match kind {
        Kind::Tree => unused_in_tree(page, number, usable).ok_or_else(damaged),
        Kind::Overflow { unused } => {
            let begin = usable.checked_sub(unused).ok_or_else(damaged)?;
            Ok(iter::once(begin..usable).collect())
        }
        Kind::Trunk { used } if used <= usable => Ok(iter::once(used..usable).collect()),
        Kind::Trunk { .. } => Err(damaged()),
        Kind::Free => Ok(iter::once(0..usable).collect()),
    }
}

/// The gap between the list of a page's cells and the cells, and the free blocks among these, except the 4 bytes that link
/// each block to the next. None if the page does not follow the format.
fn unused_in_tree(page: &[u8], number: u32, usable: usize) -> Option<Vec<Range<usize>>> {
    const FILE_HEADER_BYTES: usize = 100;
    const LINK_BYTES: usize = 4;
    let header = if number == 1 { FILE_HEADER_BYTES } else { 0 };
    let header_bytes = match page.get(header)? {
        // Interior pages, of an index and of a table; and leaves.
        2 | 5 => 12,
        10 | 13 => 8,
        _ => return None,
    };
    let cells = u16_at(page, header + 3)?;
    let gap_begin = header + header_bytes + 2 * cells;
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

fn u16_at(bytes: &[u8], at: usize) -> Option<usize> {
    let (number, _) = bytes.get(at..)?.split_first_chunk()?;
    Some(usize::from(u16::from_be_bytes(*number)))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let (number, _) = bytes.get(at..)?.split_first_chunk()?;
    Some(u32::from_be_bytes(*number))
}

fn hash(page: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(page);
    hasher.finish()
}

fn damaged() -> Cause {
    Cause::Sqlite(rusqlite::Error::SqliteFailure(
        ffi::Error::new(ffi::SQLITE_CORRUPT),
        None,
    ))
}
