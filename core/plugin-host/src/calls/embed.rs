//! Vectors for plugins: bounded in number and length, one text at a time for all plugins together.

use std::sync::Arc;

use bedside_contract::EmbeddingPurpose;
use bedside_plugin_api::{
    abi::{Permission, Status},
    msg,
};
use serde_json::json;

use super::{Answer, Services, failed};

const MAX_TEXTS: usize = 16;
const MAX_CHARACTERS: usize = 4000;

impl Services {
    /// Has the model read, so that the first call need not wait, if the plugin may ask for vectors at all.
    pub(crate) fn prepare_embedding(&self) {
        let Some(embedder) = self.backing.embedder.clone() else {
            return;
        };
        if self.check(Permission::Embed).is_err() {
            return;
        }
        let plugin = self.id.clone();
        tokio::task::spawn_blocking(move || {
            if let Err(problem) = embedder.embed(&[], EmbeddingPurpose::Query) {
                tracing::warn!(plugin, %problem, "the plugin asks for vectors and will get none");
            }
        });
    }

    pub(super) async fn embed(&self, request: msg::EmbedRequest) -> Answer {
        let msg::EmbedRequest { texts, purpose } = request;
        let purpose = match purpose.as_str() {
            "query" => EmbeddingPurpose::Query,
            "passage" => EmbeddingPurpose::Passage,
            _ => {
                let reason = "purpose: query or passage is possible".to_owned();
                return Err((Status::BAD_INPUT, reason));
            }
        };
        if texts.len() > MAX_TEXTS || texts.iter().any(|it| it.chars().nth(MAX_CHARACTERS).is_some()) {
            let reason = format!("at most {MAX_TEXTS} texts of at most {MAX_CHARACTERS} characters");
            return Err((Status::BAD_INPUT, reason));
        }
        let embedder = self.backing.embedder.clone();
        let embedder = embedder.ok_or_else(|| failed("the bot has no embedding model"))?;
        if !self.budgets().texts.take(texts.len() as u64) {
            return Err(failed(
                "embed.texts_per_minute of plugin.toml is used up; try again in a minute",
            ));
        }
        let mut vectors = Vec::with_capacity(texts.len());
        for text in texts {
            // Text by text, so that another plugin waits for one at most.
            let turn = Arc::clone(&self.backing.embedding).acquire_owned();
            let turn = turn.await.map_err(failed)?;
            let embedder = Arc::clone(&embedder);
            let computing = tokio::task::spawn_blocking(move || {
                let _turn = turn;
                embedder.embed(&[&text], purpose)
            });
            vectors.extend(computing.await.map_err(failed)?.map_err(failed)?);
        }
        let model = embedder.model().map(|it| it.id).unwrap_or_default();
        Ok(json!(msg::Embedded { model, vectors }))
    }
}
