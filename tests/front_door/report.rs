//! `leadclicks report`: its output in every format, and output files.

use std::{
    fmt::Write,
    fs,
    io::{BufRead, BufReader, Read},
    os::unix::fs::{PermissionsExt, symlink},
    process::Stdio,
};

use crate::support::{Daemon, HOST_APP, Ran, Site, mode};

/// An unknown expert, one with blank names, empty queries, cells that a spreadsheet would run, sequences that
/// control a terminal, equal times, and names and queries in many scripts.
const FIXTURE: &str = "
    INSERT INTO experts VALUES
        ('jdoe', 'Jane', 'Doe'), ('blank', '  ', ''), ('zoë', ' Zoë ', 'O''Neil, Jr.'), ('solo', '', 'Solo');
    INSERT INTO lead_clicks (id, email, expert_username, search_query, created_at) VALUES
        (1, 'amy@example.com', 'jdoe', '', '2026-11-01 09:00:00.000000'),
        (2, 'bob@example.com', 'ghost', 'rust, \"fast\" & safe', '2026-11-01 09:00:00.000000'),
        (3, 'amy@example.com', 'ghost', '=HYPERLINK(\"http://example.com\")', '2026-11-01 09:00:00.000000'),
        (4, 'o''neil+x@example.com', 'zoë', 'Zürich 🦀\nline two', '2026-11-02 12:30:00.500000'),
        (5, 'bob@example.com', 'blank', '\u{1b}[31mred\u{7} \u{202e}evil', '2026-11-01 10:00:00.000000'),
        (6, '=cmd@example.com', 'jdoe', '-1+1', '2026-11-01 23:59:59.999999'),
        (7, 'amy@example.com', 'jdoe', '  two  blanks ', '2026-10-31 00:00:00.000001'),
        (8, 'zed@example.com', '=ghost', '東京のエンジニア who \\ knows \r\n\tRust', '2026-10-30 00:00:00.000001');";

const CSV_HEADER: &str = "email,expert_username,expert_name,search_query,created_at\n";

pub fn fixture() -> Site {
    Site::new().with_schema(FIXTURE)
}

#[test]
fn by_email_as_json_is_leads_with_their_clicks_newest_first() {
    let expected = concat!(
        r#"{"leads":[{"email":"o'neil+x@example.com","clicks":["#,
        r#"{"expert_username":"zoë","expert_name":"Zoë O'Neil, Jr.","search_query":"Zürich 🦀\nline two","created_at":"2026-11-02T12:30:00.500000Z"}]},"#,
        r#"{"email":"=cmd@example.com","clicks":["#,
        r#"{"expert_username":"jdoe","expert_name":"Jane Doe","search_query":"-1+1","created_at":"2026-11-01T23:59:59.999999Z"}]},"#,
        r#"{"email":"bob@example.com","clicks":["#,
        r#"{"expert_username":"blank","expert_name":"blank","search_query":"\u001b[31mred\u0007 "#,
        "\u{202e}",
        r#"evil","created_at":"2026-11-01T10:00:00.000000Z"},"#,
        r#"{"expert_username":"ghost","expert_name":"ghost","search_query":"rust, \"fast\" & safe","created_at":"2026-11-01T09:00:00.000000Z"}]},"#,
        r#"{"email":"amy@example.com","clicks":["#,
        r#"{"expert_username":"ghost","expert_name":"ghost","search_query":"=HYPERLINK(\"http://example.com\")","created_at":"2026-11-01T09:00:00.000000Z"},"#,
        r#"{"expert_username":"jdoe","expert_name":"Jane Doe","search_query":"","created_at":"2026-11-01T09:00:00.000000Z"},"#,
        r#"{"expert_username":"jdoe","expert_name":"Jane Doe","search_query":"  two  blanks ","created_at":"2026-10-31T00:00:00.000001Z"}]},"#,
        r#"{"email":"zed@example.com","clicks":["#,
        r#"{"expert_username":"=ghost","expert_name":"=ghost","search_query":"東京のエンジニア who \\ knows \r\n\tRust","created_at":"2026-10-30T00:00:00.000001Z"}]}]}"#,
        "\n"
    );
    let site = fixture();
    assert_eq!(
        site.stdout_of(&["report", "--by-email", "--format", "json"]),
        expected
    );
}

#[test]
fn by_expert_as_json_is_the_experts_clicks_newest_first() {
    let site = fixture();
    for (expert, expected) in [
        (
            "jdoe",
            concat!(
                r#"{"expert_username":"jdoe","expert_name":"Jane Doe","clicks":["#,
                r#"{"email":"=cmd@example.com","search_query":"-1+1","created_at":"2026-11-01T23:59:59.999999Z"},"#,
                r#"{"email":"amy@example.com","search_query":"","created_at":"2026-11-01T09:00:00.000000Z"},"#,
                r#"{"email":"amy@example.com","search_query":"  two  blanks ","created_at":"2026-10-31T00:00:00.000001Z"}]}"#,
                "\n"
            ),
        ),
        (
            "ghost",
            concat!(
                r#"{"expert_username":"ghost","expert_name":"ghost","clicks":["#,
                r#"{"email":"amy@example.com","search_query":"=HYPERLINK(\"http://example.com\")","created_at":"2026-11-01T09:00:00.000000Z"},"#,
                r#"{"email":"bob@example.com","search_query":"rust, \"fast\" & safe","created_at":"2026-11-01T09:00:00.000000Z"}]}"#,
                "\n"
            ),
        ),
        (
            "blank",
            concat!(
                r#"{"expert_username":"blank","expert_name":"blank","clicks":["#,
                r#"{"email":"bob@example.com","search_query":"\u001b[31mred\u0007 "#,
                "\u{202e}",
                r#"evil","created_at":"2026-11-01T10:00:00.000000Z"}]}"#,
                "\n"
            ),
        ),
        (
            "zoë",
            concat!(
                r#"{"expert_username":"zoë","expert_name":"Zoë O'Neil, Jr.","clicks":["#,
                r#"{"email":"o'neil+x@example.com","search_query":"Zürich 🦀\nline two","created_at":"2026-11-02T12:30:00.500000Z"}]}"#,
                "\n"
            ),
        ),
    ] {
        assert_eq!(
            site.stdout_of(&["report", "--expert", expert, "--format", "json"]),
            expected
        );
    }
}

