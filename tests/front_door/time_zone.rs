//! A time zone that the system does not know is not silently UTC.

use crate::support::{Ran, Site};

/// Before and after midnight in Tokyo.
const CLICKS: &str = "
    INSERT INTO lead_clicks (email, expert_username, search_query, created_at) VALUES
        ('amy@example.com', 'jdoe', '', '2020-11-01 14:59:59.000000'),
        ('bob@example.com', 'jdoe', '', '2020-11-01 15:00:00.000000');";

const CORRECT: &str = "correct it, install the system's tzdata, or pass --tz UTC";

fn warning(zone: &str) -> String {
    format!(
        "leadclicks: this system does not know the time zone of {zone}, so local times are in UTC; {CORRECT}\n"
    )
}

/// Runs `leadclicks` with this `TZ`.
fn run(site: &Site, tz: &str, args: &[&str]) -> Ran {
    let mut command = site.command(args);
    command.env("TZ", tz);
    Ran::finish(command, b"")
}

#[test]
fn an_unknown_time_zone_is_warned_of_wherever_times_are_local() {
    let site = Site::new().with_schema(CLICKS);
    for command in [
        &["report", "--by-day"][..],
        &["report", "--by-email", "--format", "html"],
        &["report", "--expert", "jdoe", "--since", "2020-11-01"],
        &["summary", "--format", "json"],
    ] {
        let without_time = |ran: &Ran| {
            let lines = ran.stdout.lines();
            let lines: Vec<_> = lines
                .filter(|line| !line.contains("Created"))
                .map(str::to_owned)
                .collect();
            lines.join("\n")
        };
        let utc = run(&site, "UTC", command);
        utc.assert(0, &utc.stdout, "");
        for tz in [
            "Asia/Tokio",
            ":Asia/Tokio",
            "/usr/share/zoneinfo/Asia/Tokio",
        ] {
            let ran = run(&site, tz, command);
            ran.assert(0, &ran.stdout, &warning(&format!("TZ={tz}")));
            assert_eq!(without_time(&ran), without_time(&utc));
            let given = run(&site, tz, &[command, &["--tz", "UTC"]].concat());
            given.assert(0, &given.stdout, "");
        }
        for tz in ["", "UTC0", "JST-9", "Asia/Tokyo", ":Asia/Tokyo", "Etc/UTC"] {
            let ran = run(&site, tz, command);
            ran.assert(0, &ran.stdout, "");
        }
    }
    let mut watch = site.shell("leadclicks watch --since 2020-11-01 | head -n 1");
    watch.env("TZ", "Asia/Tokio");
    Ran::finish(watch, b"").assert(
        0,
        "2020-11-01 14:59:59  amy@example.com         jdoe\n",
        &warning("TZ=Asia/Tokio"),
    );
    // All times are UTC.
    let ran = run(&site, "Asia/Tokio", &["check", "--quick"]);
    assert!(!ran.stderr.contains("time zone"), "{ran}");
}

#[test]
fn a_purge_by_an_unknown_time_zone_is_refused_if_the_time_depends_on_it() {
    let site = Site::new().with_schema(CLICKS);
    let purge = |older_than| ["purge", "--older-than", older_than, "--yes"];
    let error = format!(
        "leadclicks: --older-than depends on the time zone of TZ=Asia/Tokio, which this system does not know; {CORRECT}\n"
    );
    for older_than in ["2020-11-02", "'2020-11-02 00:00'", "today", "365d", "1w"] {
        let older_than = older_than.trim_matches('\'');
        run(&site, "Asia/Tokio", &purge(older_than)).assert(2, "", &error);
        let dry_run = ["purge", "--older-than", older_than, "--dry-run"];
        run(&site, "Asia/Tokio", &dry_run).assert(2, "", &error);
    }
    assert_eq!(site.clicks().len(), 2);
    for older_than in ["2020-10-01T00:00:00Z", "999999h"] {
        let ran = run(&site, "Asia/Tokio", &purge(older_than));
        assert_eq!((ran.status.code(), &*ran.stderr), (Some(0), ""), "{ran}");
    }
    let left = |tz: &str, args: &[&str]| {
        let ran = run(&site, tz, &[&purge("2020-11-02")[..], args].concat());
        assert_eq!((ran.status.code(), &*ran.stderr), (Some(0), ""), "{ran}");
        site.emails()
    };
    assert_eq!(
        left("Asia/Tokio", &["--tz", "Asia/Tokyo"]),
        ["bob@example.com"]
    );
    assert!(left("Asia/Tokio", &["--tz", "UTC"]).is_empty());
}

#[test]
#[ignore = "needs user namespaces; tests/run runs it"]
fn on_a_system_without_time_zones_utc_works_and_others_are_warned_of() {
    let site = Site::new().with_schema(CLICKS);
    let csv = "day,clicks,leads\n2020-11-01,2,2\n";
    let report = "leadclicks report --by-day --format csv";
    let without_zones = |script: &str| {
        site.in_mount_namespace(&format!(
            "mount -t tmpfs none /usr/share/zoneinfo && mount -t tmpfs none /etc && cd . || exit 9
             {script}"
        ))
    };
    without_zones(&format!("TZ=Asia/Tokyo {report}")).assert(0, csv, &warning("TZ=Asia/Tokyo"));
    for known in [
        "TZ=Asia/Tokyo LEADCLICKS_DB=leadclicks.db ZONE=--tz=UTC",
        "TZ=UTC",
        "TZ=Etc/UTC",
        "TZ=",
    ] {
        without_zones(&format!("export {known}; {report} $ZONE")).assert(0, csv, "");
    }
    // No time zone is named, or it can't be found.
    without_zones(&format!("unset TZ; {report}")).assert(0, csv, "");
    let link =
        |zone: &str| format!("ln -s /usr/share/zoneinfo/{zone} /etc/localtime; unset TZ; {report}");
    without_zones(&link("Etc/UTC")).assert(0, csv, "");
    without_zones(&link("Asia/Tokyo")).assert(0, csv, &warning("/etc/localtime"));
}
