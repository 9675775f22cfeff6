//! Reports that count: experts, searches, days and the summary; filters, and the colours of tables.

use std::{collections::BTreeMap, fmt::Write};

use proptest::prelude::*;

use crate::{
    report::fixture,
    support::{HOST_APP, Ran, Site},
};

#[test]
fn rows_are_named_by_their_latest_clicks_with_an_index_and_without() {
    const CLICKS: &str =
        "INSERT INTO lead_clicks (email, expert_username, search_query, created_at) VALUES
        ('a@example.com', 'b', 'Tax', '2026-11-01 10:00:00.000000'),
        ('a@example.com', 'b', 'moving', '2026-11-01 10:00:00.000000'),
        ('b@example.com', 'b', ' tax', '2026-11-01 10:00:00.000000'),
        ('b@example.com', 'b', 'MOVING', '2026-11-01 10:00:00.000000'),
        ('a@example.com', 'a', '\u{200b} ', '9999-12-31 23:59:59.000000'),
        ('a@example.com', 'a', 'old', '0000-01-01 00:00:00.000000');";
    const RANKED: [&str; 5] = [
        "search_query,clicks,leads,share,latest_click_at\n",
        "MOVING,2,2,0.3333,2026-11-01T10:00:00.000000Z\n",
        " tax,2,2,0.3333,2026-11-01T10:00:00.000000Z\n",
        ",1,1,0.1667,9999-12-30T22:00:00.000000Z\n",
        "old,1,1,0.1667,0000-01-01T00:00:00.000000Z\n",
    ];
    for index in ["", "DROP INDEX lead_clicks_created_at"] {
        let site = Site::new().with_schema(&format!("{CLICKS}{index}"));
        let all = ["report", "--by-query", "--format", "csv"];
        assert_eq!(site.stdout_of(&all), RANKED.concat(), "{index}");
        let first = site.stdout_of(&[&all[..], &["--limit", "1"]].concat());
        assert_eq!(first, RANKED[..2].concat(), "{index}");
    }
}

#[test]
fn experts_are_ranked_by_their_clicks_and_then_by_the_latest() {
    let site = fixture();
    site.run(&["report", "--by-expert"]).assert(
        0,
        " Expert            Clicks   Share   Leads   Latest click
─────────────────────────────────────────────────────────────────────
 Jane Doe               3   37.5%       2   2026-11-01 23:59   █████
 ghost                  2   25.0%       2   2026-11-01 09:00   ███▍
 Zoë O'Neil, Jr.        1   12.5%       1   2026-11-02 12:30   █▊
 blank                  1   12.5%       1   2026-11-01 10:00   █▊
 =ghost                 1   12.5%       1   2026-10-30 00:00   █▊

5 experts, 5 leads, 8 clicks; times in UTC
",
        "",
    );
    assert_eq!(
        site.stdout_of(&["report", "--by-expert", "--format", "csv"]),
        "\
expert_username,expert_name,clicks,leads,share,latest_click_at
jdoe,Jane Doe,3,2,0.375,2026-11-01T23:59:59.999999Z
ghost,ghost,2,2,0.25,2026-11-01T09:00:00.000000Z
zoë,\"Zoë O'Neil, Jr.\",1,1,0.125,2026-11-02T12:30:00.500000Z
blank,blank,1,1,0.125,2026-11-01T10:00:00.000000Z
'=ghost,'=ghost,1,1,0.125,2026-10-30T00:00:00.000001Z
"
    );
    let top = ["report", "--by-expert", "--limit", "1", "--format"];
    assert_eq!(
        site.stdout_of(&[&top[..], &["json"]].concat()),
        concat!(
            r#"{"clicks":8,"leads":5,"experts":[{"expert_username":"jdoe","expert_name":"Jane Doe","#,
            r#""clicks":3,"leads":2,"share":0.375,"latest_click_at":"2026-11-01T23:59:59.999999Z"}]}"#,
            "\n"
        )
    );
    assert_eq!(
        site.stdout_of(&[&top[..], &["ndjson"]].concat()),
        concat!(
            r#"{"expert_username":"jdoe","expert_name":"Jane Doe","#,
            r#""clicks":3,"leads":2,"share":0.375,"latest_click_at":"2026-11-01T23:59:59.999999Z"}"#,
            "\n"
        )
    );
    let table = site.stdout_of(&[&top[..], &["table"]].concat());
    assert_eq!(
        table.lines().skip(3).collect::<Vec<_>>(),
        [
            "",
            "5 experts, 5 leads, 8 clicks; times in UTC",
            "4 more experts not shown; --limit 5 shows all"
        ]
    );
}