#[test]
fn ndjson_is_one_flat_object_for_each_click() {
    let site = fixture();
    let jdoe = concat!(
        r#"{"email":"=cmd@example.com","expert_username":"jdoe","expert_name":"Jane Doe","search_query":"-1+1","created_at":"2026-11-01T23:59:59.999999Z"}"#,
        "\n",
        r#"{"email":"amy@example.com","expert_username":"jdoe","expert_name":"Jane Doe","search_query":"","created_at":"2026-11-01T09:00:00.000000Z"}"#,
        "\n",
        r#"{"email":"amy@example.com","expert_username":"jdoe","expert_name":"Jane Doe","search_query":"  two  blanks ","created_at":"2026-10-31T00:00:00.000001Z"}"#,
        "\n",
    );
    assert_eq!(
        site.stdout_of(&["report", "--expert", "jdoe", "--format", "ndjson"]),
        jdoe
    );
    let all = concat!(
        r#"{"email":"o'neil+x@example.com","expert_username":"zoë","expert_name":"Zoë O'Neil, Jr.","search_query":"Zürich 🦀\nline two","created_at":"2026-11-02T12:30:00.500000Z"}"#,
        "\n",
        r#"{"email":"=cmd@example.com","expert_username":"jdoe","expert_name":"Jane Doe","search_query":"-1+1","created_at":"2026-11-01T23:59:59.999999Z"}"#,
        "\n",
        r#"{"email":"bob@example.com","expert_username":"blank","expert_name":"blank","search_query":"\u001b[31mred\u0007 "#,
        "\u{202e}",
        r#"evil","created_at":"2026-11-01T10:00:00.000000Z"}"#,
        "\n",
        r#"{"email":"bob@example.com","expert_username":"ghost","expert_name":"ghost","search_query":"rust, \"fast\" & safe","created_at":"2026-11-01T09:00:00.000000Z"}"#,
        "\n",
        r#"{"email":"amy@example.com","expert_username":"ghost","expert_name":"ghost","search_query":"=HYPERLINK(\"http://example.com\")","created_at":"2026-11-01T09:00:00.000000Z"}"#,
        "\n",
        r#"{"email":"amy@example.com","expert_username":"jdoe","expert_name":"Jane Doe","search_query":"","created_at":"2026-11-01T09:00:00.000000Z"}"#,
        "\n",
        r#"{"email":"amy@example.com","expert_username":"jdoe","expert_name":"Jane Doe","search_query":"  two  blanks ","created_at":"2026-10-31T00:00:00.000001Z"}"#,
        "\n",
        r#"{"email":"zed@example.com","expert_username":"=ghost","expert_name":"=ghost","search_query":"東京のエンジニア who \\ knows \r\n\tRust","created_at":"2026-10-30T00:00:00.000001Z"}"#,
        "\n",
    );
    assert_eq!(
        site.stdout_of(&["report", "--by-email", "--format", "ndjson"]),
        all
    );
}

#[test]
fn csv_is_one_row_for_each_click_and_guards_cells_that_a_spreadsheet_would_run() {
    let site = fixture();
    let by_email = concat!(
        "email,expert_username,expert_name,search_query,created_at\n",
        "o'neil+x@example.com,zoë,\"Zoë O'Neil, Jr.\",\"Zürich 🦀\nline two\",2026-11-02T12:30:00.500000Z\n",
        "'=cmd@example.com,jdoe,Jane Doe,'-1+1,2026-11-01T23:59:59.999999Z\n",
        "bob@example.com,blank,blank,\u{1b}[31mred\u{7} \u{202e}evil,2026-11-01T10:00:00.000000Z\n",
        "bob@example.com,ghost,ghost,\"rust, \"\"fast\"\" & safe\",2026-11-01T09:00:00.000000Z\n",
        "amy@example.com,ghost,ghost,\"'=HYPERLINK(\"\"http://example.com\"\")\",2026-11-01T09:00:00.000000Z\n",
        "amy@example.com,jdoe,Jane Doe,,2026-11-01T09:00:00.000000Z\n",
        "amy@example.com,jdoe,Jane Doe,  two  blanks ,2026-10-31T00:00:00.000001Z\n",
        "zed@example.com,'=ghost,'=ghost,\"東京のエンジニア who \\ knows \r\n\tRust\",2026-10-30T00:00:00.000001Z\n",
    );
    let csv = ["report", "--by-email", "--format", "csv"];
    assert_eq!(site.stdout_of(&csv), by_email);
    let raw = by_email.replace("'=", "=").replace("'-", "-");
    assert_eq!(site.stdout_of(&[&csv[..], &["--raw-csv"]].concat()), raw);

    let jdoe = concat!(
        "email,expert_username,expert_name,search_query,created_at\n",
        "'=cmd@example.com,jdoe,Jane Doe,'-1+1,2026-11-01T23:59:59.999999Z\n",
        "amy@example.com,jdoe,Jane Doe,,2026-11-01T09:00:00.000000Z\n",
        "amy@example.com,jdoe,Jane Doe,  two  blanks ,2026-10-31T00:00:00.000001Z\n",
    );
    let csv = ["report", "--expert", "jdoe", "--format", "csv"];
    assert_eq!(site.stdout_of(&csv), jdoe);
    let raw = jdoe.replace("'=", "=").replace("'-", "-");
    assert_eq!(site.stdout_of(&[&csv[..], &["--raw-csv"]].concat()), raw);
}

