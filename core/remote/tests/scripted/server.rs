//! A model server on loopback that says what a test has written down for it.

use std::{
    collections::VecDeque,
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, Response, StatusCode},
    routing::{get, post},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

#[derive(Debug, Clone)]
pub(crate) enum Step {
    Send(Vec<u8>),
    Wait(Duration),
    /// Nothing more, with the connection open.
    Hang,
    /// The connection is cut.
    Break,
}

#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) steps: Vec<Step>,
}

pub(crate) struct FakeServer {
    pub(crate) address: String,
    script: Arc<Script>,
    task: JoinHandle<()>,
}

/// What a server says to a request that it does not take.
pub(crate) type Refuse = Box<dyn Fn(&Value) -> Option<Reply> + Send>;

struct Script {
    replies: Mutex<VecDeque<Reply>>,
    /// When no reply is left.
    always: Mutex<Option<Reply>>,
    models: Mutex<Reply>,
    refuse: Mutex<Option<Refuse>>,
    asked: Mutex<Vec<(HeaderMap, Value)>>,
    open: AtomicUsize,
}

impl Reply {
    pub(crate) fn stream(steps: Vec<Step>) -> Self {
        Self {
            status: 200,
            headers: vec![("content-type", "text/event-stream".to_owned())],
            steps,
        }
    }

    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self {
            status,
            headers: vec![("content-type", "application/json".to_owned())],
            steps: vec![Step::Send(body.to_string().into_bytes())],
        }
    }

    pub(crate) fn error(status: u16) -> Self {
        Self::json(
            status,
            &json!({"error": {"message": "you wrote: my chest hurts", "type": "some_error", "code": status}}),
        )
    }

    pub(crate) fn with_header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// These pieces of text, an end, the figures.
    pub(crate) fn answer(pieces: &[&str]) -> Self {
        let mut steps: Vec<Step> = pieces.iter().map(|it| text(it)).collect();
        steps.extend([end("stop"), usage(), done()]);
        Self::stream(steps)
    }
}

pub(crate) fn event(value: &Value) -> Step {
    Step::Send(format!("data: {value}\n\n").into_bytes())
}

pub(crate) fn text(piece: &str) -> Step {
    event(&json!({"choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": null}]}))
}

pub(crate) fn end(reason: &str) -> Step {
    event(&json!({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}))
}

pub(crate) fn usage() -> Step {
    event(
        &json!({"choices": [], "usage": {"prompt_tokens": 42, "completion_tokens": 7,
        "prompt_tokens_details": {"cached_tokens": 32}}}),
    )
}

pub(crate) fn done() -> Step {
    Step::Send(b"data: [DONE]\n\n".to_vec())
}

impl FakeServer {
    pub(crate) async fn start() -> Self {
        Self::start_on("127.0.0.1:0").await
    }

    pub(crate) async fn start_on(address: &str) -> Self {
        let script = Arc::new(Script {
            replies: Mutex::default(),
            always: Mutex::default(),
            models: Mutex::new(Reply::json(
                200,
                &json!({"data": [{"id": "bedside-14b", "max_model_len": 2048}]}),
            )),
            refuse: Mutex::default(),
            asked: Mutex::default(),
            open: AtomicUsize::new(0),
        });
        let router = Router::new()
            .route("/v1/models", get(models))
            .route("/v1/chat/completions", post(chat))
            .with_state(script.clone());
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            address,
            script,
            task,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// The next request gets this.
    pub(crate) fn then(&self, reply: Reply) -> &Self {
        self.script.replies.lock().unwrap().push_back(reply);
        self
    }

    pub(crate) fn always(&self, reply: Reply) {
        *self.script.always.lock().unwrap() = Some(reply);
    }

    /// Looks at each request before any other reply.
    pub(crate) fn refuse(&self, refuse: Refuse) {
        *self.script.refuse.lock().unwrap() = Some(refuse);
    }

    pub(crate) fn models(&self, reply: Reply) {
        *self.script.models.lock().unwrap() = reply;
    }

    /// Bodies of the chat requests so far.
    pub(crate) fn asked(&self) -> Vec<Value> {
        let asked = self.script.asked.lock().unwrap();
        asked.iter().map(|(_, body)| body.clone()).collect()
    }

    pub(crate) fn headers(&self) -> Vec<HeaderMap> {
        let asked = self.script.asked.lock().unwrap();
        asked.iter().map(|(headers, _)| headers.clone()).collect()
    }

    /// Answers that are being streamed.
    pub(crate) fn open(&self) -> usize {
        self.script.open.load(Ordering::SeqCst)
    }
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Open(Arc<Script>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn models(State(script): State<Arc<Script>>) -> Response<Body> {
    let reply = script.models.lock().unwrap().clone();
    response(script, reply)
}

async fn chat(State(script): State<Arc<Script>>, headers: HeaderMap, body: Bytes) -> Response<Body> {
    let body: Value = serde_json::from_slice(&body).unwrap();
    let refused = script.refuse.lock().unwrap().as_ref().and_then(|it| it(&body));
    script.asked.lock().unwrap().push((headers, body));
    if let Some(reply) = refused {
        return response(script, reply);
    }
    let next = script.replies.lock().unwrap().pop_front();
    let reply = next.or_else(|| script.always.lock().unwrap().clone());
    response(script, reply.unwrap_or_else(|| Reply::error(418)))
}

fn response(script: Arc<Script>, reply: Reply) -> Response<Body> {
    script.open.fetch_add(1, Ordering::SeqCst);
    let state = (Open(script), VecDeque::from(reply.steps));
    let stream = futures::stream::unfold(state, |(open, mut steps)| async move {
        loop {
            // Each piece is written on its own.
            tokio::task::yield_now().await;
            let item = match steps.pop_front()? {
                Step::Send(bytes) => Ok(bytes),
                Step::Wait(time) => {
                    tokio::time::sleep(time).await;
                    continue;
                }
                Step::Hang => std::future::pending().await,
                Step::Break => Err(io::Error::other("cut by the test")),
            };
            return Some((item, (open, steps)));
        }
    });
    let mut response = Response::builder().status(StatusCode::from_u16(reply.status).unwrap());
    for (name, value) in &reply.headers {
        response = response.header(*name, value);
    }
    response.body(Body::from_stream(stream)).unwrap()
}