#[test]
fn searches_that_differ_in_case_and_white_space_count_as_one_and_are_shown_as_last_typed() {
    let site = Site::new().with_schema(
        "INSERT INTO lead_clicks (id, email, expert_username, search_query, created_at) VALUES
            (1, 'a@example.com', 'jdoe', 'Zürich  pricing', '2026-11-01 09:00:00.000000'),
            (2, 'b@example.com', 'jdoe', ' ZÜRICH PRICING ', '2026-11-03 09:00:00.000000'),
            (3, 'a@example.com', 'zoe', 'zürich pricing', '2026-11-02 09:00:00.000000'),
            (4, 'a@example.com', 'zoe', '', '2026-11-02 10:00:00.000000'),
            (5, 'c@example.com', 'zoe', '  ', '2026-11-02 10:00:00.000000'),
            (6, 'c@example.com', 'zoe', '@SUM', '2026-11-02 10:00:00.000000');",
    );
    site.run(&["report", "--by-query"]).assert(
        0,
        " Search           Clicks   Share   Leads   Latest click
────────────────────────────────────────────────────────────────────
 ZÜRICH PRICING        3   50.0%       2   2026-11-03 09:00   █████
 (no search)           2   33.3%       2   2026-11-02 10:00   ███▍
 @SUM                  1   16.7%       1   2026-11-02 10:00   █▊

2 searches, 3 leads, 6 clicks; times in UTC
",
        "",
    );
    assert_eq!(
        site.stdout_of(&["report", "--by-query", "--format", "csv"]),
        "\
search_query,clicks,leads,share,latest_click_at
 ZÜRICH PRICING ,3,2,0.5,2026-11-03T09:00:00.000000Z
,2,2,0.3333,2026-11-02T10:00:00.000000Z
'@SUM,1,1,0.1667,2026-11-02T10:00:00.000000Z
"
    );
    // The filter ignores case as the ranking does, and matches parts of words.
    assert_eq!(
        site.stdout_of(&[
            "report",
            "--by-query",
            "--query",
            "ÜRICH",
            "--expert",
            "jdoe",
            "--format",
            "ndjson"
        ]),
        concat!(
            r#"{"search_query":" ZÜRICH PRICING ","clicks":2,"leads":2,"share":1.0,"#,
            r#""latest_click_at":"2026-11-03T09:00:00.000000Z"}"#,
            "\n"
        )
    );
}

/// Around midnight in Berlin, which is 23:00 in UTC, with two days between.
const MIDNIGHTS: &str = "
    INSERT INTO lead_clicks (id, email, expert_username, search_query, created_at) VALUES
        (1, 'a@example.com', 'jdoe', '', '2026-11-01 22:59:59.999999'),
        (2, 'b@example.com', 'jdoe', '', '2026-11-01 23:00:00.000000'),
        (3, 'b@example.com', 'zoe', '', '2026-11-02 22:59:59.999999'),
        (4, 'a@example.com', 'zoe', '', '2026-11-04 23:30:00.000000');";

#[test]
fn days_are_in_the_readers_zone_and_include_days_without_clicks() {
    let site = Site::new().with_schema(MIDNIGHTS);
    site.run(&["report", "--by-day", "--tz", "Europe/Berlin"])
        .assert(
            0,
            " 2026-11-01 ▄█  ▄ 2026-11-05

 Day              Clicks   Leads
────────────────────────────────────────────────────────
 Thu 2026-11-05        1       1   ██████████
 Wed 2026-11-04        0       0
 Tue 2026-11-03        0       0
 Mon 2026-11-02        2       1   ████████████████████
 Sun 2026-11-01        1       1   ██████████

5 days, 2 leads, 4 clicks; days in Europe/Berlin
",
            "",
        );
    assert_eq!(
        site.stdout_of(&["report", "--by-day", "--format", "csv"]),
        "day,clicks,leads\n2026-11-04,1,1\n2026-11-03,0,0\n2026-11-02,1,1\n2026-11-01,2,2\n"
    );
    let two = [
        "report", "--by-day", "--limit", "2", "--expert", "zoe", "--format",
    ];
    assert_eq!(
        site.stdout_of(&[&two[..], &["json"]].concat()),
        "{\"clicks\":2,\"leads\":2,\"days\":[{\"day\":\"2026-11-04\",\"clicks\":1,\"leads\":1},\
         {\"day\":\"2026-11-03\",\"clicks\":0,\"leads\":0}]}\n"
    );
    assert_eq!(
        site.stdout_of(&[&two[..], &["ndjson"]].concat()),
        "{\"day\":\"2026-11-04\",\"clicks\":1,\"leads\":1}\n{\"day\":\"2026-11-03\",\"clicks\":0,\"leads\":0}\n"
    );
    let table = site.stdout_of(&[&two[..], &["table"]].concat());
    assert_eq!(
        table.lines().last(),
        Some("1 earlier day not shown; --limit 3 shows all")
    );
}

#[test]
fn a_click_of_a_wrong_clock_does_not_fill_a_report_with_empty_days() {
    let site = Site::new().with_schema(
        "INSERT INTO lead_clicks (email, expert_username, search_query, created_at) VALUES
            ('a@example.com', 'jdoe', '', '1970-01-01 00:00:00.000000'),
            ('a@example.com', 'jdoe', '', '2026-10-01 09:00:00.000000'),
            ('b@example.com', 'jdoe', '', '2026-10-03 09:00:00.000000'),
            ('b@example.com', 'jdoe', '', '2099-05-05 09:00:00.000000');",
    );
    site.run(&["report", "--by-day"]).assert(
        0,
        " 1970-01-01 █…█ █…█ 2099-05-05

 Day              Clicks   Leads
────────────────────────────────────────────────────────
 Tue 2099-05-05        1       1   ████████████████████
 … 26511 days          0       0
 Sat 2026-10-03        1       1   ████████████████████
 Fri 2026-10-02        0       0
 Thu 2026-10-01        1       1   ████████████████████
 … 20726 days          0       0
 Thu 1970-01-01        1       1   ████████████████████

5 days, 2 leads, 4 clicks; days in UTC
",
        "",
    );
    let csv = "day,clicks,leads\n2099-05-05,1,1\n2026-10-03,1,1\n2026-10-02,0,0\n2026-10-01,1,1\n1970-01-01,1,1\n";
    let report = ["report", "--by-day", "--format"];
    assert_eq!(site.stdout_of(&[&report[..], &["csv"]].concat()), csv);
    let json: serde_json::Value =
        serde_json::from_str(&site.stdout_of(&[&report[..], &["json"]].concat())).unwrap();
    assert_eq!(json["days"].as_array().unwrap().len(), 5);
    let ndjson = site.stdout_of(&[&report[..], &["ndjson"]].concat());
    assert_eq!(ndjson.lines().count(), 5);
    let table = site.stdout_of(&["report", "--by-day", "--limit", "3"]);
    assert!(
        table.ends_with("\n4 earlier days not shown; --limit 7 shows all\n"),
        "{table}"
    );
    let page = site.stdout_of(&[&report[..], &["html"]].concat());
    let gap = "<th scope=\"row\">… 26,511 days<";
    assert!(
        page.contains(gap) && page.contains("Tue 2099-05-05"),
        "{page}"
    );
    // The chart has only the other clicks.
    let chart = page.split("</figure>").next().unwrap();
    assert!(!chart.contains("2099"), "{chart}");
}

