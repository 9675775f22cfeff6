//! Which pages may post, decided by the `Origin` header that browsers send
//! ([the Fetch standard on CORS](https://fetch.spec.whatwg.org/#http-cors-protocol)).

use std::str::FromStr;

use hyper::{
    Uri,
    header::{self, HeaderMap, HeaderValue},
};

use super::answer::Preflights;

/// How long browsers may cache the answer to a preflight, in seconds. Chromium caps it at two hours.
const PREFLIGHT_MAX_AGE: &str = "7200";

/// An origin as browsers write it, such as `https://www.example.com`, or `*` for all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin(HeaderValue);

/// The text is not an origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an origin is scheme://host or scheme://host:port, without a path, or *")]
pub(crate) struct ParseOriginError;

impl FromStr for Origin {
    type Err = ParseOriginError;

    /// Accepts upper and lower case, and the scheme's default port; keeps the origin as browsers send it.
    fn from_str(text: &str) -> Result<Self, ParseOriginError> {
        if text == "*" {
            return Ok(Self(HeaderValue::from_static("*")));
        }
        let uri: Uri = text.parse().map_err(|_| ParseOriginError)?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(ParseOriginError);
        };
        let has_no_path = !text.ends_with('/') && uri.path() == "/" && uri.query().is_none();
        if !has_no_path || text.contains('#') || authority.as_str().contains('@') {
            return Err(ParseOriginError);
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
            .map_err(|_| ParseOriginError)
    }
}

/// The configured origins. If there are none, requests from all pages are accepted and preflights are not answered. Every
/// page may then read the answer, because one that could not would treat a stored click as failed and send it again.
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
            Preflights::NotAllowed
        } else {
            Preflights::Answered
        }
    }

    /// Whether a request with this `Origin` is allowed. One without it does not come from a page, and is.
    pub(super) fn allow(&self, origin: Option<&HeaderValue>) -> bool {
        let Some(origin) = origin else { return true };
        self.allows_any() || self.0.iter().any(|allowed| allowed.0 == origin)
    }

    /// Adds the CORS headers to any answer, errors included, so that the page may read it.
    pub(super) fn add_cors_headers(&self, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
        if !self.allows_any() {
            headers.insert(header::VARY, HeaderValue::from_static("Origin"));
        }
        let Some(origin) = origin.filter(|_| self.allow(origin)) else {
            return;
        };
        let allowed = if self.allows_any() {
            HeaderValue::from_static("*")
        } else {
            origin.clone()
        };
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        let exposed = HeaderValue::from_static("Retry-After");
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    }

    fn allows_any(&self) -> bool {
        self.0.is_empty() || self.0.iter().any(|origin| origin.0 == "*")
    }
}

/// Adds the answer to a preflight: which requests may follow, and how long browsers may cache this.
pub(super) fn add_preflight_headers(headers: &mut HeaderMap) {
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
    fn invalid_origins_are_refused() {
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
            assert_eq!(given.parse::<Origin>(), Err(ParseOriginError), "{given}");
        }
    }
}