#[test]
fn by_email_as_a_table_groups_the_clicks_under_their_lead_and_fits_the_width() {
    let site = fixture();
    let report = ["report", "--by-email"];
    assert_eq!(
        site.stdout_of(&report),
        r#"o'neil+x@example.com  1 click
  2026-11-02 12:30   Zoë O'Neil, Jr.   Zürich 🦀\nline two

=cmd@example.com  1 click
  2026-11-01 23:59   Jane Doe          -1+1

bob@example.com  2 clicks
  2026-11-01 10:00   blank             \u{1b}[31mred\u{7} \u{202e}evil
  2026-11-01 09:00   ghost             rust, "fast" & safe

amy@example.com  3 clicks
  2026-11-01 09:00   ghost             =HYPERLINK("http://example.com")
  2026-11-01 09:00   Jane Doe
  2026-10-31 00:00   Jane Doe            two  blanks

zed@example.com  1 click
  2026-10-30 00:00   =ghost            東京のエンジニア who \ knows \r\n\tRust

5 leads, 8 clicks; times in UTC
"#
    );
    let mut command = site.command(&report);
    command.env("COLUMNS", "200");
    let ran = Ran::finish(command, b"");
    ran.assert(
        0,
        r#"o'neil+x@example.com  1 click
  2026-11-02 12:30   Zoë O'Neil, Jr.   Zürich 🦀\nline two

=cmd@example.com  1 click
  2026-11-01 23:59   Jane Doe          -1+1

bob@example.com  2 clicks
  2026-11-01 10:00   blank             \u{1b}[31mred\u{7} \u{202e}evil
  2026-11-01 09:00   ghost             rust, "fast" & safe

amy@example.com  3 clicks
  2026-11-01 09:00   ghost             =HYPERLINK("http://example.com")
  2026-11-01 09:00   Jane Doe
  2026-10-31 00:00   Jane Doe            two  blanks

zed@example.com  1 click
  2026-10-30 00:00   =ghost            東京のエンジニア who \ knows \r\n\tRust

5 leads, 8 clicks; times in UTC
"#,
        "",
    );
}

#[test]
fn by_expert_as_a_table_has_the_expert_above_it() {
    let site = fixture();
    assert_eq!(
        site.stdout_of(&["report", "--expert", "jdoe"]),
        r"Jane Doe (jdoe)

 Time               Lead               Search
──────────────────────────────────────────────────────
 2026-11-01 23:59   =cmd@example.com   -1+1
 2026-11-01 09:00   amy@example.com
 2026-10-31 00:00   amy@example.com      two  blanks

2 leads, 3 clicks; times in UTC
"
    );
    let mut command = site.command(&["report", "--expert", "=ghost"]);
    command.env("COLUMNS", "40");
    Ran::finish(command, b"").assert(
        0,
        r"=ghost

 Time               Lead         Search
────────────────────────────────────────
 2026-10-30 00:00   zed@exampl   東京の
                    e.com        エンジ
                                 ニア
                                 who \
                                 knows
                                 \r\n\t
                                 Rust

1 lead, 1 click; times in UTC
",
        "",
    );
}

#[test]
fn a_table_has_names_without_usernames_if_they_are_unique_and_width_where_it_is_needed() {
    let site = Site::new().with_schema(
        "INSERT INTO experts VALUES
             ('priya-raghunathan-venkataraman', 'Priya', 'Raghunathan-Venkataraman'),
             ('berteeckhoutcx', 'Bert', 'Eeckhout'), ('jdoe', 'Jane', 'Doe'), ('doej', 'JANE', 'Doe');
         INSERT INTO lead_clicks (email, expert_username, search_query, created_at) VALUES
             ('amy@example.com', 'unknown', '', '2026-11-01 09:00:00.000000'),
             ('amy@example.com', 'priya-raghunathan-venkataraman', '', '2026-11-01 09:00:01.000000'),
             ('amy@example.com', 'berteeckhoutcx', '', '2026-11-01 09:00:02.000000'),
             ('amy@example.com', 'jdoe', '', '2026-11-01 09:00:03.000000');",
    );
    assert_eq!(
        site.stdout_of(&["report", "--by-email"]),
        "amy@example.com  4 clicks
  2026-11-01 09:00   Jane Doe (jdoe)
  2026-11-01 09:00   Bert Eeckhout
  2026-11-01 09:00   Priya Raghunathan-Venkataraman
  2026-11-01 09:00   unknown

1 lead, 4 clicks; times in UTC
"
    );
    site.connect()
        .execute_batch(
            "UPDATE lead_clicks SET search_query = 'how to price a platform that experts and their leads like'
             WHERE expert_username = 'jdoe'",
        )
        .unwrap();
    assert_eq!(
        site.stdout_of(&["report", "--by-email"]),
        "amy@example.com  4 clicks
  2026-11-01 09:00   Jane Doe (jdoe)                  how to price a platform
                                                      that experts and their
                                                      leads like
  2026-11-01 09:00   Bert Eeckhout
  2026-11-01 09:00   Priya Raghunathan-Venkataraman
  2026-11-01 09:00   unknown

1 lead, 4 clicks; times in UTC
"
    );
    assert_eq!(
        site.stdout_of(&["report", "--email", "@example.com", "--limit", "1"]),
        "@example.com

 Time               Lead              Expert            Search
────────────────────────────────────────────────────────────────────────────────
 2026-11-01 09:00   amy@example.com   Jane Doe (jdoe)   how to price a platform
                                                        that experts and their
                                                        leads like

1 lead, 4 experts, 4 clicks; times in UTC
3 more clicks not shown; --limit 4 shows all
"
    );
    site.connect()
        .execute_batch(
            "UPDATE lead_clicks SET email = 'bartholomew.featherstonehaugh@mail.example.com'",
        )
        .unwrap();
    assert_eq!(
        site.stdout_of(&["report", "--expert", "jdoe"]),
        "Jane Doe (jdoe)

 Time               Lead                                 Search
────────────────────────────────────────────────────────────────────────────────
 2026-11-01 09:00   bartholomew.featherstonehaugh@mail   how to price a
                    .example.com                         platform that experts
                                                         and their leads like

1 lead, 1 click; times in UTC
"
    );
}

#[test]
fn a_table_is_as_wide_as_its_terminal() {
    let site = fixture();
    let report = "leadclicks report --by-email --limit 1";
    let wide = site.on_terminal(&format!("stty rows 24 columns 120; COLUMNS=40 {report}"));
    assert_eq!(
        wide.finish(),
        (
            Some(0),
            r"o'neil+x@example.com  1 click
  2026-11-02 12:30   Zoë O'Neil, Jr.   Zürich 🦀\nline two

5 leads, 8 clicks; times in UTC
4 more leads with 7 clicks not shown; --limit 5 shows all
"
            .to_owned()
        )
    );
}

#[test]
fn nothing_in_a_row_can_control_the_terminal() {
    let site = Site::new().with_schema("");
    let steering: String = ('\u{1}'..='\u{1f}')
        .chain('\u{7f}'..='\u{9f}')
        .chain(['\u{61c}', '\u{200e}', '\u{200f}'])
        .chain('\u{2028}'..='\u{202e}')
        .chain('\u{2066}'..='\u{2069}')
        .collect();
    let strange = format!("x{steering}");
    let conn = site.connect();
    conn.execute(
        "INSERT INTO lead_clicks (id, email, expert_username, search_query, created_at) VALUES (1, ?1, 'x', ?1, '2026-11-01 09:00:00.000000')",
        [&strange],
    )
    .unwrap();
    conn.execute("INSERT INTO experts VALUES ('x', ?1, ?1)", [&strange])
        .unwrap();
    let calm = |text: &str| {
        !text
            .chars()
            .any(|shown| shown != '\n' && steering.contains(shown))
    };
    for args in [
        &["report", "--by-email"][..],
        &["report", "--expert", "x"],
        &["experts", "list"],
    ] {
        let shown = site.stdout_of(args);
        assert!(calm(&shown), "{shown:?}");
        assert!(shown.contains(r"x\u{1}"), "{shown:?}");
    }
    let ran = site.run(&["report", "--expert", &strange]);
    assert!(calm(&ran.stderr), "{ran}");
    assert!(
        ran.stderr.starts_with(r"leadclicks: --expert 'x\u{1}\u{2}"),
        "{ran}"
    );
}

#[test]
fn people_see_characters_that_would_be_invisible_and_programs_get_them_exactly() {
    let site = Site::new().with_schema(
        "INSERT INTO experts VALUES ('zoe', 'Zo' || char(0xad) || 'e', '');
         INSERT INTO lead_clicks (id, email, expert_username, search_query, created_at) VALUES
         (1, 'ana@example.com', 'zoe', '👩' || char(0x200d) || '💻 ☂' || char(0xfe0f) || ' a' || char(0x3164, 0x200b), '2026-11-01 09:00:00.000000');",
    );
    let shown_search = "👩\u{200d}💻 ☂\u{fe0f} a\\u{3164}\\u{200b}";
    let report =
        |format: &str| site.stdout_of(&["report", "--tz", "UTC", "--by-email", "--format", format]);
    assert_eq!(
        report("table"),
        format!(
            "ana@example.com  1 click\n  2026-11-01 09:00   Zo\\u{{ad}}e   {shown_search}\n\n1 lead, 1 click; times in UTC\n"
        )
    );
    let page = report("html");
    assert!(page.contains(r"<bdi>Zo\u{ad}e</bdi>"), "{page}");
    assert!(
        page.contains(&format!("<bdi>{shown_search}</bdi>")),
        "{page}"
    );
    assert!(!page.contains(['\u{200b}', '\u{ad}', '\u{3164}']), "{page}");
    let [name, search] = ["Zo\u{ad}e", "👩\u{200d}💻 ☂\u{fe0f} a\u{3164}\u{200b}"];
    assert_eq!(
        report("csv").lines().nth(1).unwrap(),
        format!("ana@example.com,zoe,{name},{search},2026-11-01T09:00:00.000000Z")
    );
    for format in ["json", "ndjson"] {
        let json = report(format);
        assert!(
            json.contains(&format!("\"expert_name\":\"{name}\"")),
            "{json}"
        );
        assert!(
            json.contains(&format!("\"search_query\":\"{search}\"")),
            "{json}"
        );
    }
    let watch = site.shell("leadclicks watch --since 2026-11-01 | head -n 1");
    Ran::finish(watch, b"").assert(
        0,
        &format!(
            "2026-11-01 09:00:00  ana@example.com         Zo\\u{{ad}}e (zoe)     {shown_search}\n"
        ),
        "",
    );
    site.run(&["report", "--by-email", "--db", "zoe\u{200b}.db"]).assert(
        1,
        "",
        &format!(
            "leadclicks: {}: no such database; check --db, or start leadclicksd once to create it\n",
            site.path(r"zoe\u{200b}.db").display()
        ),
    );
}

#[test]
fn a_table_has_the_readers_local_time_and_the_other_formats_utc() {
    let site = fixture();
    let run = |args: &[&str]| {
        let mut command = site.command(args);
        command.env("TZ", "America/New_York");
        Ran::finish(command, b"")
    };
    let report = ["report", "--expert", "zoë"];
    run(&report).assert(
        0,
        r"Zoë O'Neil, Jr. (zoë)

 Time               Lead                   Search
───────────────────────────────────────────────────────────────
 2026-11-02 07:30   o'neil+x@example.com   Zürich 🦀\nline two

1 lead, 1 click; times in America/New_York
",
        "",
    );
    for format in ["csv", "json", "ndjson"] {
        let report = [&report[..], &["--format", format]].concat();
        run(&report).assert(0, &site.stdout_of(&report), "");
    }
    // 04:30 to 09:30 UTC; clocks are set back in between.
    let since = ["--since", "2026-11-01 00:30", "--until", "2026-11-01 04:30"];
    run(&[&["report", "--by-email", "--format", "csv"], &since[..]].concat()).assert(
        0,
        concat!(
            "email,expert_username,expert_name,search_query,created_at\n",
            "amy@example.com,ghost,ghost,\"'=HYPERLINK(\"\"http://example.com\"\")\",2026-11-01T09:00:00.000000Z\n",
            "amy@example.com,jdoe,Jane Doe,,2026-11-01T09:00:00.000000Z\n",
            "bob@example.com,ghost,ghost,\"rust, \"\"fast\"\" & safe\",2026-11-01T09:00:00.000000Z\n",
        ),
        "leadclicks: period: 2026-11-01 00:30 to 2026-11-01 04:30\n",
    );
}

/// 60 leads with 2 clicks each on jdoe, then 205 clicks of one of them on solo, all at different times.
fn many_clicks() -> Site {
    Site::new().with_schema(
        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 119)
         INSERT INTO lead_clicks (id, email, expert_username, search_query, created_at)
         SELECT i, format('lead%02d@example.com', i % 60), 'jdoe', '', format('2026-11-01 09:00:00.%06d', i)
         FROM n;
         WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 204)
         INSERT INTO lead_clicks (id, email, expert_username, search_query, created_at)
         SELECT i + 1000, 'lead00@example.com', 'solo', '', format('2026-11-01 08:00:00.%06d', i)
         FROM n;",
    )
}

