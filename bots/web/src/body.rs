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
    let mut ends = Ends::default();
    read_message(headers, body, limit, &mut ends).await
}

/// Beginning and end of a body that is too large, to look for an emergency in.
#[derive(Default)]
pub(crate) struct Ends {
    pub(crate) head: Vec<u8>,
    pub(crate) tail: Vec<u8>,
}

/// As much of each end is kept; what a patient writes by hand is less than both.
const KEPT: usize = 64 * 1024;

impl Ends {
    fn take(&mut self, chunk: &[u8]) {
        let room = KEPT.saturating_sub(self.head.len()).min(chunk.len());
        let (head, tail) = chunk.split_at(room);
        self.head.extend_from_slice(head);
        self.tail.extend_from_slice(tail);
        if self.tail.len() > 2 * KEPT {
            self.tail.drain(..self.tail.len() - KEPT);
        }
    }
}

/// Reads a body as [`read_json`] does; what is too large, or broke off, is left in `ends`.
pub(crate) async fn read_message(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
    ends: &mut Ends,
) -> Result<Vec<u8>, BodyError> {
    if !says_json(headers) {
        return Err(BodyError::NotJson);
    }
    tokio::time::timeout(TIMEOUT, read(body, limit, ends))
        .await
        .map_err(|_| BodyError::Broken)?
}

fn says_json(headers: &HeaderMap) -> bool {
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|it| it.to_str().ok())
        .unwrap_or_default();
    content_type
        .split(';')
        .next()
        .is_some_and(|it| it.trim().eq_ignore_ascii_case("application/json"))
}

async fn read(body: Body, limit: usize, ends: &mut Ends) -> Result<Vec<u8>, BodyError> {
    let mut chunks = body.into_data_stream();
    let mut bytes = Vec::new();
    let mut total = 0;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| BodyError::Broken)?;
        total += chunk.len();
        ends.take(&chunk);
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
