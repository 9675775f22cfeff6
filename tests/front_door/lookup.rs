//! `--expert` and `--email`: whom they find.

use crate::support::{Ran, Site};

/// Every report that takes a filter.
const REPORTS: [&[&str]; 5] = [
    &["report"],
    &["report", "--by-email"],
    &["report", "--by-expert"],
    &["report", "--by-query"],
    &["report", "--by-day"],
];
const FORMATS: [&str; 5] = ["table", "html", "csv", "json", "ndjson"];

/// Experts who are only in the list (`carl`, `otto`), only in clicks (`hanna`, `JDoe`), and in both.
fn site() -> Site {
    Site::new().with_schema(
        "INSERT INTO experts VALUES ('anna_s', 'Anna', 'Schmidt'), ('carl', 'Carl', 'Schmidt'), ('jdoe', 'John', 'Doe'),
            ('otto', '', '');
         INSERT INTO lead_clicks (id, email, expert_username, search_query, created_at) VALUES
            (1, 'amy@example.com', 'anna_s', 'tax', '2026-11-01 09:00:00.000000'),
            (2, 'bob@example.com', 'hanna', 'law', '2026-11-01 10:00:00.000000'),
            (3, 'cy@mail.example.com', 'jdoe', 'law', '2026-11-01 11:00:00.000000'),
            (4, 'dan@example.org', 'JDoe', '', '2026-11-01 12:00:00.000000'),
            (5, 'Amy@EXAMPLE.com', 'jdoe', '', '2026-11-01 13:00:00.000000');",
    )
}

fn run(site: &Site, args: &[&str], more: &[&str]) -> Ran {
    site.run(&[args, more].concat())
}

/// The username in all clicks on the expert whom `text` means, and what is said about it.
fn clicked(site: &Site, text: &str) -> (String, String) {
    let ran = site.run(&["report", "--format", "csv", "--expert", text]);
    assert!(ran.status.success(), "{ran}");
    let usernames = ran.stdout.lines().skip(1);
    let mut usernames: Vec<&str> = usernames
        .map(|line| line.split(',').nth(1).unwrap())
        .collect();
    usernames.dedup();
    (usernames.join(" "), ran.stderr)
}

#[test]
fn an_expert_is_found_by_the_username_without_a_word() {
    let site = site();
    for (text, username) in [
        ("anna_s", "anna_s"),
        (" anna_s ", "anna_s"),
        ("anna\u{200b}_s", "anna_s"),
        // Only clicked.
        ("hanna", "hanna"),
        // Not the one in another case.
        ("jdoe", "jdoe"),
        ("JDoe", "JDoe"),
    ] {
        let found = clicked(&site, text);
        assert_eq!(found, (username.to_owned(), String::new()), "{text}");
    }
    // Only in the list.
    site.run(&["report", "--expert", "carl", "--format", "ndjson"])
        .assert(
            0,
            "",
            &format!(
                "leadclicks: no clicks on 'carl' yet in {}\n",
                site.db_path().display()
            ),
        );
    // A spelling that is only in a click.
    site.connect()
        .execute_batch("UPDATE lead_clicks SET expert_username = 'zoe' || char(0x308) WHERE id = 2")
        .unwrap();
    assert_eq!(clicked(&site, "zoë"), ("zoë".to_owned(), String::new()));
}

#[test]
fn an_expert_is_found_by_another_case_by_the_name_or_by_a_part_of_either() {
    let site = site();
    for (text, said, username) in [
        ("ANNA_S", "'ANNA_S' is anna_s (Anna Schmidt)", "anna_s"),
        (
            "Anna Schmidt",
            "'Anna Schmidt' is anna_s (Anna Schmidt)",
            "anna_s",
        ),
        (
            "anna schmidt",
            "'anna schmidt' is anna_s (Anna Schmidt)",
            "anna_s",
        ),
        ("anna_", "'anna_' is anna_s (Anna Schmidt)", "anna_s"),
        ("A SCHM", "'A SCHM' is anna_s (Anna Schmidt)", "anna_s"),
        ("Hanna", "'Hanna' is hanna", "hanna"),
        ("HAN", "'HAN' is hanna", "hanna"),
        // The whole name of one, though it is a part of another's.
        ("John Doe", "'John Doe' is jdoe (John Doe)", "jdoe"),
    ] {
        assert_eq!(
            clicked(&site, text),
            (
                username.to_owned(),
                format!("leadclicks: --expert {said}\n")
            )
        );
    }
    // Only in the list.
    let path = site.db_path();
    site.run(&["report", "--by-email", "--expert", "OTT", "--format", "csv"])
        .assert(
            0,
            "email,expert_username,expert_name,search_query,created_at\n",
            &format!(
                "leadclicks: --expert 'OTT' is otto\nleadclicks: no clicks on 'otto' yet in {}\n",
                path.display()
            ),
        );
}

