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
<div class="scale" aria-hidden="true" hidden><span>2</span><span>1</span><span>0</span></div>
<svg viewBox="0 0 30 1000" width="100%" height="144" fill="#5b9bf3" preserveAspectRatio="none" role="img" aria-labelledby="chart-title chart-text">
<title id="chart-title">Clicks per day</title>
<desc id="chart-text">From Sun 2020-11-01 to Tue 2020-11-03. Maximum: Sun 2020-11-01, 2 clicks.</desc>
<path class="grid" fill="none" stroke="#999" vector-effect="non-scaling-stroke" d="M0 0H30M0 500H30M0 1000H30"/>
<g><title>Sun 2020-11-01: 2 clicks by 2 leads</title><rect class="place" fill="none" x="0" width="10" height="1000"/><rect x="2" y="0" width="6" height="1000"/></g>
<g><title>Mon 2020-11-02: 0 clicks</title><rect class="place" fill="none" x="10" width="10" height="1000"/></g>
<g><title>Tue 2020-11-03: 1 click by 1 lead</title><rect class="place" fill="none" x="20" width="10" height="1000"/><rect x="22" y="500" width="6" height="500"/></g>
</svg>
<div class="axis" aria-hidden="true"><span>2020-11-01</span> <span>2020-11-03</span> </div>
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
<details class="lead" id="lead-1">
<summary><span class="email"><bdi>max<wbr>@example.com</bdi></span> <span class="count">2 clicks</span> <time datetime="2020-11-03T10:00:00.000000Z"><span>2020-11-03</span> <span>10:00</span></time></summary>
<table>
<thead><tr><th scope="col">Time</th><th scope="col" class="who">Expert</th><th scope="col">Search</th></tr></thead>
<tbody>
<tr><td><time datetime="2020-11-03T10:00:00.000000Z"><span>2020-11-03</span> <span>10:00</span></time></td><td><a href="#expert-1"><bdi>John Doe</bdi> <span class="username">(<bdi>jdoe</bdi>)</span></a></td><td class="search"><bdi>&lt;/script&gt; &amp; &quot;co&quot;\n</bdi></td></tr>
<tr><td><time datetime="2020-11-01T09:00:00.000000Z"><span>2020-11-01</span> <span>09:00</span></time></td><td><a href="#expert-1"><bdi>John Doe</bdi> <span class="username">(<bdi>jdoe</bdi>)</span></a></td><td class="search"><bdi>Pricing</bdi></td></tr>
</tbody>
</table>
</details>
<details class="lead" id="lead-2">
<summary><span class="email"><bdi>jane<wbr>@example.com</bdi></span> <span class="count">1 click</span> <time datetime="2020-11-01T09:30:00.000000Z"><span>2020-11-01</span> <span>09:30</span></time></summary>
<table>
<thead><tr><th scope="col">Time</th><th scope="col" class="who">Expert</th><th scope="col">Search</th></tr></thead>
<tbody>
<tr><td><time datetime="2020-11-01T09:30:00.000000Z"><span>2020-11-01</span> <span>09:30</span></time></td><td><a href="#expert-2"><bdi>&lt;b&gt;</bdi></a></td><td class="search"><bdi></bdi></td></tr>
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
<tr id="expert-1"><th scope="row"><a class="find" href="#lead-1"><bdi>John Doe</bdi> <span class="username">(<bdi>jdoe</bdi>)</span></a><svg class="bar" width="100%" height="6" fill="#5b9bf3" viewBox="0 0 1000 1" preserveAspectRatio="none" aria-hidden="true"><rect width="1000" height="1"/></svg></th><td class="number">2</td><td class="number">1</td></tr>
<tr id="expert-2"><th scope="row"><a class="find" href="#lead-2"><bdi>&lt;b&gt;</bdi></a><svg class="bar" width="100%" height="6" fill="#5b9bf3" viewBox="0 0 1000 1" preserveAspectRatio="none" aria-hidden="true"><rect width="500" height="1"/></svg></th><td class="number">1</td><td class="number">1</td></tr>
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
                "John Doe (jdoe)|2|100.0%|1|2020-11-03 10:00|",
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
                "1 search",
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
                "Clicks on John Doe (jdoe)",
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
                "2020-11-01 09:00|John Doe (jdoe)|Pricing|",
                "Experts by clicks",
                "Expert|Clicks|Leads|",
                "John Doe (jdoe)|1|1|",
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