#[test]
fn a_table_stops_at_50_leads_or_200_clicks_and_says_how_many_more_there_are() {
    let site = many_clicks();
    let shown = site.stdout_of(&["report", "--by-email"]);
    let (table, footer) = shown.rsplit_once("\n\n").unwrap();
    // Under each lead's heading its two clicks, and a blank line between two leads.
    assert_eq!(table.lines().count(), 50 * 3 + 49);
    assert_eq!(
        footer,
        "60 leads, 325 clicks; times in UTC\n10 more leads with 225 clicks not shown; --limit 60 shows all\n"
    );
    let shown = site.stdout_of(&["report", "--expert", "solo"]);
    let [title, table, footer] = shown.split("\n\n").collect::<Vec<_>>()[..] else {
        panic!("{shown}");
    };
    assert_eq!((title, table.lines().count()), ("solo", 2 + 200));
    assert_eq!(
        footer,
        "1 lead, 205 clicks; times in UTC\n5 more clicks not shown; --limit 205 shows all\n"
    );
}

#[test]
fn a_lead_with_many_clicks_leaves_room_for_other_leads() {
    let site = Site::new().with_schema(
        "WITH RECURSIVE click (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM click WHERE id < 60)
         INSERT INTO lead_clicks (id, email, expert_username, search_query, created_at)
         SELECT id, iif(id = 1, 'a', 'b') || '@example.com', 'jdoe', '', '2026-11-01 09:00:00.000000' FROM click;",
    );
    let table = site.stdout_of(&["report", "--by-email"]);
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines[0], "b@example.com  59 clicks");
    assert_eq!(lines[50], "  2026-11-01 09:00   jdoe");
    assert_eq!(
        lines[51..],
        [
            "  9 more clicks not shown; report --email with --limit 59 shows all",
            "",
            "a@example.com  1 click",
            "  2026-11-01 09:00   jdoe",
            "",
            "2 leads, 60 clicks; times in UTC"
        ]
    );
}