#[test]
fn every_report_and_format_finds_the_same_expert() {
    let site = site();
    let said = "leadclicks: --expert 'Anna Schmidt' is anna_s (Anna Schmidt)\n";
    for report in REPORTS {
        for format in FORMATS {
            let found = |expert| run(&site, report, &["--format", format, "--expert", expert]);
            let (by_name, by_username) = (found("Anna Schmidt"), found("anna_s"));
            by_username.assert(0, &by_username.stdout, "");
            // A page shows when it was created.
            let shown = |ran: &Ran| {
                ran.stdout
                    .split("<dt>Created")
                    .map(str::len)
                    .collect::<Vec<_>>()
            };
            assert_eq!(shown(&by_name), shown(&by_username), "{report:?} {format}");
            assert!(
                by_name.status.success() && by_name.stderr == said,
                "{by_name}"
            );
        }
    }
    let mut watch = site.shell(
        "leadclicks watch --since 2026-11-01 --format ndjson --expert 'Anna Schmidt' | head -n 1",
    );
    watch.env("TZ", "UTC");
    Ran::finish(watch, b"").assert(
        0,
        "{\"email\":\"amy@example.com\",\"expert_username\":\"anna_s\",\"expert_name\":\"Anna Schmidt\",\"search_query\":\"tax\",\"created_at\":\"2026-11-01T09:00:00.000000Z\"}\n",
        said,
    );
}

#[test]
fn several_experts_are_listed_and_none_is_chosen() {
    let site = site();
    let both = "anna_s (Anna Schmidt), carl (Carl Schmidt)";
    for (text, found) in [
        ("schmidt", both),
        ("Schmidt", both),
        ("anna", "anna_s (Anna Schmidt), hanna"),
        ("JDOE", "JDoe, jdoe (John Doe)"),
    ] {
        let sentence = format!(
            "leadclicks: --expert '{text}' matches 2 experts: {found}; give one username\n"
        );
        for format in FORMATS {
            for report in REPORTS {
                run(&site, report, &["--format", format, "--expert", text])
                    .assert(2, "", &sentence);
            }
        }
        run(&site, &["watch"], &["--expert", text]).assert(2, "", &sentence);
    }
}

#[test]
fn at_most_20_of_several_experts_are_listed() {
    let site = Site::new().with_schema(
        "WITH RECURSIVE n(i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM n WHERE i < 32)
         INSERT INTO lead_clicks (email, expert_username, created_at)
         SELECT 'amy@example.com', 'expert' || i, '2026-11-01 09:00:00.000000' FROM n;",
    );
    let listed: Vec<String> = (10..30).map(|number| format!("expert{number}")).collect();
    site.run(&["report", "--expert", "Expert"]).assert(
        2,
        "",
        &format!(
            "leadclicks: --expert 'Expert' matches 23 experts: {} and 3 more; give one username\n",
            listed.join(", ")
        ),
    );
}

#[test]
fn an_expert_who_is_not_found_has_an_empty_report_that_names_similar_ones() {
    let site = site();
    let path = site.db_path();
    for (text, hint) in [
        ("ana", "; similar: anna_s (Anna Schmidt)"),
        ("jode", "; similar: JDoe, jdoe (John Doe)"),
        ("Carl Schmitt", "; similar: carl (Carl Schmidt)"),
        ("Smidt", ""),
        ("nobody", ""),
        ("%", ""),
    ] {
        let hint = match hint {
            "" => "; `leadclicks experts list` lists the known experts",
            hint => hint,
        };
        let text_shown = text.trim();
        let sentence = format!(
            "leadclicks: no clicks on '{text_shown}' yet in {}{hint}\n",
            path.display()
        );
        for report in REPORTS {
            for format in FORMATS {
                let ran = run(&site, report, &["--format", format, "--expert", text]);
                assert!(ran.status.success(), "{ran}");
                assert_eq!(ran.stderr, sentence);
                assert!(!ran.stdout.contains("example.com"), "{ran}");
            }
        }
        // It ends with the reader.
        let mut watch = site.shell("leadclicks watch --expert \"$0\" | true");
        watch.arg(text);
        Ran::finish(watch, b"").assert(0, "", &sentence);
    }
}

