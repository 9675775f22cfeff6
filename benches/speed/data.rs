//! The data of the benches: invented clicks, the same on every machine, and fast to generate.
//!
//! They simulate a year of a marketplace: visitors arrive at random times, search, and click some experts. Some leads and
//! experts are more active than others; popular searches are repeated, and long ones rarely.

use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
};

use fastrand::Rng;
use leadclicks::timestamp::Timestamp;
use rusqlite::Connection;

/// Part of the file name. Increase it with every change here or in schema.sql, so that no older file is used.
const VERSION: u32 = 2;
const SEED: u64 = 20_261_101;
/// The visitors who may click: 256,608 of them do in a million clicks, 908,400 in ten million.
const LEADS: usize = 1_000_000;
const EXPERTS: u32 = 2_000;
/// The number of visitors who are on the marketplace at the same time.
const VISITORS: usize = 64;
const BEGIN: &str = "2025-11-01T00:00:00Z";
const YEAR_MICROS: i128 = 365 * 24 * 60 * 60 * 1_000_000;

/// Seven days before the last click.
pub const LAST_WEEK: &str = "2026-10-25T00:00:00Z";
/// [`LAST_WEEK`] as it is stored.
pub const LAST_WEEK_STORED: &str = "2026-10-25 00:00:00";

/// A database with `rows` clicks in `directory`, which is generated if it does not exist.
pub fn database(directory: &Path, rows: u64) -> Result<PathBuf, Box<dyn Error>> {
    let path = directory.join(format!("clicks-{rows}-v{VERSION}.db"));
    if !path.exists() {
        let unfinished = path.with_extension("unfinished");
        if unfinished.exists() {
            fs::remove_file(&unfinished)?;
        }
        fill(&unfinished, rows)?;
        fs::rename(unfinished, &path)?;
    }
    Ok(path)
}

/// `10 million clicks`.
pub fn clicks_in_words(rows: u64) -> String {
    if rows.is_multiple_of(1_000_000) {
        format!("{} million clicks", rows / 1_000_000)
    } else {
        format!("{rows} clicks")
    }
}

/// The username of the expert at `rank`, from 0, by number of clicks.
pub fn expert_username(rank: u32) -> String {
    format!("{}{rank}", LAST_NAMES[rank as usize % LAST_NAMES.len()]).to_ascii_lowercase()
}

fn fill(path: &Path, rows: u64) -> Result<(), Box<dyn Error>> {
    let mut conn = Connection::open(path)?;
    conn.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF")?;
    let transaction = conn.transaction()?;
    transaction.execute_batch(include_str!("../../schema.sql"))?;
    {
        let mut expert = transaction.prepare("INSERT INTO experts VALUES (?1, ?2, ?3)")?;
        for rank in 0..EXPERTS {
            let first_name = FIRST_NAMES[rank as usize * 7 % FIRST_NAMES.len()];
            let last_name = LAST_NAMES[rank as usize % LAST_NAMES.len()];
            expert.execute((expert_username(rank), first_name, last_name))?;
        }
        let mut click = transaction.prepare(
            "INSERT INTO lead_clicks (email, expert_username, search_query, created_at)
             VALUES (?1, ?2, ?3, ?4)",
        )?;
        let mut marketplace = Marketplace::new();
        let begin: jiff::Timestamp = BEGIN.parse()?;
        for row in 0..rows {
            let visit = marketplace.next_click();
            // In equal steps, so that each week has the same share of the clicks.
            let micros = YEAR_MICROS * i128::from(row) / i128::from(rows);
            let clicked_at = begin + jiff::SignedDuration::from_micros(i64::try_from(micros)?);
            click.execute((
                &visit.email,
                &visit.expert_username,
                &visit.search_query,
                &*Timestamp::new(clicked_at).stored(),
            ))?;
        }
    }
    transaction.commit()?;
    // In the state in which the daemon leaves it, and on disk, not only in a cache.
    conn.execute_batch("PRAGMA synchronous = FULL; PRAGMA journal_mode = WAL")?;
    conn.close().map_err(|(_, error)| error)?;
    fs::File::open(path)?.sync_all()?;
    Ok(())
}

struct Marketplace {
    rng: Rng,
    visits: Vec<Visit>,
    popularity: Vec<f64>,
}

#[derive(Default)]
struct Visit {
    email: String,
    search_query: String,
    expert_username: String,
    clicks_left: u32,
}

impl Marketplace {
    fn new() -> Self {
        // Each expert is clicked a little less than the one before; the first gets about three per cent of the clicks.
        let mut sum = 0.0;
        let popularity = (1..=EXPERTS)
            .map(|rank| {
                sum += f64::from(rank).powf(-0.7);
                sum
            })
            .collect();
        let mut marketplace = Self {
            rng: Rng::with_seed(SEED),
            visits: Vec::new(),
            popularity,
        };
        marketplace.visits.resize_with(VISITORS, Visit::default);
        marketplace
    }

