//! Which pages may post, told by the `Origin` header that a browser sends
//! ([the Fetch standard on CORS](https://fetch.spec.whatwg.org/#http-cors-protocol)).

use std::{fmt, str::FromStr};

use hyper::{
    Uri,
    header::{self, HeaderMap, HeaderValue},
};

use super::answer::Preflights;

/// The longest that browsers keep a preflight's answer, in seconds; Chromium's limit is two hours.
const PREFLIGHT_MAX_AGE: &str = "7200";

/// An origin, as a browser writes it: `https://www.example.com`, or `*` for every one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin(HeaderValue);

/// What is given as an origin is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotAnOrigin;

impl fmt::Display for NotAnOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an origin is scheme://host or scheme://host:port, without a path, or *")
    }
}

impl std::error::Error for NotAnOrigin {}

impl FromStr for Origin {
    type Err = NotAnOrigin;

    /// Takes an origin in any case and with or without its scheme's own port, and keeps it as browsers send it.
    fn from_str(text: &str) -> Result<Self, NotAnOrigin> {
        if text == "*" {
            return Ok(Self(HeaderValue::from_static("*")));
        }
        let uri: Uri = text.parse().map_err(|_| NotAnOrigin)?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(NotAnOrigin);
        };
        let bare = !text.ends_with('/') && uri.path() == "/" && uri.query().is_none();
        if !bare || text.contains('#') || authority.as_str().contains('@') {
            return Err(NotAnOrigin);
        }
        let host = authority.host().to_ascii_lowercase();
        let port = authority
            .port_u16()
            .filter(|port| !matches!((scheme, port), ("https", 443) | ("http", 80)));
        let origin = match port {
            Some(port) => format!("{scheme}://{host}:{port}"),
            None => format!("{scheme}://{host}"),
        };
        HeaderValue::from_str(&origin)
            .map(Self)
            .map_err(|_| NotAnOrigin)
    }
}

/// The origins that were configured. With none, every request is taken, and every page may read the answer: one that
/// may not would take a stored click for a failure, and send it again. Preflights are not answered then.
#[derive(Debug, Clone, Default)]
pub(crate) struct Origins(Vec<Origin>);

impl From<Vec<Origin>> for Origins {
    fn from(origins: Vec<Origin>) -> Self {
        Self(origins)
    }
}

impl Origins {
    pub(super) fn preflights(&self) -> Preflights {
        if self.0.is_empty() {
            Preflights::Unknown
        } else {
            Preflights::Answered
        }
    }

    /// Whether a request with this `Origin` is taken; one without comes from no page.
    pub(super) fn allow(&self, origin: Option<&HeaderValue>) -> bool {
        let Some(origin) = origin else { return true };
        self.any() || self.0.iter().any(|allowed| allowed.0 == origin)
    }

    /// Adds the CORS headers to an answer, an error's too, so that the page may read it.
    pub(super) fn stamp(&self, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
        if !self.any() {
            headers.insert(header::VARY, HeaderValue::from_static("Origin"));
        }
        let Some(origin) = origin.filter(|_| self.allow(origin)) else {
            return;
        };
        let allowed = if self.any() {
            HeaderValue::from_static("*")
        } else {
            origin.clone()
        };
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        let exposed = HeaderValue::from_static("Retry-After");
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    }

    fn any(&self) -> bool {
        self.0.is_empty() || self.0.iter().any(|origin| origin.0 == "*")
    }
}

/// Adds what a preflight asks for: which requests may follow, and for how long the answer holds.
pub(super) fn stamp_preflight(headers: &mut HeaderMap) {
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "POST"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "Content-Type"),
        (header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_MAX_AGE),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_kept_as_browsers_send_it() {
        for (given, sent) in [
            ("https://www.example.com", "https://www.example.com"),
            ("HTTPS://WWW.Example.com:443", "https://www.example.com"),
            ("http://example.com:80", "http://example.com"),
            ("http://localhost:5173", "http://localhost:5173"),
            ("https://[::1]:8443", "https://[::1]:8443"),
            ("*", "*"),
        ] {
            assert_eq!(given.parse::<Origin>().unwrap().0, sent);
        }
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for given in [
            "",
            "null",
            "example.com",
            "https://",
            "https://example.com/",
            "https://example.com/shop",
            "https://example.com?a",
            "https://example.com#a",
            "https://user@example.com",
            "https://*.example.com,https://b",
        ] {
            assert_eq!(given.parse::<Origin>(), Err(NotAnOrigin), "{given}");
        }
    }
}
