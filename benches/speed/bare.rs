//! The upper limit: a hyper server with one thread, like the HTTP part of leadclicksd, that parses the same JSON, answers 202
//! and stores nothing. It has no time limits and no counts, and checks only enough to use the parsed values.

use std::{borrow::Cow, convert::Infallible, error::Error};

use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpListener;

/// Serves until it is killed. Prints its address once it listens.
pub fn serve() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("ready: POST http://{}/", listener.local_addr()?);
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(
                http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)),
            );
        }
    })
}

#[derive(Deserialize)]
struct Click<'a> {
    #[serde(borrow)]
    email: Cow<'a, str>,
    #[serde(borrow)]
    expert_username: Cow<'a, str>,
    #[serde(borrow)]
    search_query: Cow<'a, str>,
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let is_click = match request.into_body().collect().await {
        Ok(body) => serde_json::from_slice::<Click<'_>>(&body.to_bytes()).is_ok_and(|click| {
            !click.email.is_empty()
                && !click.expert_username.is_empty()
                && click.search_query.len() < 2_000
        }),
        Err(_) => false,
    };
    let (status, body): (_, &'static [u8]) = if is_click {
        (StatusCode::ACCEPTED, br#"{"status":"accepted"}"#)
    } else {
        (StatusCode::UNPROCESSABLE_ENTITY, b"{}")
    };
    let mut response = Response::new(Full::new(Bytes::from_static(body)));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    Ok(response)
}