#[test]
fn a_month_without_clicks_is_listed_day_by_day_and_a_year_of_them_for_programs() {
    for (first, table_rows, csv_rows) in [
        ("2026-09-01", 33, 33),
        ("2026-08-31", 3, 34),
        ("2025-10-01", 3, 368),
        ("2025-09-30", 3, 2),
    ] {
        let site = Site::new().with_schema(&format!(
            "INSERT INTO lead_clicks (email, expert_username, search_query, created_at) VALUES
                ('a@example.com', 'jdoe', '', '{first} 09:00:00.000000'),
                ('a@example.com', 'jdoe', '', '2026-10-03 09:00:00.000000')"
        ));
        let csv = site.stdout_of(&["report", "--by-day", "--format", "csv"]);
        assert_eq!(csv.lines().count(), 1 + csv_rows, "{first}");
        let table = site.stdout_of(&["report", "--by-day"]);
        let rows = table.lines().skip_while(|line| !line.contains('─')).skip(1);
        let rows = rows.take_while(|line| !line.is_empty());
        assert_eq!(rows.count(), table_rows, "{table}");
    }
}

#[test]
fn a_window_in_another_zone_has_the_days_of_that_zone() {
    let site = Site::new().with_schema(MIDNIGHTS);
    let ids = |zone: &str| {
        let window = ["--since", "2026-11-02", "--until", "2026-11-02"];
        let report = ["report", "--by-email", "--tz", zone, "--format", "csv"];
        let csv = site.rows_of_period(&[&report[..], &window].concat(), "Mon 2026-11-02");
        csv.lines().count() - 1
    };
    assert_eq!((ids("Europe/Berlin"), ids("UTC")), (2, 1));
}

#[test]
fn today_and_yesterday_begin_at_midnight() {
    let site = Site::new().with_schema(
        "INSERT INTO lead_clicks (email, expert_username, created_at) VALUES
            ('now@example.com', 'jdoe', strftime('%Y-%m-%d %H:%M:%S', 'now') || '.000000'),
            ('begin@example.com', 'jdoe', date('now') || ' 00:00:00.000000'),
            ('yesterday@example.com', 'jdoe', date('now', '-1 day') || ' 00:00:00.000000'),
            ('before@example.com', 'jdoe', date('now', '-2 days') || ' 23:59:59.000000');",
    );
    let clicks = |args: &[&str]| {
        let report = ["report", "--by-day", "--format", "json"];
        let json = site.stdout_of(&[&report, args].concat());
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        json["clicks"].as_u64().unwrap()
    };
    assert_eq!(clicks(&["--since", "today"]), 2);
    assert_eq!(clicks(&["--since", "yesterday"]), 3);
    assert_eq!(clicks(&["--since", "yesterday", "--until", "today"]), 3);
    assert_eq!(clicks(&["--since", "yesterday", "--until", "yesterday"]), 1);
    assert_eq!(clicks(&["--period", "yesterday"]), 1);
    assert_eq!(clicks(&["--until", "yesterday"]), 2);
    assert_eq!(clicks(&["--period", "2 days"]), 3);
}

