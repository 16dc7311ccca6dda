//! The model that answers: in this process, or behind a server of the hospital's own.

use std::{path::PathBuf, sync::Arc};

use bedside_contract::{GenerateError, Generator, ModelInfo};
use bedside_engine::{Engine, ModelConfig};
use bedside_remote::RemoteGenerator;

use crate::config::{Config, ConfigError};

#[derive(Clone)]
pub(crate) enum LanguageModel {
    Here(Arc<Engine>),
    Remote(Arc<RemoteGenerator>),
}

impl LanguageModel {
    /// Starts loading it or asking for it, in the background. Call within a tokio runtime.
    pub(crate) fn start(config: &Config, models_dir: PathBuf) -> Result<Self, ConfigError> {
        if config.remote.is_on() {
            let remote = config.remote.build();
            return Ok(Self::Remote(
                remote.map_err(|it| ConfigError::new(it.to_string()))?,
            ));
        }
        let model = ModelConfig {
            models_dir,
            ..config.model.clone()
        };
        Ok(Self::Here(Engine::start(config.engine.clone(), model)))
    }

    pub(crate) fn generator(&self) -> Arc<dyn Generator> {
        match self {
            Self::Here(engine) => Arc::clone(engine) as Arc<dyn Generator>,
            Self::Remote(remote) => Arc::clone(remote) as Arc<dyn Generator>,
        }
    }

    /// Waits until it is known whether there is a model.
    pub(crate) async fn wait_ready(&self) -> Result<ModelInfo, GenerateError> {
        match self {
            Self::Here(engine) => engine.wait_ready().await,
            Self::Remote(remote) => remote.wait_ready().await,
        }
    }

    /// What an operator does when there is none.
    pub(crate) fn advice(&self) -> &'static str {
        match self {
            Self::Here(_) => "Fetch it with `bedside model pull`.",
            Self::Remote(_) => "The server is asked again and again; [remote] says where it is.",
        }
    }
}
