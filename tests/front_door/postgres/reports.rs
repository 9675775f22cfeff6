//! The same clicks give the same reports on both engines.

use super::server::ServerSite;
use crate::support::Site;

#[test]
#[ignore = "needs PostgreSQL; tests/run runs it"]
fn every_report_is_byte_equal_on_both_engines() {
    let server = ServerSite::new();
    let insert = "INSERT INTO lead_clicks (email, expert_username, search_query, created_at) VALUES
        ('jane@example.com', 'jdoe', 'tax', '2026-11-02 10:00:00.000000'),
        ('Jane@Example.com', 'jdoe', '', '2026-11-02 10:00:00.000000'),
        ('joe@example.com', 'asmith', 'law', '2026-11-03 10:00:00.123456');";
    server.sql(&format!("SET TIME ZONE 'UTC'; {insert}"));
    let site = Site::new().with_schema(insert);
    for args in [
        &["report", "--by-email", "--format", "csv"][..],
        &["report", "--by-email"],
        &["report", "--expert", "jdoe"],
        &["report", "--email", "jane@example.com"],
        &["report", "--by-expert"],
        &["report", "--by-query"],
        &["report", "--by-day"],
        &["summary"],
        &["experts", "list"],
    ] {
        let (here, there) = (site.run(args), server.run(args));
        assert_eq!(there.stdout, here.stdout, "{args:?} {there}");
        assert_eq!(there.status, here.status, "{there}");
    }
}
