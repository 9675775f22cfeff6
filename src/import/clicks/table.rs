//! What of the clicks of a file is in the table already, and storing the others.

use std::collections::HashMap;

use rusqlite::Connection;

use super::{CLICKS_A_STEP, Clicks, Place, RowReader};
use crate::{
    click::Click,
    progress::Progress,
    store::{Db, Error, IGNORED, INSERT_CLICK, Problem, is_about_the_row, reason, text_of},
    timestamp::Timestamp,
};

/// How many stored clicks are passed over before the next is looked for by the index on time: about what that costs.
const PASSED_OVER_MAX: u32 = 64;

/// What an import did, or would do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Imported {
    /// Clicks that were not there before.
    pub new: u64,
    /// Clicks that were there already.
    pub there: u64,
}

/// Stores the clicks that are not there, in one transaction. A click of the file is there if one with the same email,
/// expert, search and time, to the microsecond, is; of several such, as many as there are. Tells `progress` in clicks.
///
/// No other program can write until it is done; who waits for longer than [`crate::store::BUSY_TIMEOUT`] fails.
///
/// # Errors
/// When a constraint of a host app's refuses a click, whose line is named then, or the database refuses. Nothing is
/// imported then.
pub fn import(
    db: &Db,
    clicks: &Clicks,
    progress: &mut dyn FnMut(Progress),
) -> Result<Imported, Error> {
    db.write(|db| {
        db.read(|conn| {
            let is_there = find(conn, clicks)?;
            insert(conn, clicks, &is_there, progress)?;
            Ok(Imported::of(&is_there))
        })
    })
}

/// What [`import`] would do. Changes nothing.
///
/// # Errors
/// When the database can't be read.
pub fn compare(db: &Db, clicks: &Clicks) -> Result<Imported, Error> {
    db.read(|conn| {
        let snapshot = conn.unchecked_transaction()?;
        Ok(Imported::of(&find(&snapshot, clicks)?))
    })
}

impl Imported {
    fn of(is_there: &[bool]) -> Self {
        let there = is_there.iter().filter(|is_there| **is_there).count() as u64;
        Self {
            new: is_there.len() as u64 - there,
            there,
        }
    }
}

/// Which of the clicks are in the table. Both are gone through by time, as in a merge.
fn find(conn: &Connection, clicks: &Clicks) -> Result<Vec<bool>, Problem> {
    let places = &clicks.places;
    let mut is_there = vec![false; places.len()];
    let is_time_indexed = is_time_indexed(conn)?;
    let mut stored = conn.prepare(
        "SELECT created_at, email, expert_username, search_query FROM lead_clicks
         WHERE created_at >= ?1 AND typeof(created_at) = 'text' ORDER BY created_at",
    )?;
    let mut group = Group::of(clicks);
    let mut next = 0;
    'search: while let Some(first) = places.get(next) {
        let begin = next;
        let mut rows = stored.query([&*first.created_at.stored_bound()])?;
        let mut passed_over = 0;
        while let Some(row) = rows.next()? {
            // What is no time is none of these clicks.
            let Some(at) = Timestamp::parse_stored(&text_of(row.get_ref(0)?)) else {
                continue;
            };
            let rest = places[next..].iter();
            next += rest.take_while(|place| place.created_at < at).count();
            match places.get(next) {
                None => break 'search,
                Some(place) if place.created_at == at => {
                    group.begin(&places[next..]);
                    let [email, expert_username, search_query] =
                        [row.get_ref(1)?, row.get_ref(2)?, row.get_ref(3)?].map(text_of);
                    // A host app may have stored an email as it was typed.
                    let click = Click::new(&email, &expert_username, search_query);
                    if let Some(place) = click.ok().and_then(|click| group.take(&click)) {
                        is_there[next + place] = true;
                    }
                    passed_over = 0;
                }
                // Only from a later time on, or the search would begin where it has begun before.
                Some(_) if is_time_indexed && passed_over >= PASSED_OVER_MAX && next > begin => {
                    continue 'search;
                }
                Some(_) => passed_over += 1,
            }
        }
        // No stored click is as late as the rest.
        break;
    }
    Ok(is_there)
}

/// The clicks of a file that have the same time, and were not found in the table yet.
struct Group<'a> {
    at: Option<Timestamp>,
    /// How far each is behind the first of the group.
    places: HashMap<Click, Vec<usize>>,
    file: RowReader<'a>,
}

impl<'a> Group<'a> {
    fn of(clicks: &'a Clicks) -> Self {
        Self {
            at: None,
            places: HashMap::new(),
            file: RowReader::new(clicks),
        }
    }

    /// Makes it the group that begins with the first of `places`, unless it is that already.
    fn begin(&mut self, places: &[Place]) {
        let at = places.first().map(|place| place.created_at);
        if self.at == at {
            return;
        }
        self.at = at;
        self.places.clear();
        let same = places
            .iter()
            .take_while(|place| Some(place.created_at) == at);
        for (number, place) in same.enumerate() {
            if let Some(click) = self.file.read(place) {
                self.places.entry(click).or_default().push(number);
            }
        }
    }

    /// Takes one that is equal to `click` out of it.
    fn take(&mut self, click: &Click) -> Option<usize> {
        self.places.get_mut(click)?.pop()
    }
}

/// Whether SQLite finds a time by an index; without one each search reads the whole table.
fn is_time_indexed(conn: &Connection) -> rusqlite::Result<bool> {
    conn.query_row(
        "SELECT EXISTS (SELECT 1 FROM pragma_index_list('lead_clicks') AS list, pragma_index_info(list.name) AS info
                        WHERE NOT list.partial AND info.seqno = 0 AND lower(info.name) = 'created_at')",
        [],
        |row| row.get(0),
    )
}

fn insert(
    conn: &Connection,
    clicks: &Clicks,
    is_there: &[bool],
    progress: &mut dyn FnMut(Progress),
) -> Result<(), Problem> {
    let mut insert = conn.prepare(INSERT_CLICK)?;
    let mut file = RowReader::new(clicks);
    for (number, (place, is_there)) in clicks.places.iter().zip(is_there).enumerate() {
        if number.is_multiple_of(CLICKS_A_STEP) {
            progress(Progress {
                done: number as u64,
                total: clicks.places.len() as u64,
            });
        }
        if *is_there {
            continue;
        }
        let refused = |reason| Problem::ClickRefused {
            line: clicks.line(place),
            reason,
        };
        let Some(click) = file.read(place) else {
            return Err(refused("it can't be read again".to_owned()));
        };
        let inserted = insert.execute((
            click.email(),
            click.expert_username(),
            click.search_query(),
            &*place.created_at.stored(),
        ));
        match inserted {
            Ok(0) => return Err(refused(IGNORED.to_owned())),
            Ok(_) => {}
            Err(error) if is_about_the_row(&error) => return Err(refused(reason(&error))),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