#[test]
fn days_without_clicks_are_listed_up_to_the_ends_of_the_period_and_7d_is_seven_whole_days() {
    let site = Site::new().with_schema(
        "INSERT INTO lead_clicks (email, expert_username, created_at) VALUES
            ('a@example.com', 'jdoe', date('now', '-2 days') || ' 23:00:00.000000'),
            ('a@example.com', 'jdoe', date('now', '-6 days') || ' 00:00:00.000000'),
            ('a@example.com', 'jdoe', date('now', '-7 days') || ' 23:59:59.000000');",
    );
    let day = |days: u32| -> String { site.value(&format!("SELECT date('now', '-{days} days')")) };
    let rows = |args: &[&str]| {
        let csv = site.run(&[&["report", "--by-day", "--format", "csv"], args].concat());
        assert!(csv.status.success(), "{csv}");
        csv.stdout
            .lines()
            .skip(1)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let clicks = [0, 0, 1, 0, 0, 0, 1, 1];
    let expected: Vec<String> = (0..8)
        .zip(clicks)
        .map(|(days, clicks)| format!("{},{clicks},{clicks}", day(days)))
        .collect();
    assert_eq!(rows(&["--since", "7d"]), expected[..7]);
    assert_eq!(rows(&["--period", "7days"]), expected[..7]);
    assert_eq!(rows(&["--since", "last 8 days"]), expected);
    assert_eq!(rows(&["--period", "3d"]), expected[..3]);
    // Today is the last day that is listed, also of a period that goes on.
    assert_eq!(
        rows(&["--since", "7d", "--until", "2999-01-01"]),
        expected[..7]
    );
    assert_eq!(rows(&["--since", "7d", "--until", &day(1)]), expected[1..7]);
    // Without an end of its own, a report begins and ends with a click.
    assert_eq!(rows(&[]), expected[2..]);
    assert_eq!(rows(&["--until", &day(1)]), expected[1..]);

    let site = Site::new().with_schema(MIDNIGHTS);
    site.run(&[
        "report",
        "--by-day",
        "--since",
        "2026-09",
        "--until",
        "2026-11-05",
    ])
    .assert(
        0,
        " 2026-09-01 …█▄ ▄  2026-11-05

 Day              Clicks   Leads
────────────────────────────────────────────────────────
 Thu 2026-11-05        0       0
 Wed 2026-11-04        1       1   ██████████
 Tue 2026-11-03        0       0
 Mon 2026-11-02        1       1   ██████████
 Sun 2026-11-01        2       2   ████████████████████
 … 61 days             0       0

5 days, 2 leads, 4 clicks; days in UTC
period: Tue 2026-09-01 to Thu 2026-11-05
",
        "",
    );
}

#[test]
fn the_period_is_shown_in_every_format() {
    let site = Site::new().with_schema(MIDNIGHTS);
    let report = |args: &[&str]| site.run(&[&["report"], args].concat());
    for (args, period, fields) in [
        (
            &["--period", "2026-11"][..],
            "Sun 2026-11-01 to Mon 2026-11-30",
            "{\"since\":\"2026-11-01T00:00:00.000000Z\",\"until\":\"2026-12-01T00:00:00.000000Z\",",
        ),
        (
            &["--since", "2026-11-01", "--until", "2026-11-01"],
            "Sun 2026-11-01",
            "{\"since\":\"2026-11-01T00:00:00.000000Z\",\"until\":\"2026-11-02T00:00:00.000000Z\",",
        ),
        (
            &["--since", "2026-11-01 09:30"],
            "since 2026-11-01 09:30",
            "{\"since\":\"2026-11-01T09:30:00.000000Z\",",
        ),
        (
            &["--until", "2026-11-01"],
            "until Sun 2026-11-01",
            "{\"until\":\"2026-11-02T00:00:00.000000Z\",",
        ),
        (
            &["--until", "2026-11-01T23:30:00Z"],
            "before 2026-11-01 23:30",
            "{\"until\":\"2026-11-01T23:30:00.000000Z\",",
        ),
        (
            &["--since", "2026-10-30", "--until", "2026-11-03 12:00"],
            "Fri 2026-10-30 to 2026-11-03 12:00",
            "{\"since\":\"2026-10-30T00:00:00.000000Z\",\"until\":\"2026-11-03T12:00:00.000000Z\",",
        ),
    ] {
        for kind in [
            &["--by-email"][..],
            &["--by-expert"],
            &["--by-day"],
            &["--expert", "jdoe"],
        ] {
            let args = [kind, args].concat();
            let table = report(&args);
            table.assert(0, &table.stdout, "");
            assert!(
                table.stdout.ends_with(&format!("\nperiod: {period}\n")),
                "{table}"
            );
            let json = report(&[&args[..], &["--format", "json"]].concat());
            json.assert(0, &json.stdout, "");
            assert!(json.stdout.starts_with(fields), "{json}");
            let page = report(&[&args[..], &["--format", "html"]].concat());
            page.assert(0, &page.stdout, "");
            assert!(
                page.stdout
                    .contains(&format!("<dt>Time</dt><dd>{period}</dd>")),
                "{page}"
            );
            for format in ["csv", "ndjson"] {
                let rows = report(&[&args[..], &["--format", format]].concat());
                rows.assert(0, &rows.stdout, &format!("leadclicks: period: {period}\n"));
            }
        }
    }
}

#[test]
fn a_length_of_time_is_no_end_because_it_could_be_taken_for_the_time_so_long_ago() {
    let site = Site::new().with_schema(MIDNIGHTS);
    let day_before: String = site.value("SELECT date('now', '-7 days')");
    let path = site.db_path();
    let clicks = site.clicks();
    for command in [&["report", "--by-day"][..], &["purge", "--yes"]] {
        site.run(&[command, &["--until", "7d"]].concat()).assert(
            2,
            "",
            &format!("leadclicks: --until ends where its period ends, and a length of time ends now; for clicks from before it, write --until {day_before}\n"),
        );
        let ran = site.run(&[command, &["--until", "90min"]].concat());
        assert_eq!(ran.status.code(), Some(2), "{ran}");
        assert!(ran.stderr.contains("write --until '2"), "{ran}");
    }
    assert_eq!(site.clicks(), clicks);
    // What a purge deletes is what a report shows.
    site.run(&["purge", "--period", "2026-11-02", "--dry-run"])
        .assert(
            0,
            &format!(
                "{}

1 click of 1 lead,
from 2026-11-02 22:59:59 to 2026-11-02 22:59:59 UTC
period: Mon 2026-11-02

 Expert   Clicks
─────────────────
 zoe           1

 Lead            Clicks
────────────────────────
 b@example.com        1

needs about 1 MiB of free disk space

dry run: nothing was deleted
",
                path.display()
            ),
            "",
        );
}

#[test]
fn a_report_is_compared_with_the_period_before_in_every_format() {
    let site = fixture();
    site.run(&[
        "report",
        "--by-expert",
        "--period",
        "2026-11-01",
        "--compare",
    ])
    .assert(
        0,
        " Expert     Clicks      Before   Share   Leads   Latest click
──────────────────────────────────────────────────────────────────
 Jane Doe        2   1 (+100%)   40.0%       2   2026-11-01 23:59
 ghost           2         new   40.0%       2   2026-11-01 09:00
 blank           1         new   20.0%       1   2026-11-01 10:00

3 experts, 3 leads, 5 clicks; times in UTC
period: Sun 2026-11-01
period before: Sat 2026-10-31, 1 click by 1 lead; now +400% clicks, +200% leads
",
        "",
    );
    let note = "leadclicks: period: Sun 2026-11-01\nleadclicks: period before: Sat 2026-10-31, 1 click by 1 lead; now +400% clicks, +200% leads\n";
    let report = |by: &str, format: &str| {
        let args = [
            "report",
            by,
            "--period",
            "2026-11-01",
            "--compare",
            "--format",
            format,
        ];
        site.run(&args)
    };
    report("--by-expert", "csv").assert(
        0,
        "expert_username,expert_name,clicks,leads,share,latest_click_at,clicks_before
jdoe,Jane Doe,2,2,0.4,2026-11-01T23:59:59.999999Z,1
ghost,ghost,2,2,0.4,2026-11-01T09:00:00.000000Z,0
blank,blank,1,1,0.2,2026-11-01T10:00:00.000000Z,0
",
        note,
    );
    let before = "\"before\":{\"since\":\"2026-10-31T00:00:00.000000Z\",\"until\":\"2026-11-01T00:00:00.000000Z\",\"clicks\":1,\"leads\":1}";
    for by in [
        "--by-expert",
        "--by-query",
        "--by-day",
        "--by-email",
        "--leads",
        "--expert=jdoe",
    ] {
        let json = report(by, "json").stdout;
        // On jdoe, there are as many clicks before.
        assert!(json.contains(before), "{json}");
        let page = report(by, "html").stdout;
        assert!(
            page.contains("<dt>Before</dt><dd>Sat 2026-10-31, 1 click by 1 lead; now +"),
            "{page}"
        );
        let table = report(by, "table").stdout;
        assert!(
            table.contains("\nperiod before: Sat 2026-10-31, 1 click by 1 lead; now +"),
            "{table}"
        );
    }
    let page = report("--by-email", "html").stdout;
    assert!(
        page.contains("<td class=\"number before\">1 (+100%)</td>"),
        "{page}"
    );
    site.run(&["report", "--by-expert", "--compare"]).assert(
        2,
        "",
        "leadclicks: --compare needs the beginning of a period: add --since or --period\n",
    );
}

#[test]
fn searches_are_compared_in_any_spelling_and_segments_in_each_period() {
    let searches = Site::new().with_schema(
        "INSERT INTO lead_clicks (email, expert_username, search_query, created_at) VALUES
            ('a@example.com', 'jdoe', 'Tax', '2026-10-31 09:00:00.000000'),
            ('b@example.com', 'jdoe', 'TAX ', '2026-10-31 09:00:00.000000'),
            ('b@example.com', 'zoe', ' ', '2026-10-31 09:00:00.000000'),
            ('new@example.com', 'zoe', 'tax', '2026-11-01 09:00:00.000000'),
            ('b@example.com', 'zoe', 'tax', '2026-11-01 09:00:00.000000'),
            ('a@example.com', 'jdoe', '', '2026-11-01 09:00:00.000000');",
    );
    let period = [
        "report",
        "--by-query",
        "--compare",
        "--format",
        "csv",
        "--period",
        "2026-11-01",
    ];
    assert_eq!(
        searches.run(&period).stdout,
        "search_query,clicks,leads,share,latest_click_at,clicks_before\n\
         tax,2,2,0.6667,2026-11-01T09:00:00.000000Z,2\n\
         ,1,1,0.3333,2026-11-01T09:00:00.000000Z,1\n"
    );
    // A segment is that of each period: whoever was new the day before.
    assert_eq!(
        searches.run(&[&period[..], &["--new"]].concat()).stderr,
        "leadclicks: period: Sun 2026-11-01\n\
         leadclicks: period before: Sat 2026-10-31, 3 clicks by 2 leads; now -67% clicks, -50% leads\n"
    );
}

#[test]
fn the_clicks_of_one_lead_are_listed_with_their_experts_newest_first() {
    let site = fixture();
    site.run(&["report", "--email", "Amy@Example.com"]).assert(
        0,
        "\
amy@example.com

 Time               Expert     Search
────────────────────────────────────────────────────────────────
 2026-11-01 09:00   ghost      =HYPERLINK(\"http://example.com\")
 2026-11-01 09:00   Jane Doe
 2026-10-31 00:00   Jane Doe     two  blanks

2 experts, 3 clicks; times in UTC
",
        "",
    );
    assert_eq!(
        site.stdout_of(&[
            "report",
            "--email",
            "amy@example.com",
            "--expert",
            "ghost",
            "--format",
            "json"
        ]),
        concat!(
            r#"{"email":"amy@example.com","clicks":[{"expert_username":"ghost","expert_name":"ghost","#,
            r#""search_query":"=HYPERLINK(\"http://example.com\")","created_at":"2026-11-01T09:00:00.000000Z"}]}"#,
            "\n"
        )
    );
}

#[test]
fn a_host_apps_leads_are_found_whatever_case_they_are_stored_in() {
    let site = Site::new().with_database(&format!(
        "{HOST_APP} INSERT INTO lead_clicks (id, email, expert_username, search_query, created_at) VALUES
            (1, 'Amy@Example.com', 'jdoe', 'x', '2026-11-01 09:00:00'),
            (2, 'amy@example.com', 'plain', 'y', '2026-11-01 10:00:00');"
    ));
    let csv = site.stdout_of(&["report", "--email", "amy@example.com", "--format", "csv"]);
    assert_eq!(
        csv,
        "email,expert_username,expert_name,search_query,created_at\n\
         amy@example.com,plain,plain,y,2026-11-01T10:00:00.000000Z\n\
         amy@example.com,jdoe,Jane Doe,x,2026-11-01T09:00:00.000000Z\n"
    );
}

/// A lead, an expert, a search and the hours since a beginning.
type AnyClick = (u8, u8, String, i64);

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() })]

    /// Compares the report with counts made by the test itself.
    #[test]
    fn counts_are_right_for_any_clicks(
        clicks in prop::collection::vec((0..6_u8, 0..4_u8, "[aA ]{0,3}", 0..200_i64), 1..60)
    ) {
        let site = Site::new().with_schema("");
        let mut inserting = "BEGIN;".to_owned();
        for (lead, expert, query, hours) in &clicks {
            write!(
                inserting,
                "INSERT INTO lead_clicks (email, expert_username, search_query, created_at) VALUES
                    ('l{lead}@example.com', 'e{expert}', '{query}',
                     strftime('%Y-%m-%d %H:%M:%S', '2026-11-01', '{hours} hours') || '.000000');"
            ).unwrap();
        }
        site.connect().execute_batch(&format!("{inserting} COMMIT;")).unwrap();
        let counts = |args: &[&str], key: &str| -> BTreeMap<String, (u64, u64)> {
            let report = ["report", "--format", "ndjson"];
            let lines = site.stdout_of(&[&report, args].concat());
            lines
                .lines()
                .map(|line| {
                    let row: serde_json::Value = serde_json::from_str(line).unwrap();
                    let count = |name: &str| row[name].as_u64().unwrap();
                    (row[key].as_str().unwrap().to_owned(), (count("clicks"), count("leads")))
                })
                .filter(|(_, counts)| *counts != (0, 0))
                .collect()
        };
        let expected = |key: &dyn Fn(&AnyClick) -> String| {
            let mut leads: BTreeMap<String, Vec<u8>> = BTreeMap::new();
            for click in &clicks {
                leads.entry(key(click)).or_default().push(click.0);
            }
            let counted = leads.into_iter().map(|(key, mut leads)| {
                let clicks = leads.len() as u64;
                leads.sort_unstable();
                leads.dedup();
                (key, (clicks, leads.len() as u64))
            });
            counted.collect::<BTreeMap<_, _>>()
        };
        let day = |hours: i64| format!("2026-11-{:02}", 1 + hours / 24);
        prop_assert_eq!(counts(&["--by-expert"], "expert_username"), expected(&|click| format!("e{}", click.1)));
        prop_assert_eq!(counts(&["--by-day"], "day"), expected(&|click| day(click.3)));
        let by_query = counts(&["--by-query"], "search_query");
        let normal = |query: &str| query.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ");
        let by_query: BTreeMap<_, _> = by_query.into_iter().map(|(query, counts)| (normal(&query), counts)).collect();
        prop_assert_eq!(by_query, expected(&|click| normal(&click.2)));
    }
}

