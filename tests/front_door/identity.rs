//! One person is one lead and one expert is one expert, whatever the spelling: at capture and import, in a host app's rows, in
//! every report and filter, and when they are forgotten.

use std::fmt::Write;

use crate::{
    forget::searched,
    reset::{TRIAL, is_in_files},
    support::{Daemon, HOST_APP, Site},
};

/// Spellings of one address.
const ANA: [&str; 20] = [
    "ana@münchen.example",
    "Ana@München.Example",
    "ANA@MÜNCHEN.EXAMPLE",
    "ana@xn--mnchen-3ya.example",
    "ANA@XN--MNCHEN-3YA.example",
    "ana@mu\u{308}nchen.example",
    " ana@münchen.example",
    "ana@münchen.example\r\n",
    "\u{a0}ana@münchen.example\t",
    "ana@münchen.example\u{200b}",
    "\u{feff}ana@münchen.example",
    "a\u{ad}na@münchen.example",
    "an\u{200d}a@münchen.example",
    "ana\u{2060}@münchen.example",
    "ana\u{3164}@münchen.example",
    "ana\u{fe0f}@münchen.example",
    "ana@mün\u{200c}chen.example",
    "ana@ｍünchen.example",
    "ana@münchen。example",
    "\u{e0061}ana@münchen.example",
];

/// Addresses that are not hers.
const OTHERS: [&str; 5] = [
    "anna@münchen.example",
    "ana+news@münchen.example",
    "ana@munchen.example",
    "ana@münchen.example.org",
    "a.na@münchen.example",
];

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A click of each spelling and of each of the others, as an earlier version or a host app stored them.
fn clicks() -> String {
    let mut sql = String::new();
    for (number, email) in ANA.iter().chain(&OTHERS).enumerate() {
        write!(
            sql,
            "INSERT INTO lead_clicks (id, email, expert_username, search_query, created_at)
             VALUES ({number}, {}, 'jdoe', 'rust', '2026-11-01 09:00:{number:02}.000000');",
            quoted(email)
        )
        .unwrap();
    }
    sql
}

/// The same clicks in a table of leadclicks without an index on emails, and in a host app's with one.
fn sites() -> [Site; 2] {
    [
        Site::new().with_schema(&clicks()),
        Site::new().with_database(HOST_APP).with_database(&clicks()),
    ]
}

#[test]
fn every_spelling_is_captured_as_one_lead() {
    let site = Site::new();
    let daemon = Daemon::start(&site, &[]);
    for email in ANA.iter().chain(&OTHERS) {
        assert_eq!(daemon.post(email, "jdoe", "rust").status, 202, "{email:?}");
    }
    let mut emails = site.emails();
    assert!(emails.drain(..ANA.len()).all(|email| email == ANA[0]));
    assert_eq!(emails, OTHERS);
}

#[test]
fn an_invisible_character_is_no_reason_to_refuse_a_click_and_lengths_are_checked_without_it() {
    let site = Site::new();
    let daemon = Daemon::start(&site, &[]);
    let username = format!("{}\u{200b}", "é".repeat(100));
    let email = format!("{}@example.com\u{ad}", "\u{feff}a".repeat(300));
    assert_eq!(daemon.post(&email, &username, "\u{200b}").status, 202);
    let stored = (
        "a".repeat(300) + "@example.com",
        "é".repeat(100),
        "\u{200b}".to_owned(),
    );
    assert_eq!(site.clicks(), [stored]);
    assert_eq!(daemon.post("\u{200b}@example.com", "jdoe", "").status, 422);
    assert_eq!(
        daemon.post("a@example.com", "\u{200b} \u{200b}", "").status,
        422
    );
}

#[test]
fn an_import_knows_a_click_in_any_spelling() {
    for site in sites() {
        let mut csv = "email,expert_username,expert_name,search_query,created_at\n".to_owned();
        for (number, email) in ANA.iter().chain(&OTHERS).enumerate() {
            let email = email.to_uppercase();
            writeln!(
                csv,
                "\"{email}\",\"jdoe\u{200b}\",,rust,2026-11-01T09:00:{number:02}Z"
            )
            .unwrap();
        }
        site.run_with_input(&["import", "-"], csv.as_bytes())
            .assert(0, "0 new, 25 already stored\n", "");
        let empty = Site::new().with_schema("");
        empty
            .run_with_input(&["import", "-"], csv.as_bytes())
            .assert(0, "25 new, 0 already stored\n", "");
        assert!(empty.emails()[..20].iter().all(|email| email == ANA[0]));
    }
}

