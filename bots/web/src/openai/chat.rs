use std::sync::Arc;

use axum::{
    Json,
    body::Body,
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use bedside_contract::{ConversationKey, GenerateRequest, Generation, GenerationEvent, Priority};
use uuid::Uuid;

use super::{
    Api, ApiError,
    models::choose,
    request::{ChatRequest, Delivery, MAX_BODY},
    stream::{AnswerStream, respond},
    wire::{Ending, Head},
};
use crate::body::read_json;

/// `POST /v1/chat/completions`. A client that hangs up drops the future or the stream, and with it the
/// generation.
pub(super) async fn complete(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    if api.stop.is_cancelled() {
        return Err(ApiError::Stopping);
    }
    let slot = api.slot()?;
    let bytes = read_json(&headers, body, MAX_BODY).await?;
    let request = ChatRequest::parse(&bytes)?;
    drop(bytes);
    let info = api.model()?;
    let chosen = choose(&api, &info, request.model)?;
    // The engine ends at the context's end with "length" of itself.
    let max_tokens = request.max_tokens.unwrap_or(usize::MAX).min(info.context_length);
    let chat = request.user.unwrap_or_else(|| Uuid::new_v4().to_string());
    let generation = api
        .generator()?
        .generate(GenerateRequest {
            conversation: ConversationKey::new("api", "v1", &chat),
            messages: request.messages,
            adapter: chosen.adapter,
            sampling: request.sampling,
            max_tokens,
            priority: Priority::Program,
            deadline: api.deadline,
        })
        .await?;
    let head = Head::new(chosen.name, &info);
    match request.delivery {
        Delivery::Streamed { with_usage } => {
            let stream = AnswerStream::new(head, generation, with_usage, api.stop.clone(), slot);
            Ok(respond(stream))
        }
        Delivery::Whole => {
            let (text, ending) = tokio::select! {
                biased;
                () = api.stop.cancelled() => return Err(ApiError::Stopping),
                answer = whole(generation) => answer?,
            };
            Ok(Json(head.completion(&text, &ending)).into_response())
        }
    }
}

async fn whole(mut generation: Box<dyn Generation>) -> Result<(String, Ending), ApiError> {
    let mut text = String::new();
    while let Some(event) = generation.next().await {
        let event = event?;
        if let Some(ending) = Ending::of(&event) {
            return Ok((text, ending));
        }
        if let GenerationEvent::Text(more) = event {
            text.push_str(&more);
        }
    }
    Err(ApiError::BrokeOff)
}
