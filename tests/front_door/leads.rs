//! Reports on leads: a row for each, and their order.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashSet},
    fmt::Write,
    process::Stdio,
};

use crate::{
    report::fixture,
    support::{Ran, Site},
};

const HEADER: &str = "email,clicks,experts,first_click_at,latest_click_at,top_expert_username,top_expert_name,latest_search_query\n";

#[test]
fn each_lead_is_one_row_in_every_format() {
    let site = fixture();
    site.run(&["report", "--leads"]).assert(
        0,
        " Lead                   Clicks   Experts   Latest click       Most clicked
──────────────────────────────────────────────────────────────────────────────
 o'neil+x@example.com        1         1   2026-11-02 12:30   Zoë O'Neil, Jr.
 =cmd@example.com            1         1   2026-11-01 23:59   Jane Doe
 bob@example.com             2         2   2026-11-01 10:00   blank
 amy@example.com             3         2   2026-11-01 09:00   Jane Doe
 zed@example.com             1         1   2026-10-30 00:00   =ghost

5 leads, 8 clicks; times in UTC
a window of 120 columns also shows: First click and Latest search
",
        "",
    );
    assert_eq!(
        site.stdout_of(&["report", "--leads", "--format", "csv"]),
        [
            HEADER,
            "o'neil+x@example.com,1,1,2026-11-02T12:30:00.500000Z,2026-11-02T12:30:00.500000Z,zoë,\"Zoë O'Neil, Jr.\",\"Zürich 🦀\nline two\"\n",
            "'=cmd@example.com,1,1,2026-11-01T23:59:59.999999Z,2026-11-01T23:59:59.999999Z,jdoe,Jane Doe,'-1+1\n",
            "bob@example.com,2,2,2026-11-01T09:00:00.000000Z,2026-11-01T10:00:00.000000Z,blank,blank,\u{1b}[31mred\u{7} \u{202e}evil\n",
            "amy@example.com,3,2,2026-10-31T00:00:00.000001Z,2026-11-01T09:00:00.000000Z,jdoe,Jane Doe,\"'=HYPERLINK(\"\"http://example.com\"\")\"\n",
            "zed@example.com,1,1,2026-10-30T00:00:00.000001Z,2026-10-30T00:00:00.000001Z,'=ghost,'=ghost,\"東京のエンジニア who \\ knows \r\n\tRust\"\n",
        ]
        .concat()
    );
    let top = ["report", "--leads", "--sort", "clicks", "--limit", "1"];
    let amy = concat!(
        r#"{"email":"amy@example.com","clicks":3,"experts":2,"first_click_at":"2026-10-31T00:00:00.000001Z","#,
        r#""latest_click_at":"2026-11-01T09:00:00.000000Z","top_expert_username":"jdoe","top_expert_name":"Jane Doe","#,
        r#""latest_search_query":"=HYPERLINK(\"http://example.com\")"}"#,
    );
    let in_format = |format| site.stdout_of(&[&top[..], &["--format", format]].concat());
    assert_eq!(in_format("ndjson"), format!("{amy}\n"));
    let excel = ["--for", "excel", "--tz", "Europe/Berlin"];
    assert_eq!(
        site.stdout_of(&[&top[..], &excel].concat()),
        format!(
            "\u{feff}{HEADER}amy@example.com,3,2,2026-10-31 01:00:00,2026-11-01 10:00:00,jdoe,Jane Doe,\"'=HYPERLINK(\"\"http://example.com\"\")\"\n"
        )
    );
    assert_eq!(in_format("json"), format!("{{\"leads\":[{amy}]}}\n"));
    let page = in_format("html");
    for part in [
        "<title>Leads · leadclicks</title>",
        "<th scope=\"col\" class=\"main\">Lead</th><th scope=\"col\" class=\"number\">Clicks</th><th scope=\"col\" class=\"number\">Experts</th><th scope=\"col\" class=\"wide\">First click</th><th scope=\"col\">Latest click</th><th scope=\"col\">Most clicked</th><th scope=\"col\" class=\"wide\">Latest search</th>",
        "<p class=\"more\">4 more leads not shown; <code>--limit 5</code> shows all</p>",
    ] {
        assert!(page.contains(part), "{part}\n{page}");
    }
    let mut wide = site.command(&top);
    wide.env("COLUMNS", "130");
    Ran::finish(wide, b"").assert(
        0,
        " Lead              Clicks   Experts   First click        Latest click       Most clicked   Latest search
────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
 amy@example.com        3         2   2026-10-31 00:00   2026-11-01 09:00   Jane Doe       =HYPERLINK(\"http://example.com\")

5 leads, 8 clicks; times in UTC
4 more leads not shown; --limit 5 shows all
",
        "",
    );
    site.run(&["report", "--by-expert", "--sort", "clicks"])
        .assert(
            2,
            "",
            "leadclicks: --sort is only for --by-email and --leads\n",
        );
}

#[derive(Clone)]
struct AnyClick {
    minute: u64,
    id: u64,
    lead: u64,
    expert: u64,
    search: &'static str,
}

/// Clicks whose times go back and forth in the table, many of them equal.
fn any_clicks(seed: u64) -> Vec<AnyClick> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut clicks: Vec<AnyClick> = (0..400)
        .map(|id| AnyClick {
            minute: random.u64(..50),
            id,
            lead: random.u64(..30) * random.u64(..2),
            expert: random.u64(..9),
            search: random
                .choice(["tax", "", " ", "\u{200b}", "audit"])
                .unwrap(),
        })
        .collect();
    // The latest first.
    clicks.sort_by_key(|click| Reverse((click.minute, click.id)));
    clicks
}