#[test]
fn limit_counts_leads_or_clicks_and_the_footer_counts_all() {
    let site = many_clicks();
    for (args, footer) in [
        (
            &["--by-email", "--limit", "59"][..],
            "60 leads, 325 clicks; times in UTC\n1 more lead with 207 clicks not shown; --limit 60 shows all\n",
        ),
        (
            &["--by-email", "--limit", "60"],
            "60 leads, 325 clicks; times in UTC\n",
        ),
        (
            &["--expert", "jdoe", "--limit", "119"],
            "60 leads, 120 clicks; times in UTC\n1 more click not shown; --limit 120 shows all\n",
        ),
        (
            &["--expert", "jdoe", "--limit", "120"],
            "60 leads, 120 clicks; times in UTC\n",
        ),
        (
            &["--expert", "jdoe", "--until", "2026-11-01T09:00:00.000050Z"],
            "50 leads, 50 clicks; times in UTC\nperiod: before 2026-11-01 09:00\n",
        ),
    ] {
        let shown = site.stdout_of(&[&["report"], args].concat());
        assert_eq!(shown.rsplit("\n\n").next(), Some(footer), "{args:?}");
    }
}

#[test]
fn programs_get_every_click_unless_they_limit() {
    let site = many_clicks();
    for (args, clicks) in [
        (&["--by-email"][..], 325),
        (&["--by-email", "--limit", "59"], 118),
        (&["--expert", "solo"], 205),
        (&["--expert", "solo", "--limit", "7"], 7),
    ] {
        let lines = |format| {
            let report = [&["report", "--format", format], args].concat();
            site.stdout_of(&report).lines().count()
        };
        assert_eq!(lines("ndjson"), clicks, "{args:?}");
        assert_eq!(lines("csv"), clicks + 1, "{args:?}");
        let report = [&["report", "--format", "json"], args].concat();
        let json = site.stdout_of(&report);
        assert_eq!(json.matches("created_at").count(), clicks, "{args:?}");
    }
}

#[test]
fn since_is_inclusive_and_until_is_exclusive() {
    // Some times have no fraction of a second, as CURRENT_TIMESTAMP writes them.
    let site = Site::new().with_database(HOST_APP).with_database(
        "INSERT INTO lead_clicks (id, email, expert_username, search_query, created_at) VALUES
            (1, 'before@example.com', 'jdoe', '', '2026-11-01 08:59:59.999999'),
            (2, 'first@example.com', 'jdoe', '', '2026-11-01 09:00:00'),
            (3, 'second@example.com', 'jdoe', '', '2026-11-01 09:00:00.000000'),
            (4, 'last@example.com', 'jdoe', '', '2026-11-01 09:59:59.999999'),
            (5, 'after@example.com', 'jdoe', '', '2026-11-01 10:00:00'),
            (6, 'after@example.com', 'jdoe', '', '2026-11-01 10:00:00.000000'),
            (7, 'second@example.com', 'jdoe', '', '2026-11-01 11:00:00.000000');",
    );
    let click = |email: &str, time: &str| {
        format!("{email}@example.com,jdoe,Jane Doe,,2026-11-01T{time}Z\n")
    };
    let expected = [
        CSV_HEADER,
        &click("last", "09:59:59.999999"),
        &click("second", "09:00:00.000000"),
        &click("first", "09:00:00.000000"),
    ]
    .concat();
    for question in [&["--by-email"][..], &["--expert", "jdoe"]] {
        for (since, until) in [
            ("2026-11-01T09:00:00Z", "2026-11-01T10:00:00Z"),
            ("2026-11-01 09:00", "2026-11-01T11:00:00+01:00"),
            ("2026-11-01T09:00:00.000000Z", "2026-11-01 09:59:59.9999999"),
        ] {
            // Stored times have microseconds, so the window is truncated to them.
            let expected = match until {
                "2026-11-01 09:59:59.9999999" => {
                    expected.replace(&click("last", "09:59:59.999999"), "")
                }
                _ => expected.clone(),
            };
            let window = [
                "report", "--format", "csv", "--since", since, "--until", until,
            ];
            let end = if until.contains("59:59") {
                "09:59"
            } else {
                "10:00"
            };
            let period = format!("2026-11-01 09:00 to 2026-11-01 {end}");
            assert_eq!(
                site.rows_of_period(&[&window, question].concat(), &period),
                expected,
                "{since} {until}"
            );
        }
    }
    let window = [
        "--since",
        "2026-11-01T09:00:00.000001Z",
        "--until",
        "2026-11-01T10:00:00.000001Z",
    ];
    assert_eq!(
        site.rows_of_period(
            &[&["report", "--by-email", "--format", "csv"], &window[..]].concat(),
            "2026-11-01 09:00 to 2026-11-01 10:00"
        ),
        [
            CSV_HEADER,
            &click("after", "10:00:00.000000"),
            &click("after", "10:00:00.000000"),
            &click("last", "09:59:59.999999"),
        ]
        .concat()
    );
}