#[test]
fn the_summary_is_one_screen() {
    let site = Site::new().with_schema("INSERT INTO experts VALUES ('e1', 'Jane', 'Doe');");
    let mut inserting = "BEGIN;".to_owned();
    for click in 0..400 {
        write!(
            inserting,
            "INSERT INTO lead_clicks (email, expert_username, search_query, created_at) VALUES
                ('l{}@example.com', 'e{}', 'search {}',
                 strftime('%Y-%m-%d %H:%M:%S', 'now', '-{} hours') || '.000000');",
            click % 90,
            click % 8,
            click % 7,
            (400 - click) * 3
        )
        .unwrap();
    }
    site.connect()
        .execute_batch(&format!("{inserting} COMMIT;"))
        .unwrap();
    for columns in [80, 160] {
        let script = format!("stty rows 24 columns {columns}; leadclicks summary");
        let (code, screen) = site.on_terminal(&script).finish();
        assert_eq!(code, Some(0), "{screen}");
        assert_eq!(screen.lines().count(), 22, "{screen}");
        for line in screen.lines() {
            assert!(line.chars().count() <= columns, "{columns}: {line}");
        }
        assert!(
            screen.starts_with("400 clicks by 90 leads on 8 experts since 20"),
            "{screen}"
        );
    }
    let json: serde_json::Value =
        serde_json::from_str(&site.stdout_of(&["summary", "--format", "json"])).unwrap();
    let count = |pointer: &str| json.pointer(pointer).and_then(serde_json::Value::as_u64);
    let rows = |pointer: &str| {
        json.pointer(pointer)
            .and_then(|rows| Some(rows.as_array()?.len()))
    };
    assert_eq!(count("/clicks"), Some(400));
    assert_eq!(rows("/days"), Some(30));
    assert_eq!(rows("/top_experts"), Some(5));
    assert_eq!(rows("/newest_leads"), Some(5));
    // The newest lead is the one whose first click is the latest: number 89 of 90 in turn.
    assert_eq!(
        json.pointer("/newest_leads/0/email"),
        Some(&"l89@example.com".into())
    );
    let days: u64 = (0..30)
        .filter_map(|day| count(&format!("/days/{day}/clicks")))
        .sum();
    assert!((230..=240).contains(&days), "{days}");

    let (code, screen) = site
        .on_terminal("stty rows 24 columns 80; leadclicks summary --compare")
        .finish();
    assert_eq!(code, Some(0), "{screen}");
    assert_eq!(screen.lines().count(), 23, "{screen}");
    for line in screen.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    let json = site.stdout_of(&["summary", "--compare", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let before = json["before"]["clicks"].as_u64().unwrap();
    // Eight clicks a day since 50 days, and 30 days until now.
    assert!((159..=168).contains(&before), "{before}");
    let last = screen.lines().last().unwrap();
    let note = format!("30 days before: {before} clicks by 90 leads; now +");
    assert!(last.starts_with(&note), "{screen}");
    for row in ["top_experts", "top_queries"] {
        let rows = json[row].as_array().unwrap();
        assert!(
            rows.iter()
                .all(|row| row["clicks_before"].as_u64() > Some(10)),
            "{json}"
        );
    }
    let marked = screen
        .lines()
        .filter(|line| line.starts_with(" e") && line.matches('%').count() == 2);
    assert_eq!(marked.count(), 5, "{screen}");
}

#[test]
#[ignore = "needs faketime; tests/run runs it"]
fn thirty_days_are_compared_with_the_thirty_before_also_if_they_are_a_month() {
    let site = Site::new().with_schema(
        "INSERT INTO lead_clicks (email, expert_username, created_at)
         VALUES ('jane@example.com', 'jdoe', '2026-11-29 09:00:00.000000')",
    );
    for (command, since, until) in [
        (
            "report --by-expert --since 30d",
            "2026-10-02T00:00:00.000000Z",
            "2026-10-31T12:00:",
        ),
        (
            "summary",
            "2026-10-02T00:00:00.000000Z",
            "2026-10-31T12:00:",
        ),
        (
            "report --by-expert --period 'this month'",
            "2026-10-01T00:00:00.000000Z",
            "2026-10-30T12:00:",
        ),
    ] {
        let script =
            format!("faketime '2026-11-30 12:00:00' leadclicks {command} --compare --format json");
        let ran = Ran::of(site.shell(&script));
        let json: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(json["before"]["since"], since, "{ran}");
        assert!(
            json["before"]["until"].as_str().unwrap().starts_with(until),
            "{ran}"
        );
    }
}

/// The output of a command run at noon UTC on Wednesday, 2026-11-18.
fn on_wednesday(site: &Site, command: &str) -> String {
    let ran = Ran::of(site.shell(&format!("faketime '2026-11-18 12:00:00' {command}")));
    assert_eq!((ran.status.code(), &*ran.stderr), (Some(0), ""), "{ran}");
    ran.stdout
}

#[test]
#[ignore = "needs faketime; tests/run runs it"]
fn a_summary_counts_this_week_against_last_week_up_to_the_same_time() {
    let site = Site::new().with_schema(
        "INSERT INTO lead_clicks (email, expert_username, search_query, created_at) VALUES
            ('old@example.com', 'zoe', '', '2020-01-01 00:00:00.000000'),
            -- Before the month that today ends.
            ('b@example.com', 'zoe', 'x', '2026-10-19 23:59:59.999999'),
            ('b@example.com', 'zoe', 'x', '2026-10-20 00:00:00.000000'),
            -- Last week: its first instant, and noon on Wednesday, which is after what counts.
            ('b@example.com', 'zoe', 'x', '2026-11-08 23:59:59.999999'),
            ('b@example.com', 'zoe', 'x', '2026-11-09 00:00:00.000000'),
            ('b@example.com', 'zoe', 'x', '2026-11-11 11:59:59.999999'),
            ('b@example.com', 'zoe', 'x', '2026-11-11 12:30:00.000000'),
            -- This week, and what is dated in the future.
            ('a@example.com', 'jdoe', 'y', '2026-11-16 00:00:00.000000'),
            ('a@example.com', 'jdoe', 'y', '2026-11-18 11:00:00.000000'),
            ('c@example.com', 'jdoe', 'y', '2026-11-18 11:30:00.000000'),
            ('a@example.com', 'far', 'z', '2026-11-19 00:00:00.000000');",
    );
    assert_eq!(
        on_wednesday(&site, "leadclicks summary"),
        "11 clicks by 4 leads on 3 experts since 2020-01-01
This week: 3 clicks by 2 leads; at this point last week: 2 by 1 (+50%)
Last week: 3 clicks by 1 lead; the week before: 1 by 1 (+200%)

Last 30 days, maximum 2 clicks on 2026-11-18
                                             ██            ██
 ██                                    ████  ██        ██  ██
 2026-10-20                                        2026-11-18

Top experts of the last 30 days          Top searches of the last 30 days
 zoe                         5 ████████   x                           5 ████████
 jdoe                        3 ████▉      y                           3 ████▉

Newest leads and their first clicks; times in UTC
 2026-11-18 11:30  c@example.com           jdoe                 y
 2026-11-16 00:00  a@example.com           jdoe                 y
 2026-10-19 23:59  b@example.com           zoe                  x
 2020-01-01 00:00  old@example.com         zoe
"
    );
}

#[test]
#[ignore = "needs faketime; tests/run runs it"]
fn a_summary_fits_80_columns_with_any_data() {
    let site = Site::new().with_schema(
        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 250000)
         INSERT INTO lead_clicks (email, expert_username, search_query, created_at)
         SELECT 'lead' || i || '@example.com', 'expert' || i % 10000, 'search ' || i,
                iif(i % 2, '2026-11-17 09:00:00.000000', '2026-11-10 09:00:00.000000')
         FROM n;",
    );
    let screen = on_wednesday(&site, "leadclicks summary");
    assert_eq!(screen.lines().count(), 22, "{screen}");
    for line in screen.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    assert!(
        screen.contains(
            "\nThis week: 125000 clicks by 125000 leads; at this point last week: 125001 (+0%)\n\
             Last week: 125001 clicks by 125001 leads; the week before: 0 by 0\n"
        ),
        "{screen}"
    );
}

#[test]
#[ignore = "needs faketime; tests/run runs it"]
fn a_summary_takes_a_host_apps_ids_as_they_are() {
    let site = Site::new().with_database(
        "CREATE TABLE lead_clicks (id TEXT PRIMARY KEY, email, expert_username, search_query, created_at);
         INSERT INTO lead_clicks (id, email, expert_username, search_query, created_at) VALUES
            ('b', 'jane@example.com', 'zoe', 'second', '2026-11-02 09:00:00'),
            ('a', 'jane@example.com', 'jdoe', 'first', '2026-11-01 09:00:00');",
    );
    let screen = on_wednesday(&site, "leadclicks summary");
    assert!(
        screen
            .ends_with("\n 2026-11-01 09:00  jane@example.com        jdoe                 first\n"),
        "{screen}"
    );
}

#[test]
fn upper_and_lower_case_are_the_same_in_any_alphabet() {
    let site = Site::new().with_schema(
        "INSERT INTO lead_clicks (email, expert_username, search_query, created_at) VALUES
            ('a@example.com', 'jdoe', 'ΟΔΟΣ', '2026-11-01 09:00:00.000000'),
            ('a@example.com', 'jdoe', 'ΟΔΟΣΑ', '2026-11-01 09:00:00.000000'),
            ('a@example.com', 'jdoe', 'οδος', '2026-11-01 09:00:01.000000');",
    );
    for query in ["ΔΟΣ", "δοσ", "δος"] {
        let report = ["report", "--by-query", "--format", "csv", "--query", query];
        assert_eq!(
            site.stdout_of(&report),
            "search_query,clicks,leads,share,latest_click_at
οδος,2,1,0.6667,2026-11-01T09:00:01.000000Z
ΟΔΟΣΑ,1,1,0.3333,2026-11-01T09:00:00.000000Z
",
            "{query}"
        );
    }
}

#[test]
fn a_summary_without_clicks_says_so() {
    let site = Site::new().with_schema("");
    let sentence = format!(
        "leadclicks: no clicks yet in {}\n",
        site.db_path().display()
    );
    site.run(&["summary"]).assert(0, "", &sentence);
    let ran = site.run(&["summary", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(json["clicks"], 0);
    assert_eq!(json["first_click_at"], serde_json::Value::Null);
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    let site = fixture();
    let report = "leadclicks report --by-expert --limit 1";
    let coloured = |variables: &[(&str, &str)], script: &str| {
        let (code, screen) = site.on_terminal_with(variables, script).finish();
        assert_eq!(code, Some(0), "{screen}");
        screen.contains('\u{1b}')
    };
    assert!(coloured(&[], report));
    assert!(!coloured(&[("NO_COLOR", "1")], report));
    assert!(!coloured(&[("CLICOLOR", "0")], report));
    assert!(!coloured(&[("TERM", "dumb")], report));
    assert!(!coloured(&[], &format!("{report} | cat")));
    assert!(coloured(
        &[("CLICOLOR_FORCE", "1")],
        &format!("{report} | cat")
    ));
    // Any program may read a file, so it has no colours.
    assert!(!coloured(
        &[],
        &format!("{report} --output t.txt; cat t.txt")
    ));
    assert!(!coloured(&[], &format!("{report} --format csv")));
}

#[test]
fn colours_change_nothing_but_colours() {
    let site = fixture();
    for report in [
        "report --by-email",
        "report --by-expert",
        "report --by-query",
        "report --by-day",
        "report --expert jdoe",
        "report --email amy@example.com",
        "summary",
        "experts list",
    ] {
        let [plain, coloured] = ["NO_COLOR", "CLICOLOR_FORCE"].map(|variable| {
            let script = format!("stty rows 24 columns 100; leadclicks {report}");
            site.on_terminal_with(&[(variable, "1")], &script).finish()
        });
        assert_ne!(plain, coloured, "{report}");
        let sequence = ["\u{1b}[1m", "\u{1b}[2m", "\u{1b}[36m", "\u{1b}[0m"];
        let stripped = sequence
            .iter()
            .fold(coloured.1, |screen, sequence| screen.replace(sequence, ""));
        assert_eq!(plain.1, stripped, "{report}");
    }
}