fn time(click: &AnyClick) -> String {
    format!("2026-11-01T09:{:02}:00.000000Z", click.minute)
}

/// The clicks of each lead, in the order of the latest click.
fn by_lead(clicks: &[AnyClick]) -> Vec<Vec<AnyClick>> {
    let mut leads: Vec<Vec<AnyClick>> = Vec::new();
    for click in clicks {
        match leads.iter_mut().find(|lead| lead[0].lead == click.lead) {
            Some(lead) => lead.push(click.clone()),
            None => leads.push(vec![click.clone()]),
        }
    }
    leads
}

fn experts(lead: &[AnyClick]) -> usize {
    let experts: HashSet<u64> = lead.iter().map(|click| click.expert).collect();
    experts.len()
}

fn row(lead: &[AnyClick]) -> String {
    let clicks_on = |expert| lead.iter().filter(|click| click.expert == expert).count();
    // Of several, the first one that is found, which is the one who was clicked last.
    let most = lead.iter().map(|click| clicks_on(click.expert)).max();
    let top = lead
        .iter()
        .find(|click| Some(clicks_on(click.expert)) == most)
        .unwrap()
        .expert;
    let search = lead
        .iter()
        .map(|click| click.search)
        .find(|search| ["tax", "audit"].contains(search))
        .unwrap_or_default();
    format!(
        "lead{}@example.com,{},{},{},{},e{top},e{top},{search}\n",
        lead[0].lead,
        lead.len(),
        experts(lead),
        time(&lead[lead.len() - 1]),
        time(&lead[0]),
    )
}

