//! What SQLite leaves in the parts of a file that nothing uses any more.
//!
//! `secure_delete` overwrites a row where it stands. But when SQLite balances a tree it moves rows to other pages, and
//! what it copies from stays as it is wherever a page is built anew (`rebuildPage` in
//! [btree.c](https://sqlite.org/src/file/src/btree.c)). Deleting 3,800 leads one after the other from a table with
//! searches of all lengths left the emails of some of them in the file at 30 of 38 looks. And other programs may not
//! use `secure_delete` at all. So the bytes that hold nothing are looked for, and overwritten, by
//! [the file format](https://sqlite.org/fileformat.html#b_tree_pages). No byte that SQLite reads is ever changed, so
//! no schema is reordered and no row gets another rowid, as by `VACUUM`.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hasher},
    iter,
    ops::Range,
    thread,
    time::{Duration, Instant},
};

use rusqlite::{Connection, OptionalExtension, ffi};

use super::SqliteDb;
use crate::storage::{Error, Problem};

/// How many pages one transaction overwrites at the most: 4 MiB, as a rule, which take some 10 ms. Clicks wait for as
/// long; where many pages are free, for twice as long as their list takes to read.
const BATCH_PAGES_MAX: usize = 1000;

/// How long other programs get the lock at the least between two transactions of many. SQLite tries again after 1, 2, 5
/// and 10 ms, and more rarely later.
const PAUSE_MIN: Duration = Duration::from_millis(5);

/// How often the file is looked through while other programs change it. After that it is done under the write lock.
const ROUNDS_MAX: usize = 5;

const LIST: &str = "SELECT pageno, pagetype, unused FROM dbstat WHERE unused <> 0";
const READ: &str = "SELECT data FROM sqlite_dbpage WHERE pgno = ?1";
const WRITE: &str = "UPDATE sqlite_dbpage SET data = ?2 WHERE pgno = ?1";

// Only libsqlite3-sys's build sees the variable's effect; without it the statements above would fail at run time.
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

/// What the unused part of a page depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A page of a table or an index.
    Tree,
    /// A page of a value that is too long for one, with this many bytes at its end that hold nothing.
    Overflow { unused: usize },
    /// A free page that lists others: its first bytes, so many, are the list.
    Trunk { used: usize },
    /// A free page that holds nothing at all.
    Free,
}

/// A page that has something in its unused part, and the hash of all of it as it was seen.
#[derive(Debug, Clone, Copy)]
struct Found {
    number: u32,
    kind: Kind,
    hash: u64,
}

impl SqliteDb {
    /// Overwrites with zeros what is left of deleted and moved rows in the parts of the file that hold nothing: of the
    /// pages of all tables and indexes, and the free pages. What it overwrites is in the WAL until [`SqliteDb::empty_wal`].
    ///
    /// Other programs may read and write meanwhile: each transaction overwrites some 4 MiB at the most. Only where
    /// pages change faster than they are cleared, or programs without `secure_delete` have left something behind
    /// values that are longer than a page, do others wait for one look through the whole file.
    ///
    /// # Errors
    /// When the database refuses, or is damaged. What was overwritten until then is.
    pub(crate) fn clear_unused(&self) -> Result<(), Error> {
        for _ in 0..ROUNDS_MAX {
            let found = self.snapshot(|db| db.read(find_in_use))?;
            if found.is_empty() {
                return self.clear_free();
            }
            // A page of a tree with the same bytes is one still: as part of a long value it would name a next page of
            // a number over 33 million. The end of a long value may be in use again, with the same bytes.
            let (trees, _): (Vec<Found>, Vec<Found>) =
                found.into_iter().partition(|page| page.kind == Kind::Tree);
            if trees.is_empty() {
                break;
            }
            for batch in trees.chunks(BATCH_PAGES_MAX) {
                yielding(|| self.write(|db| db.read(|conn| clear(conn, batch))))?;
            }
        }
        self.write(|db| db.read(|conn| clear(conn, &find_in_use(conn)?)))?;
        self.clear_free()
    }

    fn clear_free(&self) -> Result<(), Error> {
        let found = self.snapshot(|db| db.read(find_free))?;
        let mut left = found.as_slice();
        while !left.is_empty() {
            left = yielding(|| self.write(|db| db.read(|conn| clear_still_free(conn, left))))?;
        }
        Ok(())
    }
}

/// Does `work`, a transaction, and then lets others have the lock for as long as it took.
pub(crate) fn yielding<T>(work: impl FnOnce() -> T) -> T {
    let begin = Instant::now();
    let done = work();
    thread::sleep(begin.elapsed().max(PAUSE_MIN));
    done
}

/// The pages of tables and indexes whose unused part is not all zeros.
fn find_in_use(conn: &Connection) -> Result<Vec<Found>, Problem> {
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
        found.extend(look_at(conn, row.get(0)?, kind, reserved)?);
    }
    Ok(found)
}

