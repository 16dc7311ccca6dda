//! A program that asks the model over real HTTP.

use std::{sync::Arc, time::Duration};

use bedside_contract::{Connector, Generator};
use bedside_web::{WebConfig, WebConnector, WebContext};
use futures::{StreamExt, stream::BoxStream};
use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};
use tokio::task::AbortHandle;

use crate::{memory::Memory, scripted::Scripted};

const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Program {
    pub(crate) scripted: Arc<Scripted>,
    connector: Arc<WebConnector>,
    client: Client,
    running: AbortHandle,
}

pub(crate) fn question(more: &Value) -> Value {
    let mut request = json!({"model": "default", "messages": [{"role": "user", "content": "my head hurts"}]});
    request
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    request
}

/// `[web]` with these keys of `[web.api]`.
pub(crate) fn config(api: &Value) -> WebConfig {
    serde_json::from_value(json!({"listen": "127.0.0.1:0", "api": api})).unwrap()
}

impl Program {
    pub(crate) fn start(config: WebConfig) -> Self {
        let scripted = Arc::new(Scripted::default());
        let generator = Some(Arc::clone(&scripted) as Arc<dyn Generator>);
        Self::start_with(config, scripted, generator)
    }

    pub(crate) fn start_with(
        config: WebConfig,
        scripted: Arc<Scripted>,
        generator: Option<Arc<dyn Generator>>,
    ) -> Self {
        let memory = Arc::new(Memory::default());
        let connector = config.build(WebContext {
            ready: Arc::new(|| true),
            generator,
            hospital_name: Arc::new(|| "Test Hospital".to_owned()),
        });
        let connector = Arc::new(connector.unwrap());
        let running = {
            let connector = Arc::clone(&connector);
            tokio::spawn(async move { connector.run(memory).await }).abort_handle()
        };
        Self {
            scripted,
            connector,
            client: Client::builder().no_proxy().build().unwrap(),
            running,
        }
    }

    pub(crate) fn stop(&self) {
        self.running.abort();
    }

    pub(crate) fn authority(&self) -> String {
        self.connector.local_address().to_string()
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("http://{}{path}", self.authority()))
    }

    pub(crate) fn post(&self, body: &Value) -> RequestBuilder {
        self.post_raw(body.to_string())
    }

    pub(crate) fn post_raw(&self, body: String) -> RequestBuilder {
        self.post_to("/v1/chat/completions", body)
    }

    pub(crate) fn post_to(&self, path: &str, body: String) -> RequestBuilder {
        let url = format!("http://{}{path}", self.authority());
        let request = self.client.post(url).header("content-type", "application/json");
        request.body(body)
    }

    pub(crate) async fn ask(&self, more: &Value) -> (u16, Value) {
        answer(self.post(&question(more))).await
    }

    pub(crate) async fn stream(&self, more: &Value) -> Lines {
        let mut request = question(more);
        request["stream"] = json!(true);
        let response = self.post(&request).send().await.unwrap();
        assert_eq!(response.status().as_u16(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["x-accel-buffering"], "no");
        Lines::of(response)
    }
}

pub(crate) async fn answer(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    (status, response.json().await.unwrap())
}

/// A stream's blocks as they come, without the empty lines between them.
pub(crate) struct Lines {
    body: BoxStream<'static, reqwest::Result<axum::body::Bytes>>,
    text: String,
}

impl Lines {
    fn of(response: Response) -> Self {
        Self {
            body: response.bytes_stream().boxed(),
            text: String::new(),
        }
    }

    pub(crate) async fn next(&mut self) -> Option<String> {
        tokio::time::timeout(PATIENCE, self.receive())
            .await
            .expect("a line in time")
    }

    /// The next object, and that it is one.
    pub(crate) async fn object(&mut self) -> Value {
        let line = self.next().await.expect("an object");
        serde_json::from_str(line.strip_prefix("data: ").expect(&line)).unwrap()
    }

    async fn receive(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let block = block.to_owned();
                self.text = rest.to_owned();
                return Some(block);
            }
            let chunk = self.body.next().await?.ok()?;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }
}
