//! Adapters loaded and unloaded while answers run, under vLLM's paths, so that its clients work here.

use std::{collections::BTreeSet, sync::Arc};

use axum::{Json, extract::State};
use bedside_contract::{AuditLog, Generator};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::{error::AdminError, server::Server};

/// Of a request's body.
pub(crate) const MAX_BODY: usize = 16 * 1024;
const LONGEST_NAME: usize = 100;
const LONGEST_PATH: usize = 500;
/// Who did it, in the audit log.
const ACTOR: &str = "admin";

/// Those that were loaded at run time, and what changes them.
pub(crate) struct Adapters {
    pub(crate) generator: Arc<dyn Generator>,
    pub(crate) audit: Arc<dyn AuditLog>,
    pub(crate) most: usize,
    /// Locked during a change: one after the other.
    pub(crate) loaded: Mutex<BTreeSet<String>>,
}

#[derive(Deserialize)]
pub(crate) struct Load {
    lora_name: String,
    /// Within `model.adapters_dir`.
    lora_path: String,
}

#[derive(Deserialize)]
pub(crate) struct Unload {
    lora_name: String,
}

/// `POST /v1/load_lora_adapter`; one of the same name is replaced.
pub(crate) async fn load(
    State(server): State<Arc<Server>>,
    Json(asked): Json<Load>,
) -> Result<Json<Value>, AdminError> {
    let adapters = Arc::clone(&server.adapters);
    let name = asked.lora_name.clone();
    // It goes on when its client hangs up, so that what is loaded is also counted.
    let changing = tokio::spawn(async move { adapters.load(&asked).await });
    changing.await.map_err(|_| AdminError::BrokeOff)??;
    Ok(Json(json!({ "object": "model", "id": name, "loaded": true })))
}

/// `POST /v1/unload_lora_adapter`
pub(crate) async fn unload(
    State(server): State<Arc<Server>>,
    Json(asked): Json<Unload>,
) -> Result<Json<Value>, AdminError> {
    let adapters = Arc::clone(&server.adapters);
    let name = asked.lora_name.clone();
    let changing = tokio::spawn(async move { adapters.unload(&asked).await });
    changing.await.map_err(|_| AdminError::BrokeOff)??;
    Ok(Json(json!({ "object": "model", "id": name, "loaded": false })))
}

impl Adapters {
    async fn load(&self, asked: &Load) -> Result<(), AdminError> {
        let (name, path) = (&asked.lora_name, &asked.lora_path);
        check_length("lora_name", name, LONGEST_NAME)?;
        check_length("lora_path", path, LONGEST_PATH)?;
        let mut loaded = self.loaded.lock().await;
        if !loaded.contains(name) && loaded.len() >= self.most {
            return Err(AdminError::TooManyAdapters { limit: self.most });
        }
        self.note("adapter load", name, path).await?;
        if let Err(error) = self.generator.load_adapter(name, path).await {
            self.note("adapter load failed", name, &error.to_string()).await?;
            return Err(error.into());
        }
        loaded.insert(name.clone());
        tracing::info!(name, path, "An adapter was loaded at run time.");
        Ok(())
    }

    async fn unload(&self, asked: &Unload) -> Result<(), AdminError> {
        let name = &asked.lora_name;
        check_length("lora_name", name, LONGEST_NAME)?;
        let mut loaded = self.loaded.lock().await;
        self.note("adapter unload", name, "").await?;
        if let Err(error) = self.generator.unload_adapter(name).await {
            self.note("adapter unload failed", name, &error.to_string())
                .await?;
            return Err(error.into());
        }
        loaded.remove(name);
        tracing::info!(name, "An adapter was unloaded at run time.");
        Ok(())
    }

    /// Before the change: what cannot be written down is not done.
    async fn note(&self, action: &str, name: &str, detail: &str) -> Result<(), AdminError> {
        let noted = self.audit.audit(ACTOR, action, name, detail).await;
        noted.map_err(AdminError::NotAudited)
    }
}

fn check_length(field: &'static str, text: &str, most: usize) -> Result<(), AdminError> {
    if text.chars().count() > most {
        return Err(AdminError::TooLong { field, most });
    }
    Ok(())
}