/// A mail, after checks of what mail programs and servers demand.
#[track_caller]
fn mail(site: &Site, args: &[&str]) -> String {
    let ran = site.run(&[args, &["--format", "html", "--mail"]].concat());
    assert!(ran.status.success(), "{ran}");
    let mail = ran.stdout;
    assert!(mail.len() <= 100_000, "{} bytes", mail.len());
    assert!(mail.is_ascii());
    assert!(mail.lines().all(|line| line.len() < 998));
    for absent in [
        "<script",
        "<style",
        "<svg",
        "<img",
        "<a ",
        " id=",
        " class=\"lead",
    ] {
        assert!(!mail.contains(absent), "{absent}");
    }
    mail
}

/// The lines of a mail's body that a reader sees, without the one about when it was created.
fn mail_text(mail: &str) -> Vec<String> {
    let body = between(mail, "<div", "</div>").replace('\n', " ");
    let body = ["</tr>", "<br>", "</h1>", "</h2>", "</p>"]
        .into_iter()
        .fold(body, |body, end| body.replace(end, &format!("{end}\n")));
    let lines = text(&format!("<div{body}"));
    let lines = lines
        .iter()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    lines.filter(|line| !line.starts_with("Created")).collect()
}

#[test]
fn a_mail_says_all_without_style_and_script() {
    let site = Site::new().with_schema(FIXTURE);
    let by_email = ["report", "--by-email", "--until", "2020-11-03"];
    let report = mail(
        &site,
        &[&by_email[..], &["--title", "Zo\u{eb} & <co>"]].concat(),
    );
    assert_eq!(
        mail_text(&report),
        [
            "Zo&#235; &amp; &lt;co&gt;",
            "Report: Clicks by lead",
            "Time: until Tue 2020-11-03",
            "Time zone: UTC",
            "3 clicks, 2 leads, 2 experts",
            "Clicks per day",
            "Tue 2020-11-03|1||",
            "|",
            "Mon 2020-11-02|0||",
            "Sun 2020-11-01|2||",
            "|",
            "Experts by clicks",
            "Expert| Clicks| Leads|",
            "John Doe (jdoe)| 2| 1|",
            "&lt;b&gt;| 1| 1|",
            "Leads",
            "max@example.com 2 clicks|",
            "2020-11-03",
            r"10:00| John Doe (jdoe)| &lt;/script&gt; &amp; &quot;co&quot;\n|",
            "2020-11-01",
            "09:00| John Doe (jdoe)| Pricing|",
            "jane@example.com 1 click|",
            "2020-11-01",
            "09:30| &lt;b&gt;| |",
        ]
    );
    // The chart: a bar as long as the maximum, one half as long, and none.
    let widths: Vec<_> = report.split("<table width=\"").skip(1).collect();
    let widths: Vec<_> = widths
        .iter()
        .map(|rest| rest.split('"').next().unwrap())
        .collect();
    assert_eq!(widths, ["100%", "50%", "100%", "100%", "100%"]);
    let leads = mail(
        &site,
        &[
            "report",
            "--leads",
            "--sort",
            "clicks",
            "--until",
            "2020-11-03",
        ],
    );
    let leads = mail_text(&leads);
    assert_eq!(
        leads[leads.len() - 12..],
        [
            "Leads",
            "max@example.com",
            "Clicks: 2 &#183; Experts: 1",
            "First click: 2020-11-01 09:00",
            "Latest click: 2020-11-03 10:00",
            "Most clicked: John Doe (jdoe)",
            r"Latest search: &lt;/script&gt; &amp; &quot;co&quot;\n|",
            "jane@example.com",
            "Clicks: 1 &#183; Experts: 1",
            "First click: 2020-11-01 09:30",
            "Latest click: 2020-11-01 09:30",
            "Most clicked: &lt;b&gt;|",
        ]
    );
}

#[test]
fn a_mail_stays_small_and_says_what_it_leaves_out() {
    let site = many_clicks();
    for (args, note) in [
        (&["report", "--by-email"][..], " more leads with "),
        (&["report", "--leads"], " more leads not shown"),
        (&["report", "--by-expert"], " more experts not shown"),
        (
            &["report", "--by-day", "--until", "2018-01-04"],
            " earlier days not shown",
        ),
        (&["report", "--expert", "jdoe"], " more clicks not shown"),
        (&["summary"], "Clicks per day"),
    ] {
        let mail = mail(&site, args);
        assert!(mail.contains(note), "{args:?}\n{mail}");
        assert!(mail.ends_with("</div>\n</body>\n</html>\n"));
    }
    let empty = mail(&Site::new().with_schema(""), &["summary"]);
    assert!(empty.contains("No clicks."), "{empty}");
}