#[test]
fn every_click_on_an_expert_is_listed_once_and_in_order_even_if_many_share_a_time() {
    const CLICKS: u64 = 14_000;
    let site = Site::new().with_schema(&format!(
        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {CLICKS} - 1)
         INSERT INTO lead_clicks (id, email, expert_username, search_query, created_at)
         SELECT i, format('lead%d@example.com', i), iif(i % 5 = 4, 'other', 'jdoe'), '',
             format('2026-11-01 09:00:00.%06d', i % 3)
         FROM n;",
    ));
    let mut ids: Vec<u64> = (0..CLICKS).filter(|id| id % 5 != 4).collect();
    ids.sort_by_key(|id| std::cmp::Reverse((id % 3, *id)));
    assert!(ids.len() > 11_000);
    let expected: Vec<String> = ids
        .iter()
        .map(|id| format!("lead{id}@example.com"))
        .collect();
    // Limits around the size of the pages in which rows are read.
    for limit in [1, 255, 256, 257, 1279, 1280, 1281, ids.len(), ids.len() + 1] {
        let csv = site.stdout_of(&[
            "report",
            "--expert",
            "jdoe",
            "--format",
            "csv",
            "--limit",
            &limit.to_string(),
        ]);
        let emails: Vec<&str> = csv
            .lines()
            .skip(1)
            .map(|line| line.split(',').next().unwrap())
            .collect();
        assert!(
            emails == expected[..limit.min(ids.len())],
            "--limit {limit}"
        );
    }
}

/// Email and time of a row of [`shuffled_clicks`], in the order of reports.
type Shuffled = (u64, u64, String, String);

/// Clicks on two experts whose times go back and forth in the table, many of them equal.
fn shuffled_clicks(clicks: u64) -> Vec<Shuffled> {
    let mut rows: Vec<Shuffled> = (0..clicks)
        .map(|id| {
            let mixed = id.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
            let minute = mixed % 300;
            let expert = if mixed.is_multiple_of(3) {
                "zoe"
            } else {
                "jdoe"
            };
            (
                minute,
                id,
                format!("lead{}@example.com", mixed % 37),
                expert.to_owned(),
            )
        })
        .collect();
    rows.sort_by(|a, b| b.cmp(a));
    rows
}

fn shuffled_csv<'a>(rows: impl Iterator<Item = &'a Shuffled>) -> String {
    let lines = rows.map(|(minute, id, email, expert)| {
        let (hour, minute) = (minute / 60, minute % 60);
        format!(
            "{email},{expert},{expert},search {id},2026-11-01T{hour:02}:{minute:02}:00.000000Z\n"
        )
    });
    [CSV_HEADER.to_owned()].into_iter().chain(lines).collect()
}

fn by_lead(rows: &[Shuffled], leads_max: usize) -> String {
    let mut emails: Vec<&str> = Vec::new();
    for (_, _, email, _) in rows {
        if !emails.contains(&email.as_str()) {
            emails.push(email);
        }
    }
    emails.truncate(leads_max);
    shuffled_csv(
        emails
            .iter()
            .flat_map(|email| rows.iter().filter(move |row| row.2 == *email)),
    )
}

#[test]
fn clicks_are_ordered_by_time_whatever_the_order_and_indexes_of_the_table() {
    let rows = shuffled_clicks(3_000);
    for indexes in [
        "",
        "DROP INDEX lead_clicks_created_at;",
        "CREATE INDEX e ON lead_clicks (expert_username);",
        "CREATE INDEX e ON lead_clicks (expert_username, created_at);",
        "CREATE INDEX e ON lead_clicks (email, created_at); DROP INDEX lead_clicks_created_at;",
    ] {
        let site = Site::new().with_schema(indexes);
        let conn = site.connect();
        let mut inserting = "BEGIN;".to_owned();
        for (minute, id, email, expert) in &rows {
            let (hour, minute) = (minute / 60, minute % 60);
            write!(
                inserting,
                "INSERT INTO lead_clicks (id, email, expert_username, search_query, created_at) VALUES
                    ({id}, '{email}', '{expert}', 'search {id}', '2026-11-01 {hour:02}:{minute:02}:00.000000');"
            )
            .unwrap();
        }
        conn.execute_batch(&format!("{inserting} COMMIT;")).unwrap();
        let csv = |args: &[&str]| {
            let ran = site.run(&[&["report", "--format", "csv"], args].concat());
            let note = if args.contains(&"--since") {
                "leadclicks: period: 2026-11-01 01:00 to 2026-11-01 03:20\n"
            } else {
                ""
            };
            ran.assert(0, &ran.stdout, note);
            ran.stdout
        };
        assert!(
            csv(&["--by-email"]) == by_lead(&rows, usize::MAX),
            "{indexes}"
        );
        assert!(
            csv(&["--by-email", "--limit", "5"]) == by_lead(&rows, 5),
            "{indexes}"
        );
        let of_jdoe = || rows.iter().filter(|row| row.3 == "jdoe");
        assert!(
            csv(&["--expert", "jdoe"]) == shuffled_csv(of_jdoe()),
            "{indexes}"
        );
        let window = [
            "--since",
            "2026-11-01T01:00:00Z",
            "--until",
            "2026-11-01T03:20:00Z",
        ];
        let within: Vec<Shuffled> = rows
            .iter()
            .filter(|row| (60..200).contains(&row.0))
            .cloned()
            .collect();
        assert!(
            csv(&[&["--by-email"], &window[..]].concat()) == by_lead(&within, usize::MAX),
            "{indexes}"
        );
        assert!(
            csv(&[&["--expert", "zoe"], &window[..]].concat())
                == shuffled_csv(within.iter().filter(|row| row.3 == "zoe")),
            "{indexes}"
        );
        let of_lead = |row: &&Shuffled| row.2 == "lead7@example.com";
        assert!(
            csv(&["--email", " Lead7@Example.com"]) == shuffled_csv(rows.iter().filter(of_lead)),
            "{indexes}"
        );
        let of_both = within
            .iter()
            .filter(of_lead)
            .filter(|row| row.3 == "jdoe" && row.1.to_string().contains('2'));
        let lead7 = [
            "--email",
            "lead7@example.com",
            "--expert",
            "jdoe",
            "--query",
            "2",
        ];
        assert!(
            csv(&[&lead7, &window[..]].concat()) == shuffled_csv(of_both),
            "{indexes}"
        );
        let of_query: Vec<Shuffled> = rows
            .iter()
            .filter(|row| row.1.to_string().starts_with("99"))
            .cloned()
            .collect();
        assert!(
            csv(&["--by-email", "--query", "SEARCH 99"]) == by_lead(&of_query, usize::MAX),
            "{indexes}"
        );
    }
}

