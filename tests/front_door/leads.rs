//! Reports on leads: a row for each, and their order.

use std::{cmp::Reverse, collections::HashSet, fmt::Write};

use crate::{report::fixture, support::Site};

const HEADER: &str = "email,clicks,experts,first_click_at,latest_click_at,top_expert_username,top_expert_name,latest_search_query\n";

#[test]
fn each_lead_is_one_row_in_every_format() {
    let site = fixture();
    site.run(&["report", "--leads"]).assert(
        0,
        " Lead                     Clicks   Experts   Latest click       Most clicked
────────────────────────────────────────────────────────────────────────────────
 o'neil+x@example.com          1         1   2026-11-02 12:30   Zoë O'Neil, Jr.
                                                                (zoë)
 =cmd@example.com              1         1   2026-11-01 23:59   Jane Doe (jdoe)
 bob@example.com               2         2   2026-11-01 10:00   blank
 amy@example.com               3         2   2026-11-01 09:00   Jane Doe (jdoe)
 zed@example.com               1         1   2026-10-30 00:00   =ghost

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
    wide.env("COLUMNS", "120");
    crate::support::Ran::finish(wide, b"").assert(
        0,
        " Lead              Clicks   Experts   First click        Latest click       Most clicked      Latest search
────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
 amy@example.com        3         2   2026-10-31 00:00   2026-11-01 09:00   Jane Doe (jdoe)   =HYPERLINK(\"http://exampl
                                                                                              e.com\")

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
