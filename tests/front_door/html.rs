//! Pages: `leadclicks report --format html`. frontend/tests/front-door tests them in browsers.

use std::process::{Command, Stdio};

use proptest::{collection::vec, prelude::*};

use crate::support::{Ran, Site};

const STYLE: &str = include_str!("../../src/render/html/page.css");
const SCRIPT: &str = include_str!("../../src/render/html/page.js");

/// Two leads on three days; an expert with a name, and one without.
const FIXTURE: &str = "
    INSERT INTO experts VALUES ('jdoe', 'John', 'Doe');
    INSERT INTO lead_clicks (id, email, expert_username, search_query, created_at) VALUES
        (1, 'max@example.com', 'jdoe', 'Pricing', '2020-11-01 09:00:00.000000'),
        (2, 'jane@example.com', '<b>', '', '2020-11-01 09:30:00.000000'),
        (3, 'max@example.com', 'jdoe', '</script> & \"co\"\n', '2020-11-03 10:00:00.000000');";

/// A page, in which the style, the script, their hashes and the time when it was made have been checked to be there and
/// taken out.
#[track_caller]
fn page(site: &Site, question: &[&str]) -> String {
    let ran = site.run(&[&["report", "--format", "html"], question].concat());
    assert!(ran.status.success() && ran.stderr.is_empty(), "{ran}");
    without_the_usual(&ran.stdout)
}

#[track_caller]
fn without_the_usual(page: &str) -> String {
    let [style, script] = [STYLE, SCRIPT].map(sha256);
    let policy = format!(
        "default-src 'none'; style-src '{style}'; script-src '{script}'; base-uri 'none'; form-action 'none'"
    );
    let created = between(page, "<dt>Created</dt><dd>", "</dd>");
    let expected = "<time datetime=\"0000-00-00T00:00:00.000000Z\"><span>0000-00-00</span> <span>00:00</span></time>";
    let digits: String = created
        .chars()
        .map(|character| match character {
            '0'..='9' => '0',
            other => other,
        })
        .collect();
    assert_eq!(digits, expected);
    let mut page = page.to_owned();
    for usual in [STYLE, SCRIPT, &policy, created] {
        assert_eq!(
            page.matches(usual).count(),
            1,
            "{usual}\nstands not once in\n{page}"
        );
        page = page.replace(usual, "");
    }
    page
}

/// The text between the first `begin` and the next `end`.
#[track_caller]
fn between<'a>(text: &'a str, begin: &str, end: &str) -> &'a str {
    let (_, after) = text.split_once(begin).expect(begin);
    after.split_once(end).expect(end).0
}