#[test]
fn all_clicks_on_an_expert_are_listed_even_if_their_searches_fill_many_pages() {
    const CLICKS: usize = 6_000;
    let site = Site::new().with_schema(&format!(
        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {CLICKS} - 1)
         INSERT INTO lead_clicks (id, email, expert_username, search_query, created_at)
         SELECT i, format('lead%d@example.com', i), 'jdoe', replace(format('%.*c', 2000, 'x'), 'x', '🦀'),
             format('2026-11-01 09:00:00.%06d', i / 2)
         FROM n;",
    ));
    let csv = site.stdout_of(&["report", "--expert", "jdoe", "--format", "csv"]);
    let found: Vec<&str> = csv
        .lines()
        .skip(1)
        .map(|line| line.split('@').next().unwrap())
        .collect();
    let expected: Vec<String> = (0..CLICKS).rev().map(|id| format!("lead{id}")).collect();
    assert!(found == expected);
}

#[test]
fn an_output_file_is_complete_and_replaces_an_existing_file() {
    let site = fixture();
    let report = ["report", "--by-email", "--format", "csv"];
    let expected = site.stdout_of(&report);
    let files = site.files();
    site.write("clicks.csv", "an old report".repeat(10_000));
    for output in ["clicks.csv", "new.csv"] {
        assert_eq!(
            site.stdout_of(&[&report[..], &["--output", output]].concat()),
            ""
        );
        assert_eq!(site.read(output), expected.as_bytes());
        assert_eq!(mode(&site.path(output)), 0o640, "{output}");
    }
    let mut with_new = [&files[..], &["clicks.csv".to_owned(), "new.csv".to_owned()]].concat();
    with_new.sort();
    assert_eq!(site.files(), with_new);
}

#[test]
fn an_output_file_has_the_mode_that_the_umask_allows() {
    let site = fixture();
    for (umask, expected) in [
        ("077", 0o600),
        ("002", 0o640),
        ("000", 0o640),
        ("037", 0o640),
    ] {
        let args = ["report", "--by-email", "--output", "clicks.txt"];
        Ran::finish(site.command_with_umask(umask, &args), b"").assert(0, "", "");
        assert_eq!(mode(&site.path("clicks.txt")), expected, "umask {umask}");
        fs::remove_file(site.path("clicks.txt")).unwrap();
    }
    // The mode of an existing file is kept.
    site.write("clicks.txt", "old");
    fs::set_permissions(site.path("clicks.txt"), fs::Permissions::from_mode(0o600)).unwrap();
    site.stdout_of(&["report", "--by-email", "--output", "clicks.txt"]);
    assert_eq!(mode(&site.path("clicks.txt")), 0o600);
}

#[test]
fn an_output_that_is_a_link_replaces_the_file_it_leads_to() {
    let site = fixture();
    fs::create_dir(site.path("reports")).unwrap();
    site.write("reports/clicks.csv", "old");
    symlink("reports/clicks.csv", site.path("link.csv")).unwrap();
    let report = ["report", "--by-email", "--format", "csv"];
    let expected = site.stdout_of(&report);
    site.stdout_of(&[&report[..], &["--output", "link.csv"]].concat());
    assert_eq!(site.read("reports/clicks.csv"), expected.as_bytes());
    assert_eq!(
        fs::read_link(site.path("link.csv")).unwrap().to_str(),
        Some("reports/clicks.csv")
    );
    assert_eq!(fs::read_dir(site.path("reports")).unwrap().count(), 1);
}

#[test]
fn an_invalid_output_path_is_rejected_and_leaves_no_file() {
    let site = fixture();
    fs::create_dir(site.path("directory")).unwrap();
    site.write("file", "kept");
    symlink("nowhere", site.path("dangling")).unwrap();
    site.stdout_of(&["report", "--by-email"]);
    let files = site.files();
    for (output, reason) in [
        ("directory", "it is not a regular file"),
        ("/dev/null", "it is not a regular file"),
        ("/dev/full", "it is not a regular file"),
        ("file/clicks.csv", "Not a directory (os error 20)"),
        ("dangling", "it is a broken symbolic link"),
    ] {
        let ran = site.run(&["report", "--by-email", "--output", output]);
        let error =
            format!("leadclicks: cannot write {output}: {reason}; choose another --output\n");
        ran.assert(1, "", &error);
    }
    site.run(&["report", "--by-email", "--output", "nowhere/clicks.csv"])
        .assert(
            1,
            "",
            "leadclicks: cannot write nowhere/clicks.csv: its directory does not exist; \
             create it first, or choose another --output\n",
        );
    assert_eq!(site.files(), files);
    assert_eq!(fs::read_dir(site.path("directory")).unwrap().count(), 0);
    assert_eq!(site.read("file"), b"kept");
}

#[test]
fn an_output_never_replaces_the_database() {
    let site = fixture();
    symlink("leadclicks.db", site.path("link.csv")).unwrap();
    fs::hard_link(site.db_path(), site.path("hard.csv")).unwrap();
    let before = site.read("leadclicks.db");
    for output in [
        "leadclicks.db",
        "link.csv",
        "hard.csv",
        "leadclicks.db-wal",
        "./leadclicks.db-shm",
    ] {
        site.run(&["report", "--by-email", "--output", output])
            .assert(
                1,
                "",
                &format!("leadclicks: {output} belongs to the database; choose another --output\n"),
            );
    }
    assert_eq!(site.read("leadclicks.db"), before);
}

#[test]
fn an_output_of_a_dash_is_standard_output() {
    let site = fixture();
    let report = ["report", "--by-email", "--format", "csv"];
    assert_eq!(
        site.stdout_of(&[&report[..], &["--output", "-"]].concat()),
        site.stdout_of(&report)
    );
    assert!(!site.path("-").exists());
}

#[test]
fn a_search_of_2000_characters_leaves_room_for_other_rows() {
    let site = Site::new().with_schema(&format!(
        "INSERT INTO lead_clicks (id, email, expert_username, search_query, created_at) VALUES (1, 'amy@example.com', 'jdoe', '{}', '2026-11-01 09:00:00.000000')",
        "word ".repeat(400)
    ));
    for question in [&["--by-email"][..], &["--expert", "jdoe"]] {
        let shown = site.stdout_of(&[&["report"], question].concat());
        assert!(shown.lines().count() < 16, "{shown}");
        assert!(shown.contains('…'), "{shown}");
    }
}

