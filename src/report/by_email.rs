use std::{cmp::Reverse, num::NonZeroU64, str};

use rusqlite::Connection;

use super::{
    ClickRow, Selection, Totals, Window, created_at,
    selection::{self, Conditions},
    text,
    texts::Texts,
};
use crate::{
    experts::Names,
    store::{Db, Error, Problem},
    timestamp::Timestamp,
};

/// The selected clicks grouped by lead; the lead with the latest click first.
#[derive(Debug)]
pub struct ByEmail {
    emails: Texts,
    experts: Texts,
    /// By the expert's number; none for one who is unknown or nameless.
    expert_names: Vec<Option<String>>,
    clicks: Clicks,
    leads: Vec<LeadEntry>,
    totals: Totals,
}

#[derive(Debug)]
struct LeadEntry {
    /// The number of the lead's email.
    email: u32,
    click_count: u32,
    /// The click that was read last, and from [`ByEmail::put_in_order`] on the latest.
    latest: Place,
    latest_at: Timestamp,
    /// Whether some click was read after a later one.
    is_out_of_order: bool,
}

/// Groups the clicks of `selection` by lead, all of them or those of the first `leads_max` leads. Totals count every
/// lead either way.
///
/// Everything that will be shown is in memory on return: 21 bytes and the query's text for each click, and some 50
/// bytes and the email's text for each lead.
///
/// # Errors
/// When the database can't be read, or holds a click whose time is none.
pub fn by_email(
    db: &Db,
    selection: &Selection,
    leads_max: Option<NonZeroU64>,
) -> Result<ByEmail, Error> {
    let names = Names::load(db)?;
    let mut report = ByEmail {
        emails: Texts::new(),
        experts: Texts::new(),
        expert_names: Vec::new(),
        clicks: Clicks::new(),
        leads: Vec::new(),
        totals: Totals::default(),
    };
    let conditions = selection.conditions();
    // By its INTEGER PRIMARY KEY a whole table is read fastest, and nearly always that is the order of time. A window
    // is found by an index on time.
    let order = if selection.window == Window::default() {
        "id"
    } else {
        "created_at, id"
    };
    // Both scans see the same clicks.
    db.snapshot(|db| {
        db.read(|conn| {
            selection::prepare(conn)?;
            if let Some(leads_max) = leads_max {
                report.choose_newest_leads(conn, &conditions, leads_max)?;
            }
            report.read_clicks(conn, &conditions, order, leads_max, &names)
        })
    })?;
    report.put_in_order();
    Ok(report)
}

impl ByEmail {
    /// Numbers the `leads_max` leads who clicked last before all others. Where there are fewer this reads all clicks,
    /// so that a limit which is never reached costs a second reading.
    fn choose_newest_leads(
        &mut self,
        conn: &Connection,
        conditions: &Conditions,
        leads_max: NonZeroU64,
    ) -> Result<(), Problem> {
        let mut statement = conn.prepare(&format!(
            "SELECT email FROM lead_clicks WHERE {} ORDER BY created_at DESC, id DESC",
            conditions.sql()
        ))?;
        let mut rows = statement.query(conditions.parameters())?;
        while (self.leads.len() as u64) < leads_max.get()
            && let Some(row) = rows.next()?
        {
            let email = self.emails.number(&text(row.get_ref(0)?));
            self.add_if_new(email);
        }
        Ok(())
    }

    /// Reads the clicks from the oldest to the newest, which SQLite does about twice as fast as the other way round: it
    /// takes the next row of the table from where it stands, and searches for any other
    /// ([sqlite3BtreeTableMoveto](https://sqlite.org/src/file/src/btree.c)).
    fn read_clicks(
        &mut self,
        conn: &Connection,
        conditions: &Conditions,
        order: &str,
        leads_max: Option<NonZeroU64>,
        names: &Names,
    ) -> Result<(), Problem> {
        let mut statement = conn.prepare(&format!(
            "SELECT id, email, expert_username, search_query, created_at FROM lead_clicks
             WHERE {} ORDER BY {order}",
            conditions.sql()
        ))?;
        let mut rows = statement.query(conditions.parameters())?;
        while let Some(row) = rows.next()? {
            self.totals.clicks += 1;
            let email = self.emails.number(&text(row.get_ref(1)?));
            if leads_max.is_none() {
                self.add_if_new(email);
            }
            let Some(lead) = self.leads.get_mut(email as usize) else {
                continue;
            };
            let expert_username = text(row.get_ref(2)?);
            let expert = self.experts.number(&expert_username);
            if expert as usize == self.expert_names.len() {
                let name = names.of(&expert_username);
                let is_named = name != expert_username;
                self.expert_names.push(is_named.then(|| name.to_owned()));
            }
            let created_at = created_at(row.get_ref(4)?, row.get_ref(0)?)?;
            if lead.click_count > 0 && created_at < lead.latest_at {
                lead.is_out_of_order = true;
            }
            lead.latest = self.clicks.push(&StoredClick {
                older: lead.latest,
                created_at,
                expert,
                search_query: &text(row.get_ref(3)?),
            });
            lead.latest_at = created_at;
            lead.click_count += 1;
        }
        self.totals.leads = self.emails.len() as u64;
        Ok(())
    }

    /// The leads and their clicks by time. Of two clicks of the same microsecond the one that was read later is the
    /// newer: the later one in the table.
    fn put_in_order(&mut self) {
        for lead in self.leads.iter_mut().filter(|lead| lead.is_out_of_order) {
            self.clicks.put_in_order(lead);
        }
        self.leads
            .sort_unstable_by_key(|lead| Reverse((lead.latest_at, lead.latest)));
    }