/// The hash as in a content security policy, computed by the system's tools.
fn sha256(text: &str) -> String {
    let mut command = Command::new("sh");
    command
        .args([
            "-c",
            "sha256sum | head -c 64 | tr a-f A-F | basenc --base16 --decode | base64",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let ran = Ran::finish(command, text.as_bytes());
    assert!(ran.status.success() && ran.stderr.is_empty(), "{ran}");
    format!("sha256-{}", ran.stdout.trim())
}

#[test]
fn a_page_by_email_is_one_file_with_everything() {
    let site = Site::new().with_schema(FIXTURE);
    let expected = r##"<!doctype html>
<html lang="en" translate="no">
<head>
<meta http-equiv="Content-Security-Policy" content="">
<meta charset="utf-8">
<title>Clicks by lead · leadclicks</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<meta name="robots" content="noindex, nofollow">
<meta name="format-detection" content="telephone=no, date=no, address=no, email=no">
<style></style>
</head>
<body>
<header>
<h1>Clicks by lead</h1>
<dl class="asked">
<div><dt>Time</dt><dd>until Tue 2020-11-03</dd></div>
<div><dt>Time zone</dt><dd>UTC</dd></div>
<div><dt>Created</dt><dd></dd></div>
</dl>
<ul class="totals">
<li><strong>3</strong> clicks</li>
<li><strong>2</strong> leads</li>
<li><strong>2</strong> experts</li>
</ul>
</header>
<main>
<figure class="chart few">
<figcaption>Clicks per day</figcaption>
<div class="scale" aria-hidden="true"><span>2</span><span>1</span><span>0</span></div>
<svg viewBox="0 0 30 1000" preserveAspectRatio="none" role="img" aria-labelledby="chart-title chart-text">
<title id="chart-title">Clicks per day</title>
<desc id="chart-text">From Sun 2020-11-01 to Tue 2020-11-03. Maximum: Sun 2020-11-01, 2 clicks.</desc>
<path class="grid" d="M0 0H30M0 500H30M0 1000H30"/>
<g><title>Sun 2020-11-01: 2 clicks by 2 leads</title><rect class="place" x="0" width="10" height="1000"/><rect x="2" y="0" width="6" height="1000"/></g>
<g><title>Mon 2020-11-02: 0 clicks</title><rect class="place" x="10" width="10" height="1000"/></g>
<g><title>Tue 2020-11-03: 1 click by 1 lead</title><rect class="place" x="20" width="10" height="1000"/><rect x="22" y="500" width="6" height="500"/></g>
</svg>
<div class="axis" aria-hidden="true"><span>2020-11-01</span><span>2020-11-03</span></div>
</figure>
<p class="jump"><a href="#experts">Experts by clicks</a></p>
<div class="lists">
<section id="list" data-listed="leads">
<h2>Leads</h2>
<div id="tools" hidden>
<input id="search" type="search" aria-label="Search" aria-keyshortcuts="/" placeholder="Email, expert or search" autocomplete="off" autocapitalize="off" spellcheck="false">
<button id="unfold" type="button">Unfold all</button>
<button id="fold" type="button">Fold all</button>
<output id="found" for="search"></output>
</div>
<div class="leads">
<details class="lead">
<summary><span class="email"><bdi>max<wbr>@example.com</bdi></span> <span class="count">2 clicks</span> <time datetime="2020-11-03T10:00:00.000000Z"><span>2020-11-03</span> <span>10:00</span></time></summary>
<table>
<thead><tr><th scope="col">Time</th><th scope="col" class="who">Expert</th><th scope="col">Search</th></tr></thead>
<tbody>
<tr><td><time datetime="2020-11-03T10:00:00.000000Z"><span>2020-11-03</span> <span>10:00</span></time></td><td><bdi>John Doe</bdi> <span class="username"><bdi>jdoe</bdi></span></td><td class="search"><bdi>&lt;/script&gt; &amp; &quot;co&quot;\n</bdi></td></tr>
<tr><td><time datetime="2020-11-01T09:00:00.000000Z"><span>2020-11-01</span> <span>09:00</span></time></td><td><bdi>John Doe</bdi> <span class="username"><bdi>jdoe</bdi></span></td><td class="search"><bdi>Pricing</bdi></td></tr>
</tbody>
</table>
</details>
<details class="lead">
<summary><span class="email"><bdi>jane<wbr>@example.com</bdi></span> <span class="count">1 click</span> <time datetime="2020-11-01T09:30:00.000000Z"><span>2020-11-01</span> <span>09:30</span></time></summary>
<table>
<thead><tr><th scope="col">Time</th><th scope="col" class="who">Expert</th><th scope="col">Search</th></tr></thead>
<tbody>
<tr><td><time datetime="2020-11-01T09:30:00.000000Z"><span>2020-11-01</span> <span>09:30</span></time></td><td><bdi>&lt;b&gt;</bdi></td><td class="search"><bdi></bdi></td></tr>
</tbody>
</table>
</details>
</div>
</section>
<section id="experts">
<h2>Experts by clicks</h2>
<table>
<thead><tr><th scope="col">Expert</th><th scope="col" class="number">Clicks</th><th scope="col" class="number">Leads</th></tr></thead>
<tbody>
<tr><th scope="row"><bdi>John Doe</bdi> <span class="username"><bdi>jdoe</bdi></span><svg class="bar" viewBox="0 0 1000 1" preserveAspectRatio="none" aria-hidden="true"><rect width="1000" height="1"/></svg></th><td class="number">2</td><td class="number">1</td></tr>
<tr><th scope="row"><bdi>&lt;b&gt;</bdi><svg class="bar" viewBox="0 0 1000 1" preserveAspectRatio="none" aria-hidden="true"><rect width="500" height="1"/></svg></th><td class="number">1</td><td class="number">1</td></tr>
</tbody>
</table>
</section>
</div>
</main>
<script></script>
</body>
</html>
"##;
    assert_eq!(
        page(&site, &["--by-email", "--until", "2020-11-03"]),
        expected
    );
}

/// The text of an element, split into cells and lines.
fn text(html: &str) -> Vec<String> {
    let apart = html.replace("</td>", "|").replace("</th>", "|");
    let mut text = String::new();
    let mut is_tag = false;
    for character in apart.chars() {
        match character {
            '<' => is_tag = true,
            '>' => is_tag = false,
            other if !is_tag => text.push(other),
            _ => {}
        }
    }
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(str::to_owned).collect()
}

/// Asserts the content of a page of the fixture: its header, except the zone and the creation time, and its lists.
#[track_caller]
fn assert_page_shows(question: &[&str], header: &[&str], lists: &[&str]) {
    let site = Site::new().with_schema(FIXTURE);
    let page = page(&site, question);
    let found: Vec<_> = text(between(&page, "<header>", "</header>"))
        .into_iter()
        .filter(|line| !matches!(&**line, "Time zoneUTC" | "Created"))
        .collect();
    assert_eq!(found, header, "{question:?}");
    let main = between(&page, "<section id=\"list\"", "</main>");
    assert_eq!(text(&format!("<section{main}")), lists, "{question:?}");
    assert!(page.contains("<figure class=\"chart"), "{page}");
}

#[test]
fn rankings_and_days_have_a_page() {
    for (question, header, lists) in [
        (
            &["--by-expert", "--email", "MAX@example.com"][..],
            &[
                "Experts by clicks",
                "Only clicksby max@example.com",
                "Timeall",
                "2 clicks",
                "1 expert",
            ][..],
            &[
                "Experts",
                "Expert|Clicks|Share|Leads|Latest click|",
                "John Doe jdoe|2|100.0%|1|2020-11-03 10:00|",
            ][..],
        ),
        (
            &["--by-query", "--since", "2020-11-01 09:15"],
            &[
                "Searches by clicks",
                "Timesince 2020-11-01 09:15",
                "2 clicks",
                "2 leads",
                "2 experts",
                "2 searches",
            ],
            &[
                "Searches",
                "Search|Clicks|Share|Leads|Latest click|",
                r"&lt;/script&gt; &amp; &quot;co&quot;\n|1|50.0%|1|2020-11-03 10:00|",
                "(no search)|1|50.0%|1|2020-11-01 09:30|",
            ],
        ),
        (
            &["--by-day", "--until", "2020-11-04", "--since", "2020-10-31"],
            &[
                "Clicks by day",
                "TimeSat 2020-10-31 to Wed 2020-11-04",
                "3 clicks",
                "2 leads",
                "2 experts",
            ],
            &[
                "Days",
                "Day|Clicks|Leads|",
                "Wed 2020-11-04|0|0|",
                "Tue 2020-11-03|1|1|",
                "Mon 2020-11-02|0|0|",
                "Sun 2020-11-01|2|2|",
                "Sat 2020-10-31|0|0|",
            ],
        ),
    ] {
        assert_page_shows(question, header, lists);
    }
}

#[test]
fn the_clicks_on_an_expert_or_of_a_lead_have_a_page() {
    for (question, header, lists) in [
        (
            &["--expert", "jdoe"][..],
            &[
                "Clicks on John Doe jdoe",
                "Timeall",
                "2 clicks",
                "1 lead",
                "2 searches",
            ][..],
            &[
                "Clicks",
                "Time|Lead|Search|",
                r"2020-11-03 10:00|max@example.com|&lt;/script&gt; &amp; &quot;co&quot;\n|",
                "2020-11-01 09:00|max@example.com|Pricing|",
                "Searches by clicks",
                "Search|Clicks|Leads|",
                r"&lt;/script&gt; &amp; &quot;co&quot;\n|1|1|",
                "Pricing|1|1|",
            ][..],
        ),
        (
            &["--email", "max@example.com", "--query", "PRIC"],
            &[
                "Clicks by max@example.com",
                "Only clicksafter a search with “PRIC”",
                "Timeall",
                "1 click",
                "1 expert",
                "1 search",
            ],
            &[
                "Clicks",
                "Time|Expert|Search|",
                "2020-11-01 09:00|John Doe jdoe|Pricing|",
                "Experts by clicks",
                "Expert|Clicks|Leads|",
                "John Doe jdoe|1|1|",
            ],
        ),
    ] {
        assert_page_shows(question, header, lists);
    }
}

#[test]
fn an_empty_page_says_so() {
    let site = Site::new().with_schema("INSERT INTO experts VALUES ('zoe', '', '');");
    let path = site.db_path();
    let path = path.display();
    for (question, title, sentence) in [
        (
            &["--by-email"][..],
            "Clicks by lead",
            format!("no clicks yet in {path}"),
        ),
        (
            &["--by-expert"],
            "Experts by clicks",
            format!("no clicks yet in {path}"),
        ),
        (
            &["--by-query"],
            "Searches by clicks",
            format!("no clicks yet in {path}"),
        ),
        (
            &["--by-day", "--since", "2026-11"],
            "Clicks by day",
            format!("no clicks in this period (since Sun 2026-11-01) in {path}"),
        ),
        (
            &["--expert", "jdoe"],
            "Clicks on jdoe",
            format!(
                "no clicks on 'jdoe' yet in {path}; `leadclicks experts list` lists the known experts"
            ),
        ),
        (
            &["--email", "jane@example.com"],
            "Clicks by jane@example.com",
            format!("no clicks by this lead yet in {path}"),
        ),
    ] {
        let ran = site.run(&[&["report", "--format", "html"], question].concat());
        assert!(ran.status.success(), "{ran}");
        assert_eq!(ran.stderr, format!("leadclicks: {sentence}\n"));
        let page = without_the_usual(&ran.stdout);
        assert_eq!(
            between(&page, "<title>", "</title>"),
            format!("{title} · leadclicks")
        );
        assert_eq!(
            between(&page, "</header>\n", "</body>"),
            "<main>\n<p class=\"nothing\">No clicks.</p>\n</main>\n<script></script>\n"
        );
        assert!(!page.contains(&*path.to_string()), "{page}");
    }
}

/// 1,100 leads with a click each on 1,100 days, experts and searches, and then one with 6,000 clicks.
fn many_clicks() -> Site {
    Site::new().with_schema(
        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 1099)
         INSERT INTO lead_clicks (id, email, expert_username, search_query, created_at)
         SELECT i, format('lead%04d@example.com', i), format('expert%04d', i), format('search %d', i),
             date('2015-01-01', i || ' days') || ' 09:00:00.000000'
         FROM n;
         WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 5999)
         INSERT INTO lead_clicks (id, email, expert_username, search_query, created_at)
         SELECT 10000 + i, 'eager@example.com', 'jdoe', '', format('2020-11-01 08:00:00.%06d', i)
         FROM n;",
    )
}