/// The leads of a report in the format of programs, in any order.
fn leads(ndjson: &str) -> Vec<String> {
    let mut leads: Vec<String> = ndjson
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|row| row["email"].as_str().unwrap().to_owned())
        .collect();
    leads.sort();
    leads
}

#[test]
fn an_email_filter_of_a_domain_lists_the_clicks_of_all_its_leads() {
    let site = site();
    site.run(&["report", "--email", "@Example.com"]).assert(
        0,
        "@example.com

 Time               Lead              Expert         Search
────────────────────────────────────────────────────────────
 2026-11-01 13:00   amy@example.com   John Doe
 2026-11-01 10:00   bob@example.com   hanna          law
 2026-11-01 09:00   amy@example.com   Anna Schmidt   tax

2 leads, 3 experts, 3 clicks; times in UTC
",
        "",
    );
    site.run(&["report", "--email", "@example.com", "--format", "csv"])
        .assert(
            0,
            "email,expert_username,expert_name,search_query,created_at
amy@example.com,jdoe,John Doe,,2026-11-01T13:00:00.000000Z
bob@example.com,hanna,hanna,law,2026-11-01T10:00:00.000000Z
amy@example.com,anna_s,Anna Schmidt,tax,2026-11-01T09:00:00.000000Z
",
            "",
        );
    site.run(&[
        "report", "--email", "@example.com", "--expert", "anna_s", "--format", "json",
    ])
    .assert(
        0,
        "{\"domain\":\"example.com\",\"clicks\":[{\"email\":\"amy@example.com\",\"expert_username\":\"anna_s\",\"expert_name\":\"Anna Schmidt\",\"search_query\":\"tax\",\"created_at\":\"2026-11-01T09:00:00.000000Z\"}]}\n",
        "",
    );
    let page = site.stdout_of(&["report", "--email", "@example.com", "--format", "html"]);
    for shown in [
        "<title>Clicks by leads of @example.com · leadclicks</title>",
        "<h1>Clicks by leads of <bdi>@example.com</bdi></h1>",
        "<li><strong>2</strong> leads</li>",
        "<li><strong>3</strong> experts</li>",
        "placeholder=\"Lead, expert or search\"",
        "amy<wbr>@example.com",
        "bob<wbr>@example.com",
    ] {
        assert!(page.contains(shown), "{shown}\n{page}");
    }
    // What is printed can be imported.
    let ndjson = site.stdout_of(&["report", "--email", "@example.com", "--format", "ndjson"]);
    site.run_with_input(&["import", "-"], ndjson.as_bytes())
        .assert(0, "0 new, 3 already stored\n", "");
}