#[test]
fn stored_spellings_are_one_lead_in_every_report_and_filter() {
    for site in sites() {
        let json = |args: &[&str]| -> serde_json::Value {
            let args = [args, &["--format", "json"]].concat();
            serde_json::from_str(&site.stdout_of(&args)).unwrap()
        };
        let by_email = json(&["report", "--by-email"]);
        let leads = by_email["leads"].as_array().unwrap();
        assert_eq!(leads.len(), 1 + OTHERS.len());
        let ana = leads.iter().find(|lead| lead["email"] == ANA[0]).unwrap();
        assert_eq!(ana["clicks"].as_array().unwrap().len(), ANA.len());

        for spelling in ANA {
            let filter = format!("--email={spelling}");
            for window in [&[][..], &["--since", "2026-11-01"]] {
                let args = [&["report", &filter], window].concat();
                let clicks = &json(&args)["clicks"];
                assert_eq!(clicks.as_array().unwrap().len(), ANA.len(), "{args:?}");
            }
        }
        let ana = format!("--email={}", ANA[4]);
        let csv = |report: &str, filter: &str| {
            site.stdout_of(&["report", report, filter, "--format", "csv"])
        };
        for report in ["--by-expert", "--by-query", "--by-day"] {
            let since = ["report", report, "--since=2026-11-01", "--format", "csv"];
            let all = site.rows_of_period(&since, "since Sun 2026-11-01");
            assert!(all.contains(",25,6"), "{report}: {all}");
            let hers = csv(report, &ana);
            assert!(hers.contains(",20,1"), "{report}: {hers}");
        }
        let summary = site.stdout_of(&["summary"]);
        assert!(summary.contains("6 leads"), "{summary}");
        let csv = site.stdout_of(&["report", "--expert", "jdoe", "--format", "csv"]);
        assert_eq!(csv.matches(&format!("\n{},", ANA[0])).count(), ANA.len());
        let check = site.run(&["check"]).stdout;
        assert!(check.contains("25 of 6 leads"), "{check}");
        let purge = site.stdout_of(&["purge", "--older-than", "2026-11-02", "--dry-run"]);
        assert!(purge.contains("\n25 clicks of 6 leads,\n"), "{purge}");
        // Nothing was rewritten.
        assert_eq!(site.emails(), [&ANA[..], &OTHERS].concat());
    }
}

