//! Clicks on their way into a server.

use super::server::ServerSite;

#[test]
#[ignore = "needs PostgreSQL; tests/run runs it"]
fn a_click_is_stored_once_however_often_it_is_sent() {
    let server = ServerSite::new();
    let daemon = server.daemon(&[]);
    assert_eq!(daemon.post("jane@example.com", "jdoe", "tax").status, 202);
    let repeated = r#"{"email":"joe@example.com","expert_username":"jdoe","search_query":"","click_id":"0190a0de-1111-7000-8000-000000000001","age_ms":90000}"#;
    for _ in 0..3 {
        let answer = daemon
            .connect()
            .send(&crate::support::post_request(repeated));
        assert_eq!(answer.status, 202);
    }
    let stored = server.sql(
        "SELECT email, expert_username, search_query, click_id IS NOT NULL, round(extract(epoch FROM now() - created_at) / 60)
         FROM lead_clicks ORDER BY email",
    );
    assert_eq!(
        stored,
        "jane@example.com|jdoe|tax|t|0\njoe@example.com|jdoe||t|2\n"
    );
    assert!(daemon.stop().0.success());
}