#[test]
fn leads_have_the_right_rows_and_order_whatever_the_clicks_the_limit_and_the_indexes() {
    for (seed, index) in [(1, ""), (2, "DROP INDEX lead_clicks_created_at")] {
        let all = any_clicks(seed);
        let site = Site::new().with_schema(index);
        let mut inserting = "BEGIN;".to_owned();
        for click in &all {
            // Every third email is stored in another spelling.
            let lead = if click.id % 3 == 0 { "LEAD" } else { "lead" };
            write!(
                inserting,
                "INSERT INTO lead_clicks (id, email, expert_username, search_query, created_at) VALUES
                    ({}, '{lead}{}@example.com', 'e{}', '{}', '2026-11-01 09:{:02}:00.000000');",
                click.id, click.lead, click.expert, click.search, click.minute
            )
            .unwrap();
        }
        site.connect()
            .execute_batch(&format!("{inserting} COMMIT;"))
            .unwrap();
        let window = ["--since", "2026-11-01 09:10", "--until", "2026-11-01 09:40"];
        let within: Vec<AnyClick> = all
            .iter()
            .filter(|click| (10..40).contains(&click.minute))
            .cloned()
            .collect();
        for (clicks, window) in [(&all, &[][..]), (&within, &window)] {
            for order in ["latest", "clicks", "experts", "first"] {
                let mut leads = by_lead(clicks);
                // A stable sort: equal leads stay in the order of their latest clicks.
                leads.sort_by_key(|lead| {
                    Reverse(match order {
                        "latest" => 0,
                        "clicks" => lead.len(),
                        "experts" => experts(lead),
                        _ => usize::try_from(lead[lead.len() - 1].minute).unwrap(),
                    })
                });
                for limit in ["1", "7", "1000"] {
                    let max = limit.parse().unwrap();
                    let csv = |report| {
                        let args = ["report", report, "--sort", order, "--limit", limit];
                        let args = [&args, window, &["--format", "csv"]].concat();
                        site.run(&args).stdout
                    };
                    let rows: String = leads.iter().take(max).map(|lead| row(lead)).collect();
                    assert_eq!(csv("--leads"), format!("{HEADER}{rows}"), "{order} {limit}");
                    let emails = leads.iter().take(max).flatten();
                    let emails: Vec<String> = emails
                        .map(|click| format!("lead{}@example.com", click.lead))
                        .collect();
                    let by_email = csv("--by-email");
                    let found: Vec<&str> = by_email
                        .lines()
                        .skip(1)
                        .map(|line| line.split(',').next().unwrap())
                        .collect();
                    assert_eq!(found, emails, "{order} {limit}");
                }
                let args = ["report", "--leads", "--sort", order, "--limit", "1"];
                let table = site.stdout_of(&[&args, window].concat());
                let totals = format!("\n{} leads, {} clicks; ", leads.len(), clicks.len());
                assert!(table.contains(&totals), "{table}");
            }
        }
    }
}

/// A day, a lead and an expert; the first click of a day is the oldest.
type DayClick = (i64, u64, u64);

/// Clicks of 60 days, in random order.
fn clicks_of_days(seed: u64) -> Vec<DayClick> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut clicks = Vec::new();
    for lead in 0..40 {
        let first = random.i64(0..60);
        for _ in 0..random.usize(1..8) {
            clicks.push((random.i64(first..60), lead, random.u64(..4)));
        }
    }
    random.shuffle(&mut clicks);
    clicks
}

fn site_with(clicks: &[DayClick], index: &str) -> Site {
    let site = Site::new().with_schema(index);
    let mut inserting = "BEGIN;".to_owned();
    for (number, (day, lead, expert)) in clicks.iter().enumerate() {
        // Some are stored in another spelling.
        let spelling = if number % 4 == 0 { "LEAD" } else { "lead" };
        write!(
            inserting,
            "INSERT INTO lead_clicks (email, expert_username, created_at) VALUES
                ('{spelling}{lead}@example{}.com', 'e{expert}', date('2026-09-01', '+{day} days') || ' 09:00:00.000000');",
            lead % 3
        )
        .unwrap();
    }
    site.connect()
        .execute_batch(&format!("{inserting} COMMIT;"))
        .unwrap();
    site
}

fn emails(leads: impl IntoIterator<Item = u64>) -> BTreeSet<String> {
    let email = |lead| format!("lead{lead}@example{}.com", lead % 3);
    leads.into_iter().map(email).collect()
}

