//! Dominic Sayers' email addresses, each with its diagnosis, from the package isemail.

use leadclicks::click::canonical_email;

use super::json;
use crate::support::{Daemon, Site, body, post_request};

/// Whether the contract demands a 202: one `@` with text on both sides, no white space, no control character,
/// at most 320 characters, once it is trimmed.
fn keeps_the_rule(address: &str) -> bool {
    let characters: Vec<char> = address.trim().chars().collect();
    let at_signs: Vec<usize> = (0..characters.len())
        .filter(|&place| characters[place] == '@')
        .collect();
    let is_blank_or_control =
        |character: &char| character.is_whitespace() || character.is_control();
    characters.len() <= 320
        && !characters.iter().any(is_blank_or_control)
        && matches!(at_signs[..], [at] if at > 0 && at + 1 < characters.len())
}

/// Whether mail can be sent to an address, by its diagnosis. Some addresses are valid only in a header.
fn is_valid(diagnosis: &str) -> bool {
    !diagnosis.starts_with("err") && !diagnosis.starts_with("rfc5322")
}

fn addresses() -> Vec<(String, String)> {
    let addresses: Vec<(String, String)> = json("isemail/test/tests.json");
    assert!(addresses.len() >= 180, "{} addresses", addresses.len());
    addresses
}

#[test]
#[ignore = "needs the collections of tests/corpora; tests/run runs it"]
fn an_address_is_accepted_if_and_only_if_it_meets_the_contract() {
    let site = Site::new();
    let daemon = Daemon::start(&site, &[]);
    let mut client = daemon.connect();
    let mut stored = Vec::new();
    for (address, diagnosis) in addresses() {
        let answer = client.send(&post_request(&body(&address, "jdoe", "")));
        let status = if keeps_the_rule(&address) { 202 } else { 422 };
        assert_eq!(answer.status, status, "{address:?} ({diagnosis})");
        if status == 202 {
            stored.push(canonical_email(&address).into_owned());
        }
    }
    assert_eq!(site.emails(), stored);
}

#[test]
#[ignore = "needs the collections of tests/corpora; tests/run runs it"]
fn an_address_that_mail_can_be_sent_to_is_refused_only_for_white_space_and_control_characters() {
    let refused: Vec<String> = addresses()
        .into_iter()
        .filter(|(address, diagnosis)| is_valid(diagnosis) && !keeps_the_rule(address))
        .map(|(address, _)| address)
        .collect();
    // Quoted text, comments and folded blanks, which visitors do not type into a form.
    assert_eq!(
        refused,
        [
            "\"test\\ test\"@iana.org",
            "\"test\\\0\"@iana.org",
            "\"test\r\n test\"@iana.org",
            " test @iana.org",
            "test@ iana .com",
            "test . test@iana.org",
            "\"\u{7f}\"@iana.org",
            "\"\\\u{7f}\"@iana.org",
            "(\u{7f})test@iana.org",
            "\"\\\n\"@iana.org",
            "\"\u{7}\"@iana.org",
            "\"\\\u{7}\"@iana.org",
            "(\u{7})test@iana.org",
            "test@iana. org",
            "(comment\r\n comment)test@iana.org",
        ]
    );
}