#[test]
fn a_page_stops_at_1000_rows_or_5000_clicks_and_says_how_many_more_there_are() {
    let site = many_clicks();
    for (question, rows, notes) in [
        (
            &["--by-email"][..],
            5000,
            &[
                "1,000 earlier clicks not shown",
                "1,100 more leads with 1,100 clicks not shown; <code>--limit 1101</code> shows all",
                "1,081 more experts not shown; <code>--by-expert</code> ranks all",
            ][..],
        ),
        (
            &["--by-email", "--until", "2018-01-04"],
            1000,
            &[
                "100 more leads with 100 clicks not shown; <code>--limit 1100</code> shows all",
                "1,080 more experts not shown; <code>--by-expert</code> ranks all",
            ],
        ),
        (
            &["--by-email", "--limit", "1101"],
            7100,
            &["1,081 more experts not shown; <code>--by-expert</code> ranks all"],
        ),
        (
            &["--expert", "jdoe"],
            5000,
            &["1,000 more clicks not shown; <code>--limit 6000</code> shows all"],
        ),
        (&["--expert", "jdoe", "--limit", "6000"], 6000, &[]),
        (
            &["--by-expert"],
            1000,
            &["101 more experts not shown; <code>--limit 1101</code> shows all"],
        ),
        (
            &["--by-query"],
            1000,
            &["101 more searches not shown; <code>--limit 1101</code> shows all"],
        ),
        (
            &["--by-day", "--until", "2018-01-04"],
            1000,
            &["100 earlier days not shown; <code>--limit 1100</code> shows all"],
        ),
        (
            &["--by-day", "--until", "2018-01-04", "--limit", "1100"],
            1100,
            &[],
        ),
    ] {
        assert_lists(&site, question, rows, notes);
    }
}

