//! Which pages may post, decided by the `Origin` header that browsers send
//! ([the Fetch standard on CORS](https://fetch.spec.whatwg.org/#http-cors-protocol)).

use std::{num::NonZeroU16, str::FromStr};

use hyper::{
    Uri,
    header::{self, HeaderMap, HeaderValue},
};

use super::answer::Preflights;

/// How long browsers may cache the answer to a preflight, in seconds. Chromium caps it at two hours.
const PREFLIGHT_MAX_AGE: &str = "7200";

/// An origin as browsers write it, such as `https://www.example.com`; `https://*.example.com` for all its subdomains; or `*`
/// for all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin(String);

/// The text is not an origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "an origin is scheme://host or scheme://host:port, with a host in ASCII (xn--…) and without a path; *.host for all its \
     subdomains; or * for all origins"
)]
pub(crate) struct ParseOriginError;

impl FromStr for Origin {
    type Err = ParseOriginError;

    /// Accepts upper and lower case, and the scheme's default port; keeps the origin as browsers send it. Refuses hosts and
    /// ports that no browser sends.
    fn from_str(text: &str) -> Result<Self, ParseOriginError> {
        if text == "*" {
            return Ok(Self(text.to_owned()));
        }
        let uri: Uri = text.parse().map_err(|_| ParseOriginError)?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(ParseOriginError);
        };
        let has_no_path = !text.ends_with('/') && uri.path() == "/" && uri.query().is_none();
        let host = authority.host();
        if !has_no_path || text.contains(['#', '@']) || !is_host(host) {
            return Err(ParseOriginError);
        }
        let mut origin = format!("{scheme}://{host}").to_ascii_lowercase();
        let port = authority.as_str().strip_prefix(host);
        if let Some(port) = port.and_then(|port| port.strip_prefix(':')) {
            let port: NonZeroU16 = port.parse().map_err(|_| ParseOriginError)?;
            if !matches!((scheme, port.get()), ("https", 443) | ("http", 80)) {
                origin = format!("{origin}:{port}");
            }
        }
        Ok(Self(origin))
    }
}

/// Whether a browser may send `text` as a host: labels of a domain, after `*.` or not, an IPv4 address, or an IPv6 address in
/// brackets.
fn is_host(text: &str) -> bool {
    let is_label = |label: &str| {
        let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        !label.is_empty() && label.bytes().all(is_valid)
    };
    let domain = text.strip_prefix("*.").unwrap_or(text);
    text.starts_with('[') || domain.split('.').all(is_label)
}

impl Origin {
    fn matches(&self, origin: &HeaderValue) -> bool {
        let origin = origin.to_str().unwrap_or_default();
        match self.0.split_once('*') {
            Some((before, after)) => {
                let subdomain = origin.strip_prefix(before);
                subdomain.is_some_and(|subdomain| subdomain.ends_with(after))
            }
            None => self.0 == origin,
        }
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
        self.0.is_empty() || self.0.iter().any(|allowed| allowed.matches(origin))
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
            ("https://*.Example.com", "https://*.example.com"),
            ("http://*.a_b.example:8080", "http://*.a_b.example:8080"),
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
            "https://*",
            "https://*example.com",
            "https://www.*.com",
            "https://*.*.com",
            "https://*.",
            "https://*..example.com",
            "https://a!.example.com",
            "https://münchen.example.com",
            "https://example.com:",
            "https://example.com:0",
            "https://example.com:99999",
            "https://*.example.com:65536",
            "https://[::1]:99999",
        ] {
            assert_eq!(given.parse::<Origin>(), Err(ParseOriginError), "{given}");
        }
    }
}