#[test]
fn the_summary_is_a_page_and_a_mail_with_the_comparison_and_the_new_leads() {
    let site = Site::new().with_schema(
        "INSERT INTO experts VALUES ('jdoe', 'John', 'Doe');
         INSERT INTO lead_clicks (id, email, expert_username, search_query, created_at) VALUES
             (1, 'max@example.com', 'jdoe', 'Pricing', strftime('%Y-%m-%d 00:00:00.000000', 'now')),
             (2, 'max@example.com', 'jdoe', 'Pricing', strftime('%Y-%m-%d 00:00:00.000000', 'now')),
             (3, 'jane@example.com', '<b>', 'b2b', strftime('%Y-%m-%d 00:00:00.000000', 'now', '-40 days'));",
    );
    let args = ["summary", "--compare", "--exclude", "qa@example.com"];
    let ran = site.run(&[&args[..], &["--format", "html"]].concat());
    assert!(ran.status.success() && ran.stderr.is_empty(), "{ran}");
    let page = without_the_usual(&ran.stdout);
    assert_eq!(
        between(&page, "<title>", "</title>"),
        "Summary \u{b7} leadclicks"
    );
    let header = text(between(&page, "<header>", "</header>"));
    let header: Vec<_> = header.iter().map(|line| &**line).collect();
    let [_, since, last_week, rest @ ..] = &*header else {
        panic!("{header:?}")
    };
    assert!(
        since.starts_with("Since20") && last_week.starts_with("At this point last week0 clicks")
    );
    assert_eq!(
        rest,
        [
            "Last week0 clicks by 0 leads; the week before 0 clicks by 0 leads",
            "30 days before1 click by 1 lead; now +100% clicks, as many leads",
            "Excludedqa@example.com",
            "Time zoneUTC",
            "Created",
            "2 clicks this week",
            "1 lead this week",
            "3 clicks in all",
            "2 leads in all",
            "2 experts in all",
        ]
    );
    assert_eq!(page.matches("<g><title>").count(), 30);
    let lists = text(between(&page, "<div class=\"lists two\">", "</main>"));
    assert_eq!(
        lists[..lists.len() - 2],
        [
            "Top experts of the last 30 days",
            "Expert|Clicks|Before|Leads|",
            "John Doe (jdoe)|2|new|1|",
            "Top searches of the last 30 days",
            "Search|Clicks|Before|Leads|",
            "Pricing|2|new|1|",
            "Newest leads and their first clicks",
            "First click|Lead|Expert|Search|Clicks|",
        ]
    );
    assert!(
        page.contains("<tr id=\"expert-1\"><th scope=\"row\"><a href=\"#lead-1\">")
            || page.contains("<tr id=\"expert-1\"><td><a href=\"#lead-1\">"),
        "{page}"
    );
    assert!(page.contains("<td><a href=\"#expert-1\">"), "{page}");
    let mail = mail(&site, &[&args[..], &["--title", "Weekly"]].concat());
    for part in [
        "Weekly",
        "30 days before: 1 click by 1 lead; now +100% clicks, as many leads",
        "<b>jane<wbr>",
        "Clicks per day",
    ] {
        assert!(mail.replace("<bdi>", "").contains(part), "{part}\n{mail}");
    }
    let file = site.path("summary.html");
    site.run(&[
        "summary",
        "--output",
        file.to_str().unwrap(),
        "--title",
        "<b>",
    ])
    .assert(0, "", "");
    let page = String::from_utf8(site.read("summary.html")).unwrap();
    assert!(page.contains("<title>&lt;b&gt;</title>") && page.contains("<h1>&lt;b&gt;</h1>"));
    site.run(&["summary", "--output", "summary.xlsx"]).assert(
        2,
        "",
        "leadclicks: --output: no format has the extension .xlsx; give --format, or name it .txt, .html or .json\n",
    );
    let mail = ["report", "--by-expert", "--format", "html", "--mail"];
    for (title, shown) in [
        (&["--title", "Leads & more"][..], "Leads &amp; more"),
        (&[], "Experts by clicks · leadclicks"),
    ] {
        let page = site.stdout_of(&[&mail[..], title].concat());
        let page = page.replace("&#183;", "·");
        assert_eq!(between(&page, "<title>", "</title>"), shown);
    }
    for flag in [&["--mail"][..], &["--title", "x"]] {
        let error = format!("leadclicks: {} is only for --format html\n", flag[0]);
        site.run(&[&["summary"], flag].concat())
            .assert(2, "", &error);
        site.run(&[&["report", "--leads", "--format", "csv"], flag].concat())
            .assert(2, "", &error);
    }
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