#[test]
fn a_small_share_is_not_shown_as_zero() {
    let page = page(&many_clicks(), &["--by-expert"]);
    let shares: Vec<_> = page
        .split("<td class=\"number share\">")
        .skip(1)
        .map(|after| after.split_once("</td>").unwrap().0)
        .collect();
    assert_eq!(shares, [&["84.5%"][..], &["&lt;0.1%"; 999]].concat());
}

/// Asserts how many rows a page lists, and its notes about the others.
#[track_caller]
fn assert_lists(site: &Site, question: &[&str], rows: usize, notes: &[&str]) {
    let page = page(site, question);
    let list = between(&page, "<section id=\"list\"", "</section>");
    assert_eq!(
        list.matches("<tr><t").count() - list.matches("<thead>").count(),
        rows,
        "{question:?}"
    );
    let found: Vec<_> = page
        .split("<p class=\"more\">")
        .skip(1)
        .map(|after| after.split_once("</p>").unwrap().0)
        .collect();
    assert_eq!(found, notes, "{question:?}");
    // Columns are distinguishable even for a long period.
    assert!(
        (1..=120).contains(&page.matches("<g><title>").count()),
        "{question:?}"
    );
}

#[test]
fn a_page_too_large_for_a_browser_is_refused_whatever_the_limit() {
    let site = Site::new().with_schema(
        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 20009)
         INSERT INTO lead_clicks (id, email, expert_username, search_query, created_at)
         SELECT i, 'eager@example.com', 'jdoe', format('search %d', i), date('1960-01-01', i || ' days') || ' 09:00:00.000000'
         FROM n;",
    );
    let csv = "<code>--format csv</code> has all";
    for (question, notes) in [
        (
            &["--by-email"][..],
            vec![
                "10 earlier clicks not shown".to_owned(),
                format!("10 more clicks not shown; a page holds at most 20,000 clicks; {csv}"),
            ],
        ),
        (
            &["--email", "eager@example.com"],
            vec![format!(
                "10 more clicks not shown; a page holds at most 20,000 clicks; {csv}"
            )],
        ),
        (
            &["--by-query"],
            vec![format!(
                "10 more searches not shown; a page holds at most 20,000 searches; {csv}"
            )],
        ),
        (
            &["--by-day"],
            vec![format!(
                "10 earlier days not shown; a page holds at most 20,000 days; {csv}"
            )],
        ),
    ] {
        let notes: Vec<_> = notes.iter().map(String::as_str).collect();
        let question = [question, &["--limit", "1000000"]].concat();
        assert_lists(&site, &question, 20_000, &notes);
    }
    // Rows that --limit could not show either are not mentioned.
    assert_lists(
        &site,
        &["--email", "eager@example.com"],
        5000,
        &[&format!(
            "15,010 more clicks not shown; a page holds at most 20,000 clicks; {csv}"
        )],
    );
}