#[test]
fn a_domain_filters_every_report_and_watch_and_is_exactly_that_domain() {
    let site = site();
    site.connect()
        .execute_batch(
            "INSERT INTO lead_clicks (id, email, expert_username, search_query, created_at) VALUES
                (6, 'eve@münchen.example', 'jdoe', 'x', '2026-11-01 14:00:00.000000'),
                (7, 'fay@xn--mnchen-3ya.example', 'jdoe', 'x', '2026-11-01 15:00:00.000000'),
                (8, 'example.com', 'jdoe', 'x', '2026-11-01 16:00:00.000000');",
        )
        .unwrap();
    for (domain, found) in [
        (
            "@example.com",
            &["amy@example.com", "amy@example.com", "bob@example.com"][..],
        ),
        (
            " @EXAMPLE.com ",
            &["amy@example.com", "amy@example.com", "bob@example.com"],
        ),
        ("@mail.example.com", &["cy@mail.example.com"]),
        ("@example.org", &["dan@example.org"]),
        (
            "@münchen.example",
            &["eve@münchen.example", "fay@münchen.example"],
        ),
        (
            "@XN--mnchen-3ya.example",
            &["eve@münchen.example", "fay@münchen.example"],
        ),
        ("dan@example.org", &["dan@example.org"]),
    ] {
        for report in [&["report"][..], &["report", "--by-email"]] {
            let ran = run(&site, report, &["--email", domain, "--format", "ndjson"]);
            assert_eq!(leads(&ran.stdout), found, "{report:?} {domain}");
        }
        let count = found.len();
        let mut watch = site.shell(
            "leadclicks watch --since 2026-11-01 --format ndjson --email \"$0\" | head -n \"$1\"",
        );
        watch.args([domain, &count.to_string()]);
        let watched = Ran::finish(watch, b"");
        assert_eq!(leads(&watched.stdout), found, "{domain}");
        let days = run(
            &site,
            &["report", "--by-day"],
            &["--email", domain, "--format", "csv"],
        );
        let day = format!("2026-11-01,{count},");
        assert!(
            days.stdout.lines().nth(1).unwrap().starts_with(&day),
            "{days}"
        );
    }
    let ranked =
        |by: &str| site.stdout_of(&["report", by, "--email", "@example.com", "--format", "csv"]);
    assert_eq!(
        ranked("--by-expert"),
        "expert_username,expert_name,clicks,leads,share,latest_click_at
jdoe,John Doe,1,1,0.3333,2026-11-01T13:00:00.000000Z
hanna,hanna,1,1,0.3333,2026-11-01T10:00:00.000000Z
anna_s,Anna Schmidt,1,1,0.3333,2026-11-01T09:00:00.000000Z
"
    );
    assert_eq!(
        ranked("--by-query"),
        "search_query,clicks,leads,share,latest_click_at
,1,1,0.3333,2026-11-01T13:00:00.000000Z
law,1,1,0.3333,2026-11-01T10:00:00.000000Z
tax,1,1,0.3333,2026-11-01T09:00:00.000000Z
"
    );
    let page = site.stdout_of(&[
        "report",
        "--by-expert",
        "--email",
        "@example.com",
        "--format",
        "html",
    ]);
    assert!(
        page.contains("<dd>by leads of <bdi>@example.com</bdi></dd>"),
        "{page}"
    );
    // An index of a host app finds the same.
    site.connect()
        .execute_batch("CREATE INDEX by_email ON lead_clicks (email)")
        .unwrap();
    let ndjson = site.stdout_of(&[
        "report",
        "--email",
        "@münchen.example",
        "--format",
        "ndjson",
    ]);
    assert_eq!(
        leads(&ndjson),
        ["eve@münchen.example", "fay@münchen.example"]
    );
}

#[test]
fn a_domain_without_clicks_is_said_so_without_naming_it() {
    let site = site();
    site.run(&["report", "--email", "@nowhere.example", "--format", "json"])
        .assert(
            0,
            "{\"domain\":\"nowhere.example\",\"clicks\":[]}\n",
            &format!(
                "leadclicks: no clicks by leads of this domain yet in {}\n",
                site.db_path().display()
            ),
        );
}

#[test]
fn what_is_neither_an_email_nor_a_domain_is_wrong_usage() {
    let site = site();
    let generic = "give a whole email, or a domain such as @example.com";
    let meant = "for all leads of the domain, give @staff.example.com";
    for (text, next) in [
        ("@", generic),
        ("lead42", generic),
        ("lead42@", generic),
        ("\u{200b}", generic),
        ("*", generic),
        ("*@staff.example.com", meant),
        ("@*.staff.example.com", meant),
        ("staff.example.com", meant),
    ] {
        let shown = text.replace('\u{200b}', r"\u{200b}");
        let error = |name: &str| {
            format!("leadclicks: {name} '{shown}' is neither an email nor a domain; {next}\n")
        };
        for args in [
            &["report", "--email", text][..],
            &["watch", "--email", text],
            &["purge", "--email", text, "--yes"],
        ] {
            site.run(args).assert(2, "", &error("--email"));
        }
        for args in [&["report", "--leads"][..], &["summary"], &["watch"]] {
            let ran = site.run(&[args, &["--exclude", text]].concat());
            ran.assert(2, "", &error("--exclude"));
            let mut command = site.command(args);
            command.env("LEADCLICKS_EXCLUDE", text);
            Ran::finish(command, b"").assert(2, "", &error("LEADCLICKS_EXCLUDE"));
        }
    }
}

#[test]
fn deletions_take_a_whole_address_and_no_domain() {
    let site = site();
    let before = site.clicks();
    for domain in ["@example.com", "example.com"] {
        site.run(&["forget", domain, "--yes"]).assert(
            2,
            "",
            &format!(
                "leadclicks: '{domain}' is not an email: it should have one @ with text on both sides and no white space\n"
            ),
        );
    }
    assert_eq!(site.clicks(), before);
}
