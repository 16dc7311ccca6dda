//! Adapters loaded and unloaded while answers run, under vLLM's paths, so that its clients work here.

use std::sync::Arc;

use axum::{Json, body::Body, extract::State, http::HeaderMap};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Api, ApiError};
use crate::body::read_json;

const MAX_BODY: usize = 16 * 1024;

#[derive(Deserialize)]
struct Load {
    lora_name: String,
    /// Within `model.adapters_dir`.
    lora_path: String,
}

#[derive(Deserialize)]
struct Unload {
    lora_name: String,
}

/// `POST /v1/load_lora_adapter`; one of the same name is replaced.
pub(super) async fn load(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    let asked: Load = read(&api, &headers, body).await?;
    api.generator()?
        .load_adapter(&asked.lora_name, &asked.lora_path)
        .await?;
    Ok(Json(
        json!({ "object": "model", "id": asked.lora_name, "loaded": true }),
    ))
}

/// `POST /v1/unload_lora_adapter`
pub(super) async fn unload(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    let asked: Unload = read(&api, &headers, body).await?;
    api.generator()?.unload_adapter(&asked.lora_name).await?;
    Ok(Json(
        json!({ "object": "model", "id": asked.lora_name, "loaded": false }),
    ))
}

async fn read<T: serde::de::DeserializeOwned>(
    api: &Api,
    headers: &HeaderMap,
    body: Body,
) -> Result<T, ApiError> {
    if !api.manage_adapters {
        return Err(ApiError::AdaptersFixed);
    }
    let bytes = read_json(headers, body, MAX_BODY).await?;
    serde_json::from_slice(&bytes).map_err(|error| {
        if error.is_data() {
            ApiError::invalid("body", error.to_string())
        } else {
            ApiError::Unreadable {
                line: error.line(),
                column: error.column(),
            }
        }
    })
}