#[test]
fn watch_selects_and_shows_one_lead_in_any_spelling() {
    for site in sites() {
        let script = format!(
            "timeout 60 leadclicks watch --since 2026-11-01 --email '{}' --format ndjson | head -n {}",
            ANA[3],
            ANA.len()
        );
        let ran = crate::support::Ran::of(site.shell(&script));
        assert_eq!(
            ran.stdout
                .matches(r#""email":"ana@münchen.example""#)
                .count(),
            20,
            "{ran}"
        );
    }
}

#[test]
fn an_expert_has_a_name_in_any_spelling() {
    let clicks = "INSERT INTO lead_clicks (email, expert_username, search_query, created_at) VALUES
        ('a@example.com', 'zoe' || char(776), 'x', '2026-11-01 09:00:00.000000'),
        ('b@example.com', 'zoë', 'x', '2026-11-01 10:00:00.000000'),
        ('c@example.com', char(65279) || 'zoë ', 'x', '2026-11-01 11:00:00.000000'),
        ('d@example.com', 'Zoë', 'x', '2026-11-01 12:00:00.000000');";
    let own = Site::new().with_schema(clicks);
    own.run_with_input(
        &["experts", "import", "-"],
        "username,first_name,last_name\nzoe\u{308},Zoë,Ng\n".as_bytes(),
    );
    let host_app = Site::new().with_database(HOST_APP).with_database(clicks);
    host_app
        .connect()
        .execute_batch(
            "INSERT INTO experts VALUES (3, 'zoe' || char(776), 'z@example.com', 'Zoë', 'Ng', '', '')",
        )
        .unwrap();
    for site in [own, host_app] {
        assert_eq!(
            site.stdout_of(&["report", "--by-expert", "--format", "csv"]),
            "expert_username,expert_name,clicks,leads,share,latest_click_at\n\
             zoë,Zoë Ng,3,3,0.75,2026-11-01T11:00:00.000000Z\n\
             Zoë,Zoë,1,1,0.25,2026-11-01T12:00:00.000000Z\n"
        );
        for spelling in ["zoë", "zoe\u{308}", " zoë\u{200b}"] {
            let args = ["report", "--expert", spelling, "--format", "csv"];
            assert_eq!(site.stdout_of(&args).matches(",zoë,Zoë Ng,x,").count(), 3);
        }
    }
}

#[test]
fn a_search_is_found_and_ranked_in_any_spelling() {
    for schema in ["", HOST_APP] {
        let site = match schema {
            "" => Site::new().with_schema(""),
            schema => Site::new().with_database(schema),
        };
        site.connect()
            .execute_batch(
                "INSERT INTO lead_clicks (email, expert_username, search_query, created_at) VALUES
                ('a@example.com', 'jdoe', 'Cafe' || char(769), '2026-11-01 09:00:00.000000'),
                ('b@example.com', 'jdoe', 'caf' || char(173) || 'é  ', '2026-11-01 10:00:00.000000'),
                ('c@example.com', 'jdoe', char(8203), '2026-11-01 11:00:00.000000'),
                ('d@example.com', 'jdoe', 'STRASSE', '2026-11-01 12:00:00.000000'),
                ('d@example.com', 'jdoe', 'straße', '2026-11-01 13:00:00.000000');",
            )
            .unwrap();
        for query in ["café", "CAFE\u{301}", "AFE\u{301}"] {
            let csv =
                site.stdout_of(&["report", "--by-query", "--query", query, "--format", "csv"]);
            assert_eq!(
                csv,
                "search_query,clicks,leads,share,latest_click_at\n\
                 caf\u{ad}é  ,2,2,1,2026-11-01T10:00:00.000000Z\n"
            );
        }
        assert_eq!(
            site.stdout_of(&["report", "--by-query", "--format", "csv"]),
            "search_query,clicks,leads,share,latest_click_at\n\
             straße,2,1,0.4,2026-11-01T13:00:00.000000Z\n\
             caf\u{ad}é  ,2,2,0.4,2026-11-01T10:00:00.000000Z\n\
             ,1,1,0.2,2026-11-01T11:00:00.000000Z\n"
        );
    }
}

#[test]
fn one_spelling_forgets_all_of_them_in_six_tables_of_a_host_app_and_nothing_else() {
    let site = Site::new()
        .with_database(HOST_APP)
        .with_database(TRIAL)
        .with_database("ALTER TABLE feedback ADD COLUMN email VARCHAR(320);")
        .with_database(&clicks());
    let conn = site.connect();
    for (number, email) in ANA.iter().chain(&OTHERS).enumerate() {
        let (number, email) = (number + 100, quoted(email));
        conn.execute_batch(&format!(
            "INSERT INTO conversations VALUES ({number}, {email}, 'text of {number}');
             INSERT INTO feedback VALUES ({number}, {number}, 'text', {email});
             INSERT INTO email_leads VALUES ({email});
             INSERT INTO Newsletter_Subscribers VALUES ({number}, {email});
             INSERT INTO user_events VALUES ({number}, {email});"
        ))
        .unwrap();
    }
    conn.execute_batch(
        "INSERT INTO settings VALUES ('owner', 'Ana <ANA@xn--mnchen-3ya.example>'),
             ('other', 'Ana <ana@münchen.example.org>');
         INSERT INTO user_events VALUES (999, 'Ana <ana@münchen.example>');
         INSERT INTO lead_clicks VALUES (999, 'bo@example.com', 'jdoe', 'mail ana@mu\u{308}nchen.example!', '2026-11-01 12:00:00');",
    )
    .unwrap();
    let rows = |ids: &str, clicks: &str, emails: &str| -> String {
        site.value(&format!(
            "SELECT group_concat(row, char(10)) FROM (
                SELECT 'c' || id || email || text AS row FROM conversations WHERE id NOT IN ({ids})
                UNION ALL SELECT 'f' || id || coalesce(email, '') FROM feedback WHERE id NOT IN ({ids})
                UNION ALL SELECT 'n' || id || email FROM newsletter_subscribers WHERE id NOT IN ({ids})
                UNION ALL SELECT 'u' || id || email FROM user_events WHERE id NOT IN ({ids})
                UNION ALL SELECT 'k' || id || email || search_query FROM lead_clicks WHERE id NOT IN ({clicks})
                UNION ALL SELECT 'l' || email FROM email_leads WHERE email NOT IN ({emails})
                UNION ALL SELECT 's' || name || value FROM settings UNION ALL SELECT 'a' || email FROM admin_users
                UNION ALL SELECT 'r' || email FROM email_leads_archive ORDER BY 1)"
        ))
    };
    let numbers = |first: usize| -> String {
        let numbers: Vec<String> = (first..first + ANA.len())
            .map(|number| number.to_string())
            .collect();
        numbers.join(", ")
    };
    let all = || rows("", "", "");
    let not_hers = rows(&numbers(100), &numbers(0), &ANA.map(quoted).join(", "));
    let before = all();
    let ran = site.run(&["forget", ANA[12], "--dry-run"]);
    let remains = "still in the table lead_clicks, column search_query: 1 row\n\
                   still in the table lead_clicks_fts, column search_query: 1 row\n\
                   still in the table settings, column value: 1 row\n\
                   still in the table user_events, column email: 1 row\n";
    let tables = "Newsletter_Subscribers, admin_users, conversations, email_leads, email_leads_archive, experts, feedback, \
                  lead_clicks, lead_clicks_fts, notes, settings, user_events";
    assert!(ran.stdout.ends_with(&searched(tables, remains)), "{ran}");
    assert_eq!(all(), before);
    // Each spelling by table, with the number of its rows.
    for table in [
        "feedback",
        "conversations",
        "email_leads",
        "newsletter_subscribers",
        "user_events",
        "lead_clicks",
    ] {
        let shown = ran
            .stdout
            .lines()
            .filter(|line| line.starts_with(&format!(" {table} ")) && line.ends_with("    1"));
        assert_eq!(shown.count(), ANA.len(), "{table}: {ran}");
    }
    assert!(ran.stdout.contains("a\\u{ad}na@münchen.example"), "{ran}");

    let ran = site.run(&["forget", ANA[12], "--yes"]);
    assert_eq!((ran.status.code(), &*ran.stderr), (Some(0), ""), "{ran}");
    assert!(
        ran.stdout.contains("\ndeleted 120 rows for good\n"),
        "{ran}"
    );
    assert!(ran.stdout.ends_with(&searched(tables, remains)), "{ran}");
    assert_eq!(all(), not_hers);
    for bytes in [ANA[1], ANA[2], ANA[4], ANA[11], ANA[14], ANA[19]] {
        assert!(!is_in_files(&site, bytes), "{bytes}");
    }
    assert_eq!(site.value::<String>("PRAGMA integrity_check"), "ok");
}

#[test]
fn letters_outside_ascii_are_forgotten_in_any_case() {
    let site = Site::new().with_schema(
        "INSERT INTO lead_clicks (email, expert_username, search_query, created_at) VALUES
            ('jÖrg@example.com', 'jdoe', 'x', '2026-11-01 09:00:00.000000'),
            ('jörg@example.com', 'jdoe', 'x', '2026-11-01 10:00:00.000000'),
            ('ИВАН@example.com', 'jdoe', 'x', '2026-11-01 11:00:00.000000'),
            ('jorg@example.com', 'jdoe', 'x', '2026-11-01 12:00:00.000000');",
    );
    let ran = site.stdout_of(&["forget", "JÖRG@example.com", "--yes"]);
    assert!(ran.contains("\ndeleted 2 rows for good\n"), "{ran}");
    let ran = site.stdout_of(&["forget", "иван@example.com", "--yes"]);
    assert!(ran.contains("\ndeleted 1 row for good\n"), "{ran}");
    assert_eq!(site.emails(), ["jorg@example.com"]);
}