#[test]
fn segments_have_the_right_leads_whatever_the_clicks_and_the_indexes() {
    for (seed, index) in [(1, ""), (2, "DROP INDEX lead_clicks_created_at")] {
        let clicks = clicks_of_days(seed);
        let site = site_with(&clicks, index);
        // Days 30 to 44.
        let window = ["--since", "2026-10-01", "--until", "2026-10-15"];
        let is_within = |day: &i64| (30..=44).contains(day);
        let within = || clicks.iter().filter(|(day, ..)| is_within(day));
        let days_of = |lead: u64| {
            let mut days: Vec<i64> = clicks
                .iter()
                .filter(|click| click.1 == lead)
                .map(|click| click.0)
                .collect();
            days.sort_unstable();
            days
        };
        let clicked =
            |lead: u64, expert: u64| within().any(|click| click.1 == lead && click.2 == expert);
        let is_new = |lead: u64| is_within(&days_of(lead)[0]);
        let has_returned = |lead: u64| {
            let days = days_of(lead);
            days.windows(2)
                .any(|pair| is_within(&pair[1]) && pair[1] - pair[0] >= 7)
        };
        let leads = |is_in: &dyn Fn(&DayClick) -> bool| {
            emails(within().filter(|click| is_in(click)).map(|click| click.1))
        };
        for (args, expected) in [
            (&["--new"][..], leads(&|click| is_new(click.1))),
            (
                &["--returning", "7d"],
                leads(&|click| has_returned(click.1)),
            ),
            (
                &["--expert", "e1", "--expert", "e2"],
                leads(&|click| [1, 2].contains(&click.2)),
            ),
            (
                &["--not-expert", "e3"],
                leads(&|click| !clicked(click.1, 3)),
            ),
            (
                &["--expert", "e1", "--not-expert", "e3", "--not-expert", "e2"],
                leads(&|click| click.2 == 1 && !clicked(click.1, 3) && !clicked(click.1, 2)),
            ),
            (
                &["--new", "--expert", "e0", "--not-expert", "e1"],
                leads(&|click| is_new(click.1) && click.2 == 0 && !clicked(click.1, 1)),
            ),
            (
                &[
                    "--returning",
                    "1w",
                    "--exclude",
                    "@Example1.com",
                    "--exclude",
                    "LEAD2@example2.com",
                ],
                leads(&|click| has_returned(click.1) && click.1 % 3 != 1 && click.1 != 2),
            ),
        ] {
            assert!(!expected.is_empty(), "{args:?}");
            let json = |report: &str, more: &[&str]| -> serde_json::Value {
                let base = ["report", report, "--format", "json"];
                serde_json::from_str(&site.stdout_of(&[&base, &window, args, more].concat()))
                    .unwrap()
            };
            for (report, more) in [
                ("--leads", &[][..]),
                ("--by-email", &[]),
                ("--leads", &["--sort", "clicks", "--limit", "50"]),
                ("--by-email", &["--sort", "first", "--limit", "50"]),
            ] {
                let found = json(report, more);
                let found: BTreeSet<String> = found["leads"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|lead| lead["email"].as_str().unwrap().to_owned())
                    .collect();
                assert_eq!(found, expected, "{args:?}");
            }
            for report in ["--by-expert", "--by-query", "--by-day"] {
                assert_eq!(json(report, &[])["leads"], expected.len(), "{args:?}");
            }
        }
        // Without a period, all clicks are the period.
        let ever = site.stdout_of(&["report", "--leads", "--returning", "7d", "--format", "csv"]);
        let has_ever = |lead: &u64| days_of(*lead).windows(2).any(|pair| pair[1] - pair[0] >= 7);
        assert_eq!(ever.lines().count() - 1, (0..40).filter(has_ever).count());
    }
}