#[test]
fn a_failed_report_does_not_change_the_output_file() {
    // The invalid time comes after more rows than are read or written at once.
    let site = Site::new().with_database(HOST_APP).with_database(
        "INSERT INTO lead_clicks (id, email, expert_username, search_query, created_at) VALUES (1, 'amy@example.com', 'jdoe', '', '1 November');
         WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
         INSERT INTO lead_clicks (id, email, expert_username, search_query, created_at)
         SELECT i, 'amy@example.com', 'jdoe', '', format('2026-11-01 09:00:00.%06d', i) FROM n;",
    );
    site.write("clicks.csv", "old");
    site.run(&["report", "--by-email"]);
    let files = site.files();
    let bad_time = format!(
        "leadclicks: {}: the click with id 1 has an invalid created_at; \
         change it to YYYY-MM-DD HH:MM:SS (UTC) or delete the row\n",
        site.db_path().display()
    );
    for question in [&["--by-email"][..], &["--expert", "jdoe"]] {
        let report = ["report", "--format", "csv", "--output", "clicks.csv"];
        site.run(&[&report, question].concat())
            .assert(1, "", &bad_time);
    }
    let missing = format!(
        "leadclicks: {}: no such database; check --db, or start leadclicksd once to create it\n",
        site.path("missing.db").display()
    );
    site.run(&[
        "report",
        "--by-email",
        "--output",
        "clicks.csv",
        "--db",
        "missing.db",
    ])
    .assert(1, "", &missing);
    assert_eq!(site.read("clicks.csv"), b"old");
    assert_eq!(site.files(), files);
}

#[test]
fn an_empty_report_is_valid_output_and_a_sentence_says_so() {
    let site = Site::new().with_schema("");
    let path = site.db_path();
    let path = path.display();
    for (question, sentence, json) in [
        (
            &["--by-email"][..],
            format!("leadclicks: no clicks yet in {path}\n"),
            "{\"leads\":[]}\n",
        ),
        (
            &["--expert", "jdoe"],
            format!("leadclicks: no clicks on 'jdoe' yet in {path}\n"),
            "{\"expert_username\":\"jdoe\",\"expert_name\":\"jdoe\",\"clicks\":[]}\n",
        ),
        (
            &["--email", "Amy@example.com "],
            format!("leadclicks: no clicks by this lead yet in {path}\n"),
            "{\"email\":\"amy@example.com\",\"clicks\":[]}\n",
        ),
        (
            &["--by-email", "--query", "rust", "--expert", "jdoe"],
            format!("leadclicks: no clicks on 'jdoe' with this search yet in {path}\n"),
            "{\"leads\":[]}\n",
        ),
        (
            &["--by-email", "--period", "2026-11-01"],
            format!("leadclicks: no clicks in this period (Sun 2026-11-01) in {path}\n"),
            "{\"since\":\"2026-11-01T00:00:00.000000Z\",\"until\":\"2026-11-02T00:00:00.000000Z\",\"leads\":[]}\n",
        ),
    ] {
        for (format, stdout) in [
            ("table", ""),
            ("csv", CSV_HEADER),
            ("json", json),
            ("ndjson", ""),
        ] {
            let report = ["report", "--format", format];
            site.run(&[&report, question].concat())
                .assert(0, stdout, &sentence);
        }
    }
}

#[test]
fn an_unknown_expert_has_an_empty_report() {
    let site = fixture();
    let sentence = format!(
        "leadclicks: no clicks on 'nobody' yet in {}; `leadclicks experts list` lists the known experts\n",
        site.db_path().display()
    );
    let report = ["report", "--expert", "nobody", "--format"];
    for (format, stdout) in [
        ("table", ""),
        ("csv", CSV_HEADER),
        (
            "json",
            "{\"expert_username\":\"nobody\",\"expert_name\":\"nobody\",\"clicks\":[]}\n",
        ),
        ("ndjson", ""),
    ] {
        site.run(&[&report[..], &[format]].concat())
            .assert(0, stdout, &sentence);
    }
}

#[test]
fn a_reader_that_ends_early_is_not_an_error() {
    // Several times the size of a pipe and the buffers before it.
    let site = Site::new().with_schema(&format!(
        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 999)
         INSERT INTO lead_clicks (id, email, expert_username, search_query, created_at)
         SELECT i, format('lead%d@example.com', i), 'jdoe', '{}', '2026-11-01 09:00:00.000000' FROM n;",
        "query ".repeat(100)
    ));
    for question in [&["--by-email"][..], &["--expert", "jdoe"]] {
        for format in ["table", "csv", "json", "ndjson"] {
            let report = ["report", "--limit", "1000", "--format", format];
            let mut child = site.command(&[&report, question].concat()).spawn().unwrap();
            let mut stdout = BufReader::new(child.stdout.take().unwrap());
            // JSON is one long line.
            stdout.read_exact(&mut [0; 100]).unwrap();
            if format != "json" {
                stdout.read_line(&mut String::new()).unwrap();
            }
            drop(stdout);
            let output = child.wait_with_output().unwrap();
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert_eq!(
                (output.status.code(), &*stderr),
                (Some(0), ""),
                "{format} {question:?}"
            );
        }
    }
}

#[test]
fn a_full_disk_is_reported_as_an_error() {
    let site = fixture();
    for question in [&["--by-email"][..], &["--expert", "jdoe"]] {
        for format in ["table", "csv", "json", "ndjson"] {
            let mut command = site.command(&[&["report", "--format", format], question].concat());
            let full = fs::OpenOptions::new()
                .write(true)
                .open("/dev/full")
                .unwrap();
            command.stdout(Stdio::from(full));
            Ran::finish(command, b"").assert(
                1,
                "",
                "leadclicks: cannot write the output: No space left on device (os error 28)\n",
            );
        }
    }
}

#[test]
fn a_report_shows_a_click_while_the_daemon_runs_and_after_it_was_stopped_or_killed() {
    let site = Site::new();
    let emails = || -> Vec<String> {
        site.stdout_of(&["report", "--expert", "jdoe", "--format", "csv"])
            .lines()
            .skip(1)
            .map(|line| line.split('@').next().unwrap().to_owned())
            .collect()
    };
    let daemon = Daemon::start(&site, &[]);
    assert_eq!(daemon.post("first@example.com", "jdoe", "").status, 202);
    assert_eq!(emails(), ["first"]);
    assert_eq!(daemon.post("second@example.com", "jdoe", "").status, 202);
    assert_eq!(emails(), ["second", "first"]);
    assert!(daemon.stop().0.success());
    assert_eq!(emails(), ["second", "first"]);
    let daemon = Daemon::start(&site, &[]);
    assert_eq!(daemon.post("third@example.com", "jdoe", "").status, 202);
    daemon.kill();
    assert_eq!(emails(), ["third", "second", "first"]);
    // A report must not prevent the next daemon from starting.
    let daemon = Daemon::start(&site, &[]);
    assert_eq!(daemon.post("fourth@example.com", "jdoe", "").status, 202);
    assert_eq!(emails(), ["fourth", "third", "second", "first"]);
}
