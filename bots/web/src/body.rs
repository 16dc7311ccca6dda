use std::time::Duration;

use axum::{
    body::Body,
    http::{HeaderMap, header},
};
use futures::StreamExt;

/// What is read beyond the limit and thrown away, so that the sender gets our words instead of a broken
/// connection.
const MAX_DRAINED: usize = 1024 * 1024;
const TIMEOUT: Duration = Duration::from_secs(20);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyError {
    NotJson,
    TooLarge,
    /// The connection broke, or was too slow.
    Broken,
}

/// Reads a body that says that it is JSON; browsers ask before they send such a one to another site.
pub(crate) async fn read_json(headers: &HeaderMap, body: Body, limit: usize) -> Result<Vec<u8>, BodyError> {
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|it| it.to_str().ok())
        .unwrap_or_default();
    if !content_type
        .split(';')
        .next()
        .is_some_and(|it| it.trim().eq_ignore_ascii_case("application/json"))
    {
        return Err(BodyError::NotJson);
    }
    tokio::time::timeout(TIMEOUT, read(body, limit))
        .await
        .map_err(|_| BodyError::Broken)?
}

async fn read(body: Body, limit: usize) -> Result<Vec<u8>, BodyError> {
    let mut chunks = body.into_data_stream();
    let mut bytes = Vec::new();
    let mut total = 0;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| BodyError::Broken)?;
        total += chunk.len();
        if total <= limit {
            bytes.extend_from_slice(&chunk);
        } else if total > limit + MAX_DRAINED {
            break;
        }
    }
    if total > limit {
        Err(BodyError::TooLarge)
    } else {
        Ok(bytes)
    }
}