#[test]
fn excluded_leads_are_named_in_every_output_and_left_out_of_reports_only() {
    let site = fixture();
    let path = site.db_path();
    let path = path.display();
    let with_variable = |args: &[&str]| {
        let mut command = site.command(args);
        // A comma at the end is no address.
        command.env("LEADCLICKS_EXCLUDE", "AMY@example.com,zed@example.com,");
        Ran::finish(command, b"")
    };
    let note = "excluded: amy@example.com, zed@example.com\n";
    for report in [
        &["report", "--leads"][..],
        &["report", "--by-email"],
        &["report", "--by-expert"],
        &["report", "--by-query"],
        &["report", "--by-day"],
        &["report", "--expert", "jdoe"],
        &["report", "--email", "@example.com"],
        &["summary"],
    ] {
        let flags = [
            "--exclude",
            "amy@example.com",
            "--exclude",
            "zed@example.com",
        ];
        let table = site.stdout_of(&[report, &flags].concat());
        assert!(table.ends_with(&format!("\n{note}")), "{table}");
        assert!(!table.replace(note, "").contains("amy@"), "{table}");
        // A flag takes the place of the variable.
        with_variable(report).assert(0, &table, "");
        let json = with_variable(&[report, &["--format", "json"]].concat());
        let begin = "{\"excluded\":[\"amy@example.com\",\"zed@example.com\"],";
        assert!(json.stdout.starts_with(begin), "{json}");
        if report[0] == "summary" {
            assert!(table.starts_with("4 clicks by 3 leads"), "{table}");
            continue;
        }
        for format in ["csv", "ndjson"] {
            let rows = with_variable(&[report, &["--format", format]].concat());
            rows.assert(0, &rows.stdout, &format!("leadclicks: {note}"));
            assert!(!rows.stdout.contains("amy@"), "{rows}");
        }
        let page = with_variable(&[report, &["--format", "html"]].concat());
        let fact = "<dt>Excluded</dt><dd>amy@example.com, zed@example.com</dd>";
        assert!(page.stdout.contains(fact), "{page}");
    }
    site.run(&["report", "--leads", "--exclude", "@example.com"])
        .assert(
            0,
            "",
            &format!("leadclicks: no clicks yet in {path}\nleadclicks: excluded: @example.com\n"),
        );
    for (email, which) in [
        ("Amy@Example.com", "this lead"),
        ("@example.com", "leads of this domain"),
    ] {
        site.run(&["report", "--email", email, "--exclude", "@example.com"])
            .assert(
                0,
                "",
                &format!(
                    "leadclicks: no clicks by {which} yet in {path}; --exclude or LEADCLICKS_EXCLUDE leaves them out\n\
                     leadclicks: excluded: @example.com\n"
                ),
            );
    }
    let mut watch = site.shell("leadclicks watch --since 2026-10-01 --expert jdoe | head -n 1");
    watch.env("LEADCLICKS_EXCLUDE", "amy@example.com");
    Ran::finish(watch, b"").assert(
        0,
        "2026-11-01 23:59:59  =cmd@example.com        Jane Doe (jdoe)     -1+1\n",
        "leadclicks: excluded: amy@example.com\n",
    );

    // Whatever changes or copies the database has all clicks.
    let backup = with_variable(&["backup", "all.db"]);
    assert!(backup.stdout.contains(", 8 clicks"), "{backup}");
    let reset = with_variable(&["reset", "--dry-run"]);
    assert!(reset.stdout.contains("lead_clicks      8"), "{reset}");
    let purge = with_variable(&["purge", "--expert", "jdoe", "--yes"]);
    assert!(purge.stdout.contains("3 clicks of 2 leads"), "{purge}");
    let forget = with_variable(&["forget", "amy@example.com", "--yes"]);
    assert!(forget.stdout.contains("deleted 1 row for good"), "{forget}");
    let mut import = site.command(&["import", "-"]);
    import
        .env("LEADCLICKS_EXCLUDE", "amy@example.com")
        .stdin(Stdio::piped());
    let csv = b"email,expert_username,search_query,created_at\namy@example.com,zoe,,2025-11-01T10:30:00Z\n";
    Ran::finish(import, csv).assert(
        0,
        "1 new, 0 already stored\n",
        "leadclicks: 3 clicked usernames are not among the experts: ghost, =ghost, zoe\n",
    );
}

#[test]
fn segments_that_mean_nothing_are_wrong_usage() {
    let site = fixture();
    for (args, error) in [
        (
            &["--new"][..],
            "--new needs the beginning of a period: add --since or --period",
        ),
        (
            &["--returning", "999999w"],
            "--returning is a length of time such as 14d, 2w or 3mo",
        ),
        (
            &["--exclude", "a@example.com,"],
            "--exclude '' is neither an email nor a domain; give a whole email, or a domain such as @example.com",
        ),
        (
            &["--not-expert", "\u{200b}"],
            "--not-expert has no visible character; give it a text",
        ),
        (
            &["--not-expert", "o"],
            "--not-expert 'o' matches 5 experts: =ghost, ghost, jdoe (Jane Doe), solo (Solo), zoë (Zoë O'Neil, Jr.); give one username",
        ),
    ] {
        let ran = site.run(&[&["report", "--leads"], args].concat());
        ran.assert(2, "", &format!("leadclicks: {error}\n"));
    }
    for (pause, error) in [
        (
            "14",
            "--returning is a length of time such as 14d, 2w or 3mo",
        ),
        (
            "monday",
            "--returning is a length of time such as 14d, 2w or 3mo",
        ),
        ("3m", "m may mean minutes or months; write 3min or 3mo"),
    ] {
        let error = format!(
            "error: invalid value '{pause}' for '--returning <PAUSE>': {error}\n\nFor more information, try '--help'.\n"
        );
        site.run(&["report", "--leads", "--returning", pause])
            .assert(2, "", &error);
    }
    site.run(&["report", "--expert", "jdoe", "--expert", "ghost"])
        .assert(
            2,
            "",
            "leadclicks: several --expert need another report, for instance --leads or --by-email\n",
        );
    for args in [&["report", "--leads"][..], &["summary"], &["watch"]] {
        let mut command = site.command(args);
        command.env("LEADCLICKS_EXCLUDE", "");
        Ran::finish(command, b"").assert(
            2,
            "",
            "leadclicks: the variable LEADCLICKS_EXCLUDE is empty; give it a value, or unset it\n",
        );
    }
    // Names are looked up, and an unknown expert is said to be one.
    let ran = site.run(&[
        "report",
        "--leads",
        "--limit",
        "1",
        "--format",
        "csv",
        "--not-expert",
        "Jane Doe",
        "--not-expert",
        "jdeo",
        "--expert",
        "ghost",
        "--expert",
        "nobody",
    ]);
    ran.assert(
        0,
        &format!("{HEADER}bob@example.com,1,1,2026-11-01T09:00:00.000000Z,2026-11-01T09:00:00.000000Z,ghost,ghost,\"rust, \"\"fast\"\" & safe\"\n"),
        "leadclicks: --not-expert 'Jane Doe' is jdoe (Jane Doe)\n\
         leadclicks: --not-expert 'jdeo' has no clicks yet; similar: jdoe (Jane Doe)\n\
         leadclicks: --expert 'nobody' has no clicks yet; `leadclicks experts list` lists the known experts\n",
    );
}