    fn next_click(&mut self) -> &Visit {
        let rank = self.expert_rank();
        let rng = &mut self.rng;
        let visit = &mut self.visits[rng.usize(..VISITORS)];
        if visit.clicks_left == 0 {
            visit.email = email(rng);
            visit.clicks_left = rng.u32(1..=5);
            visit.search_query = search_query(rng);
        } else if rng.u32(..4) == 0 {
            visit.search_query = search_query(rng);
        }
        visit.clicks_left -= 1;
        visit.expert_username = expert_username(rank);
        visit
    }

    fn expert_rank(&mut self) -> u32 {
        let total = self.popularity.last().copied().unwrap_or_default();
        let drawn = self.rng.f64() * total;
        let rank = self.popularity.partition_point(|&sum| sum <= drawn);
        u32::try_from(rank).map_or(0, |rank| rank.min(EXPERTS - 1))
    }
}

/// Because of the square, a quarter of the leads make half of the visits.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]
fn email(rng: &mut Rng) -> String {
    let drawn = rng.f64();
    let lead = (drawn * drawn * LEADS as f64) as usize;
    format!(
        "{}.{}{lead}@{}",
        FIRST_NAMES[lead * 31 % FIRST_NAMES.len()],
        LAST_NAMES[lead * 17 % LAST_NAMES.len()],
        DOMAINS[lead % DOMAINS.len()]
    )
    .to_ascii_lowercase()
}

fn search_query(rng: &mut Rng) -> String {
    // The smaller of two random numbers, so that words at the beginning of a list are more frequent.
    let mut one_of = |words: &[&'static str]| {
        let first = rng.usize(..words.len());
        words[first.min(rng.usize(..words.len()))]
    };
    let (topic, market, wish) = (one_of(TOPICS), one_of(MARKETS), one_of(WISHES));
    match rng.u32(..20) {
        0..2 => String::new(),
        2..7 => topic.to_owned(),
        7..15 => format!("{topic} for {market}"),
        15..18 => format!("{topic} {market} {wish}"),
        _ => {
            let (people, months) = (rng.u32(2..900), rng.u32(1..48));
            format!(
                "We are a {market} company of {people} and need {topic} within {months} months, {wish} if possible"
            )
        }
    }
}

const DOMAINS: &[&str] = &[
    "example.com",
    "example.org",
    "mail.example.net",
    "team.example.com",
];

#[rustfmt::skip]
const FIRST_NAMES: &[&str] = &[
    "Ada", "Björn", "Chiara", "Dmitri", "Elif", "Farid", "Grace", "Hiro", "Ines", "Jane", "Kofi", "Lena", "Mateo", "Noor",
    "Olga", "Pavel", "Quinn", "Rosa", "Sven", "Tala", "Uma", "Victor", "Wanda", "Ximena", "Yusuf", "Zoë",
];

#[rustfmt::skip]
const LAST_NAMES: &[&str] = &[
    "Abara", "Bergman", "Castellano", "Doe", "Eriksen", "Fontaine", "Garcia", "Hoffmann", "Ivanova", "Jansen", "Kowalski",
    "Lindqvist", "Moreau", "Nakamura", "Okafor", "Petrova", "Quispe", "Rossi", "Schmidt", "Tanaka", "Ueda", "Vasquez", "Weber",
    "Xu", "Yilmaz", "Zimmermann",
];

#[rustfmt::skip]
const TOPICS: &[&str] = &[
    "pricing", "go-to-market strategy", "fundraising", "seo", "product management", "hiring", "sales coaching", "churn",
    "data engineering", "brand design", "gdpr", "supply chain", "customer research", "paid ads", "financial modelling",
    "kubernetes", "change management", "user onboarding", "m&a", "content marketing", "cfo", "cto advice", "negotiation",
    "growth loops", "internationalization", "machine learning", "okr coaching", "partnerships", "pr", "tax",
];

#[rustfmt::skip]
const MARKETS: &[&str] = &[
    "saas", "b2b saas", "e-commerce", "fintech", "healthcare", "marketplaces", "hardware", "nonprofits", "agencies", "gaming",
    "education", "logistics", "real estate", "climate tech", "food & beverage", "media", "travel", "insurance", "mobile apps",
    "manufacturing",
];

#[rustfmt::skip]
const WISHES: &[&str] = &[
    "remote", "in german", "under 200 an hour", "this week", "series a", "in \"stealth\"", "part time", "with references",
    "en français", "weekends, evenings",
];