    /// Emails and leads have the same numbers, as far as there are leads.
    fn add_if_new(&mut self, email: u32) {
        if email as usize == self.leads.len() {
            self.leads.push(LeadEntry {
                email,
                click_count: 0,
                latest: NO_PLACE,
                latest_at: Timestamp::from_micros(0),
                is_out_of_order: false,
            });
        }
    }

    /// The leads that are shown, each with all its selected clicks.
    #[must_use]
    pub fn leads(&self) -> impl ExactSizeIterator<Item = Lead<'_>> {
        self.leads.iter().map(|entry| Lead {
            report: self,
            entry,
        })
    }

    /// All selected leads and clicks, shown or not.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// The leads and clicks that are shown.
    #[must_use]
    pub fn shown(&self) -> Totals {
        Totals {
            leads: self.leads.len() as u64,
            clicks: self.clicks.count,
        }
    }
}

/// A lead in [`ByEmail`].
#[derive(Debug, Clone, Copy)]
pub struct Lead<'a> {
    report: &'a ByEmail,
    entry: &'a LeadEntry,
}

impl<'a> Lead<'a> {
    /// The lead's email address.
    #[must_use]
    pub fn email(&self) -> &'a str {
        self.report.emails.get(self.entry.email)
    }

    /// How many selected clicks the lead has.
    #[must_use]
    pub fn click_count(&self) -> u64 {
        self.entry.click_count.into()
    }

    /// The lead's clicks, newest first.
    pub fn clicks(&self) -> impl Iterator<Item = ClickRow<'a>> + use<'a> {
        let report = self.report;
        let email = self.email();
        let mut next = self.entry.latest;
        std::iter::from_fn(move || {
            let click = report.clicks.get(next)?;
            next = click.older;
            let expert_username = report.experts.get(click.expert);
            let expert_name = report.expert_names[click.expert as usize].as_deref();
            Some(ClickRow {
                email,
                expert_username,
                expert_name: expert_name.unwrap_or(expert_username),
                search_query: click.search_query,
                created_at: click.created_at,
            })
        })
    }
}

/// Clicks, packed into bytes in the order in which they were read. Each knows the lead's next older one, so that a
/// lead's clicks are a chain, from the latest on.
#[derive(Debug)]
struct Clicks {
    bytes: Vec<u8>,
    count: u64,
}

struct StoredClick<'a> {
    older: Place,
    created_at: Timestamp,
    expert: u32,
    search_query: &'a str,
}

/// Where a click begins, in bytes.
type Place = u64;
/// No click begins here.
const NO_PLACE: Place = 0;
/// A place takes five bytes, enough for a terabyte.
const PLACE_BYTES: usize = 5;

impl Clicks {
    fn new() -> Self {
        Self {
            bytes: vec![0],
            count: 0,
        }
    }

    fn push(&mut self, click: &StoredClick<'_>) -> Place {
        let place = self.bytes.len() as Place;
        // A text of 4 GB or more can't be in the database.
        let query_bytes = u32::try_from(click.search_query.len()).unwrap_or(u32::MAX);
        self.bytes.extend_from_slice(&place_bytes(click.older));
        self.bytes
            .extend_from_slice(&click.created_at.micros().to_le_bytes());
        self.bytes.extend_from_slice(&click.expert.to_le_bytes());
        self.bytes.extend_from_slice(&query_bytes.to_le_bytes());
        self.bytes.extend_from_slice(click.search_query.as_bytes());
        self.count += 1;
        place
    }

    /// The click at `place`, or none at [`NO_PLACE`].
    fn get(&self, place: Place) -> Option<StoredClick<'_>> {
        if place == NO_PLACE {
            return None;
        }
        let bytes = self.bytes.get(usize::try_from(place).ok()?..)?;
        let (older, bytes) = bytes.split_first_chunk::<PLACE_BYTES>()?;
        let (micros, bytes) = bytes.split_first_chunk()?;
        let (expert, bytes) = bytes.split_first_chunk()?;
        let (query_bytes, bytes) = bytes.split_first_chunk()?;
        let search_query = bytes.get(..u32::from_le_bytes(*query_bytes) as usize)?;
        Some(StoredClick {
            older: place_of(*older),
            created_at: Timestamp::from_micros(i64::from_le_bytes(*micros)),
            expert: u32::from_le_bytes(*expert),
            search_query: str::from_utf8(search_query).ok()?,
        })
    }

    /// Chains the clicks of `lead` anew, by time; of the same time, the one that was read later is the newer.
    fn put_in_order(&mut self, lead: &mut LeadEntry) {
        let mut clicks = Vec::new();
        let mut place = lead.latest;
        while let Some(click) = self.get(place) {
            clicks.push((click.created_at, place));
            place = click.older;
        }
        clicks.sort_unstable();
        let mut older = NO_PLACE;
        for &(_, place) in &clicks {
            let begin = usize::try_from(place).unwrap_or(usize::MAX);
            self.bytes[begin..begin + PLACE_BYTES].copy_from_slice(&place_bytes(older));
            older = place;
        }
        lead.latest = older;
        if let Some(&(latest_at, _)) = clicks.last() {
            lead.latest_at = latest_at;
        }
    }
}

fn place_bytes(place: Place) -> [u8; PLACE_BYTES] {
    let mut bytes = [0; PLACE_BYTES];
    bytes.copy_from_slice(&place.to_le_bytes()[..PLACE_BYTES]);
    bytes
}

fn place_of(bytes: [u8; PLACE_BYTES]) -> Place {
    let mut place = [0; size_of::<Place>()];
    place[..PLACE_BYTES].copy_from_slice(&bytes);
    Place::from_le_bytes(place)
}
