//! The names under which the model can be asked.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
};
use bedside_contract::ModelInfo;
use serde::Serialize;

use super::{Api, ApiError};

/// Another name of the base model, for clients that must send one.
const DEFAULT: &str = "default";

/// The base model, or one of its adapters.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chosen {
    /// As it stands in the list.
    pub(super) name: String,
    pub(super) adapter: Option<String>,
}

#[derive(Serialize)]
pub(super) struct List {
    object: &'static str,
    data: Vec<Entry>,
}

#[derive(Serialize)]
pub(super) struct Entry {
    id: String,
    object: &'static str,
    created: u64,
    owned_by: &'static str,
    /// The base model of an adapter; this and the next as in vLLM.
    parent: Option<String>,
    max_model_len: usize,
}

/// `GET /v1/models`
pub(super) async fn list(State(api): State<Arc<Api>>) -> Result<Json<List>, ApiError> {
    let info = api.model()?;
    let names = adapters(&api, &info)?;
    let bases = [entry(&api, &info, info.name.clone(), None)];
    let adapters = names
        .into_iter()
        .map(|it| entry(&api, &info, it, Some(info.name.clone())));
    Ok(Json(List {
        object: "list",
        data: bases.into_iter().chain(adapters).collect(),
    }))
}

/// `GET /v1/models/{id}`
pub(super) async fn one(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
) -> Result<Json<Entry>, ApiError> {
    let info = api.model()?;
    let chosen = choose(&api, &info, Some(id))?;
    let parent = chosen.adapter.is_some().then(|| info.name.clone());
    Ok(Json(entry(&api, &info, chosen.name, parent)))
}

/// # Errors
/// [`ApiError::UnknownModel`]; a misspelt adapter must not be answered by the base model.
pub(super) fn choose(api: &Api, info: &ModelInfo, asked: Option<String>) -> Result<Chosen, ApiError> {
    let Some(name) = asked.filter(|it| *it != info.name && it != DEFAULT) else {
        return Ok(Chosen {
            name: info.name.clone(),
            adapter: None,
        });
    };
    if adapters(api, info)?.contains(&name) {
        Ok(Chosen {
            adapter: Some(name.clone()),
            name,
        })
    } else {
        Err(ApiError::UnknownModel { name })
    }
}

/// A name that means the base model already is not an adapter's too.
fn adapters(api: &Api, info: &ModelInfo) -> Result<Vec<String>, ApiError> {
    let mut names = api.generator()?.adapters();
    names.retain(|it| *it != info.name && it != DEFAULT);
    Ok(names)
}

fn entry(api: &Api, info: &ModelInfo, id: String, parent: Option<String>) -> Entry {
    Entry {
        id,
        object: "model",
        created: api.started,
        owned_by: "bedside",
        parent,
        max_model_len: info.context_length,
    }
}
