use http_body_util::Full;
use hyper::{
    Response, StatusCode,
    body::Bytes,
    header::{self, HeaderValue},
};

use super::{
    BODY_BYTES_MAX, BODY_PIECES_MAX, BODY_TIMEOUT, HEADER_BYTES_MAX, RETRY_AFTER_SECS, body,
};

/// All answers of the capture route, and the two about health.
#[derive(Debug)]
pub(super) enum Answer {
    /// A click could be stored.
    Healthy,
    /// A click could not be stored.
    Unhealthy,
    Accepted,
    Preflight,
    BrokenBody,
    InvalidHost,
    UnknownCoding,
    OriginNotAllowed,
    NotFound,
    MethodNotAllowed,
    BodyTooSlow,
    BodyTooLarge,
    WrongContentType,
    Invalid(body::Refusal),
    TooManyRequests {
        retry_after_secs: u32,
    },
    HeadersTooLarge,
    Overloaded,
    Unavailable,
}

/// An answer to one request.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) answer: Answer,
    /// Whether it ends the connection: the rest of the request is unread, so a following request could not be parsed.
    pub(super) closes: bool,
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Self {
        Self {
            answer,
            closes: false,
        }
    }
}

impl Answer {
    pub(super) fn and_close(self) -> Reply {
        Reply {
            answer: self,
            closes: true,
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Healthy => StatusCode::OK,
            Self::Accepted => StatusCode::ACCEPTED,
            Self::Preflight => StatusCode::NO_CONTENT,
            Self::BrokenBody | Self::InvalidHost => StatusCode::BAD_REQUEST,
            Self::UnknownCoding => StatusCode::NOT_IMPLEMENTED,
            Self::OriginNotAllowed => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::WrongContentType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooManyRequests { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Unhealthy | Self::Overloaded | Self::Unavailable => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }

    /// Whether it is about the daemon's health and not about a click.
    pub(super) fn is_about_health(&self) -> bool {
        matches!(self, Self::Healthy | Self::Unhealthy)
    }

    /// The response, without the CORS headers. `preflights` decides whether `Allow` contains `OPTIONS`.
    pub(super) fn to_response(&self, preflights: Preflights) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(self.body()));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        if self.is_about_health() {
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        } else if !matches!(self, Self::Preflight) {
            headers.insert(
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/json"),
            );
        }
        match self {
            Self::Preflight | Self::MethodNotAllowed => {
                headers.insert(header::ALLOW, HeaderValue::from_static(preflights.allow()));
            }
            Self::TooManyRequests { retry_after_secs } => {
                headers.insert(header::RETRY_AFTER, (*retry_after_secs).into());
            }
            Self::Overloaded | Self::Unavailable => {
                headers.insert(header::RETRY_AFTER, RETRY_AFTER_SECS.into());
            }
            _ => {}
        }
        response
    }

    fn body(&self) -> Bytes {
        let error = |text: &str| Bytes::from(serde_json::json!({ "error": text }).to_string());
        match self {
            Self::Accepted => Bytes::from_static(br#"{"status":"accepted"}"#),
            Self::Preflight | Self::Healthy | Self::Unhealthy => Bytes::new(),
            Self::BrokenBody => error("the body ended early or is not framed as HTTP/1.1 says"),
            Self::InvalidHost => error("the request should have one valid Host header"),
            Self::UnknownCoding => error("the Transfer-Encoding should be chunked, or left out"),
            Self::OriginNotAllowed => error(
                "this page's origin may not post here; the operator can allow it with --allow-origin",
            ),
            Self::NotFound => error(
                "there is nothing at this path; clicks go to the path the operator set with --path",
            ),
            Self::MethodNotAllowed => error("clicks are sent with POST"),
            Self::BodyTooSlow => error(&format!(
                "the body took longer than {} seconds",
                BODY_TIMEOUT.as_secs()
            )),
            Self::BodyTooLarge => error(&format!(
                "the body has more than {BODY_BYTES_MAX} bytes or {BODY_PIECES_MAX} pieces"
            )),
            Self::WrongContentType => {
                error("the Content-Type should be application/json, or text/plain holding JSON")
            }
            Self::Invalid(refusal) => refusal.to_json(),
            Self::TooManyRequests { .. } => {
                error("too many requests from this address; send this one again later")
            }
            Self::HeadersTooLarge => error(&format!(
                "the headers have more than {HEADER_BYTES_MAX} bytes"
            )),
            Self::Overloaded => error("too many clicks are waiting; send this one again later"),
            Self::Unavailable => error("the click could not be stored; send it again later"),
        }
    }
}

/// Whether `OPTIONS` is an allowed method: only if origins are configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Preflights {
    Answered,
    NotAllowed,
}

impl Preflights {
    fn allow(self) -> &'static str {
        match self {
            Self::Answered => "POST, OPTIONS",
            Self::NotAllowed => "POST",
        }
    }
}