#[test]
fn html_is_for_reports_only_and_rejects_raw_csv() {
    let site = Site::new().with_schema(FIXTURE);
    site.run(&["report", "--by-email", "--format", "html", "--raw-csv"])
        .assert(2, "", "leadclicks: --raw-csv is only for --format csv\n");
    let ran = site.run(&["experts", "list", "--format", "html"]);
    assert_eq!(ran.status.code(), Some(2), "{ran}");
    assert_eq!(
        ran.stderr,
        "error: invalid value 'html' for '--format <FORMAT>'\n  [possible values: table, csv, json, ndjson]\n\nFor more information, try '--help'.\n"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// The tags of a page do not depend on the text in it.
    #[test]
    fn no_text_adds_a_tag(texts in vec((any::<String>(), "[<>&\"'/=a-z -]{0,12}"), 1..20)) {
        let tags = |texts: &mut dyn Iterator<Item = (String, String)>| {
            let site = Site::new().with_database(
                "CREATE TABLE lead_clicks (id INTEGER PRIMARY KEY, email, expert_username, search_query, created_at);
                 CREATE TABLE experts (username, first_name, last_name);",
            );
            let conn = site.connect();
            for (number, (text, markup)) in texts.enumerate() {
                let (email, username) = (format!("{number}@{text}"), format!("{number}{markup}"));
                conn.execute("INSERT INTO experts VALUES (?, ?, '.')", [&username, &text]).unwrap();
                let search = format!("{markup}{text}");
                let at = format!("2020-11-01 09:{number:02}:00");
                conn.execute("INSERT INTO lead_clicks (id, email, expert_username, search_query, created_at) VALUES (NULL, ?, ?, ?, ?)", [&email, &username, &search, &at]).unwrap();
            }
            drop(conn);
            let html = page(&site, &["--by-email"]);
            html.split('<').map(|part| part.split('>').next().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let harmless = (String::from("x"), String::from("y"));
        let expected = tags(&mut std::iter::repeat_n(harmless, texts.len()));
        prop_assert_eq!(tags(&mut texts.into_iter()), expected);
    }
}