/// The numbers of the free pages that hold something.
fn find_free(conn: &Connection) -> Result<Vec<u32>, Problem> {
    let mut found = Vec::new();
    let reserved = reserved_bytes(conn)?;
    for (number, kind) in free_pages(conn)? {
        found.extend(look_at(conn, number, kind, reserved)?.map(|page| page.number));
    }
    Ok(found)
}

/// Clears the first of `pages`, those that are still free, as what they are by now: which that is must be looked up
/// under the lock. That takes time where many pages are free, so it goes on for at least as long. Gives the others.
fn clear_still_free<'a>(conn: &Connection, pages: &'a [u32]) -> Result<&'a [u32], Problem> {
    let begin = Instant::now();
    let free = free_pages(conn)?;
    let reserved = reserved_bytes(conn)?;
    let looked_for = begin.elapsed();
    let mut left = pages;
    loop {
        let (batch, rest) = left.split_at(left.len().min(BATCH_PAGES_MAX));
        for number in batch {
            if let Some(kind) = free.get(number) {
                let page = read_page(conn, *number)?.ok_or_else(damaged)?;
                overwrite(conn, page, *number, *kind, reserved)?;
            }
        }
        left = rest;
        if left.is_empty() || begin.elapsed() > 2 * looked_for {
            return Ok(left);
        }
    }
}

/// The page, if something is in its unused part.
fn look_at(
    conn: &Connection,
    number: u32,
    kind: Kind,
    reserved: usize,
) -> Result<Option<Found>, Problem> {
    let page = read_page(conn, number)?.ok_or_else(damaged)?;
    let is_clear = unused(&page, number, kind, reserved)?
        .into_iter()
        .all(|range| {
            page.get(range)
                .is_some_and(|bytes| bytes.iter().all(|byte| *byte == 0))
        });
    Ok((!is_clear).then(|| Found {
        number,
        kind,
        hash: hash(&page),
    }))
}

/// Clears those pages that are still as they were found. The others are looked at in the next round: what they are for
/// may have changed.
fn clear(conn: &Connection, pages: &[Found]) -> Result<(), Problem> {
    let reserved = reserved_bytes(conn)?;
    for found in pages {
        // Other programs may have cut the file.
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
) -> Result<(), Problem> {
    for range in unused(&page, number, kind, reserved)? {
        page.get_mut(range).ok_or_else(damaged)?.fill(0);
    }
    conn.prepare_cached(WRITE)?.execute((number, page))?;
    Ok(())
}

/// All free pages, by [the list](https://sqlite.org/fileformat.html#the_freelist) that begins in the file's header.
fn free_pages(conn: &Connection) -> Result<BTreeMap<u32, Kind>, Problem> {
    let mut free = BTreeMap::new();
    let header = read_page(conn, 1)?.ok_or_else(damaged)?;
    let mut number = u32_at(&header, 32).ok_or_else(damaged)?;
    while number != 0 {
        let page = read_page(conn, number)?.ok_or_else(damaged)?;
        let count = u32_at(&page, 4).ok_or_else(damaged)? as usize;
        let used = 8 + 4 * count;
        let leaves = page.get(8..used).ok_or_else(damaged)?;
        if free.insert(number, Kind::Trunk { used }).is_some() {
            return Err(damaged());
        }
        let leaves = leaves.chunks_exact(4).filter_map(|bytes| u32_at(bytes, 0));
        free.extend(leaves.map(|leaf| (leaf, Kind::Free)));
        number = u32_at(&page, 0).ok_or_else(damaged)?;
    }
    Ok(free)
}

/// The bytes at the end of each page that an extension of SQLite may keep for itself.
fn reserved_bytes(conn: &Connection) -> Result<usize, Problem> {
    let header = read_page(conn, 1)?.ok_or_else(damaged)?;
    Ok(usize::from(*header.get(20).ok_or_else(damaged)?))
}

/// None beyond the file's end.
fn read_page(conn: &Connection, number: u32) -> rusqlite::Result<Option<Vec<u8>>> {
    conn.prepare_cached(READ)?
        .query_row([number], |row| row.get(0))
        .optional()
}

/// Where nothing is that SQLite reads.
fn unused(
    page: &[u8],
    number: u32,
    kind: Kind,
    reserved: usize,
) -> Result<Vec<Range<usize>>, Problem> {
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

/// The gap between the list of a page's cells and the cells, and what is free among these but for the 4 bytes that
/// link each such block to the next. None where the page does not keep to the format.
fn unused_in_tree(page: &[u8], number: u32, usable: usize) -> Option<Vec<Range<usize>>> {
    const FILE_HEADER_BYTES: usize = 100;
    const LINK_BYTES: usize = 4;
    let header = if number == 1 { FILE_HEADER_BYTES } else { 0 };
    let header_bytes = match page.get(header)? {
        // Pages that lead to others, of an index and of a table; and leaves.
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

fn damaged() -> Problem {
    Problem::Sqlite(rusqlite::Error::SqliteFailure(
        ffi::Error::new(ffi::SQLITE_CORRUPT),
        None,
    ))
}