#[test]
fn a_table_on_one_expert_has_the_latest_search_and_emails_are_wrapped_last() {
    let site = Site::new().with_schema(
        "INSERT INTO experts VALUES ('hugonovak2', 'Hugo', 'Novak'), ('hugonovak5', 'Hugo', 'Novak');
         INSERT INTO lead_clicks (email, expert_username, search_query, created_at) VALUES
             ('lead160@globex.example.com', 'hugonovak2', 'machine learning', '2026-11-02 09:00:00.000000'),
             ('amy@example.com', 'hugonovak5', 'tax', '2026-11-01 09:00:00.000000');",
    );
    let leads = |columns: &str, args: &[&str]| {
        let mut command = site.command(&[&["report", "--leads"], args].concat());
        command.env("COLUMNS", columns);
        Ran::finish(command, b"").stdout
    };
    let on_one = &["--expert", "hugonovak2"];
    assert_eq!(
        leads("80", on_one),
        " Lead                         Clicks   Latest click       Latest search
───────────────────────────────────────────────────────────────────────────
 lead160@globex.example.com        1   2026-11-02 09:00   machine learning

1 lead, 1 click; times in UTC
a window of 120 columns also shows: First click
"
    );
    assert_eq!(
        leads("120", on_one),
        " Lead                         Clicks   First click        Latest click       Latest search
──────────────────────────────────────────────────────────────────────────────────────────────
 lead160@globex.example.com        1   2026-11-02 09:00   2026-11-02 09:00   machine learning

1 lead, 1 click; times in UTC
"
    );
    // The other formats have the same columns for any experts.
    for format in ["csv", "ndjson"] {
        let first = |args: &[&str]| {
            let output = leads("80", args);
            output.lines().next().unwrap().to_owned()
        };
        let one = first(&[&on_one[..], &["--format", format]].concat());
        assert_eq!(one, first(&["--format", format]), "{format}");
    }
    assert_eq!(
        leads("80", &[]),
        " Lead                         Clicks   Latest click       Most clicked
────────────────────────────────────────────────────────────────────────────────
 lead160@globex.example.com        1   2026-11-02 09:00   Hugo Novak
                                                          (hugonovak2)
 amy@example.com                   1   2026-11-01 09:00   Hugo Novak
                                                          (hugonovak5)

2 leads, 2 clicks; times in UTC
a window of 120 columns also shows: Experts, First click and Latest search
"
    );
    assert_eq!(
        leads("40", &[]),
        " Lead                         Clicks
─────────────────────────────────────
 lead160@globex.example.com        1
 amy@example.com                   1

2 leads, 2 clicks; times in UTC
a window of 120 columns also shows: Experts, First click, Latest click, Most clicked and Latest search
"
    );
    for columns in ["100", "120"] {
        let table = leads(columns, &[]);
        assert_eq!(
            table.matches(" lead160@globex.example.com ").count(),
            1,
            "{table}"
        );
        assert_eq!(table.matches("(hugonovak2)").count(), 1, "{table}");
    }
}
