//! A gateway on a loopback port: sessions, replays, and whatever a test wants to go wrong.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Notify, broadcast},
};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async,
    tungstenite::{
        Message,
        handshake::server::{Request, Response},
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};

/// Keeps one session at a time and replays its events on a resume, as Discord does.
#[derive(Clone)]
pub(crate) struct GatewayFake {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<GatewayState>,
    changed: Notify,
    orders: broadcast::Sender<Order>,
}

#[derive(Default)]
struct GatewayState {
    session: Option<String>,
    sessions: u32,
    /// The session's events, with their numbers from 1.
    events: Vec<Value>,
    greetings: Vec<Greeting>,
    heartbeats: Vec<Value>,
    ended: Vec<Ended>,
    heartbeat_interval: u64,
    is_mute: bool,
    replays_all: bool,
}

/// How the bot introduced itself.
#[derive(Debug, Clone)]
pub(crate) struct Greeting {
    pub(crate) path: String,
    pub(crate) payload: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    WithoutClose,
    WithClose,
}

/// What happens on every open connection.
#[derive(Debug, Clone)]
enum Order {
    Event(Value),
    Raw(Value),
    Close(u16),
    Drop,
}

impl GatewayFake {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = GatewayState {
            heartbeat_interval: 45_000,
            ..GatewayState::default()
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            changed: Notify::new(),
            orders: broadcast::channel(1024).0,
        });
        let fake = Self { address, shared };
        let accepting = fake.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let fake = accepting.clone();
                tokio::spawn(async move { fake.serve(stream).await });
            }
        });
        fake
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}", self.address)
    }

    fn state(&self) -> MutexGuard<'_, GatewayState> {
        self.shared.state.lock().unwrap()
    }

    /// Something happens on Discord: delivered now, or replayed on the next resume.
    pub(crate) fn dispatch(&self, name: &str, data: Value) {
        let event = {
            let mut state = self.state();
            let event = json!({"op": 0, "t": name, "s": state.events.len() + 1, "d": data});
            state.events.push(event.clone());
            event
        };
        let _nobody_listens = self.shared.orders.send(Order::Event(event));
    }

    pub(crate) fn say(&self, frame: Value) {
        let _nobody_listens = self.shared.orders.send(Order::Raw(frame));
    }

    pub(crate) fn close_with(&self, code: u16) {
        let _nobody_listens = self.shared.orders.send(Order::Close(code));
    }

    pub(crate) fn drop_connections(&self) {
        let _nobody_listens = self.shared.orders.send(Order::Drop);
    }

    pub(crate) fn forget_session(&self) {
        let mut state = self.state();
        state.session = None;
        state.events.clear();
    }

    pub(crate) fn beat_every(&self, milliseconds: u64) {
        self.state().heartbeat_interval = milliseconds;
    }

    /// Heartbeats are no longer answered.
    pub(crate) fn be_mute(&self, is_mute: bool) {
        self.state().is_mute = is_mute;
    }

    /// Resumes bring the whole session again.
    pub(crate) fn replay_all(&self) {
        self.state().replays_all = true;
    }

    pub(crate) fn greetings(&self) -> Vec<Greeting> {
        self.state().greetings.clone()
    }

    /// The opcodes of the greetings: 2 identify, 6 resume.
    pub(crate) fn greeting_ops(&self) -> Vec<u64> {
        self.greetings()
            .iter()
            .map(|it| it.payload["op"].as_u64().unwrap())
            .collect()
    }

    pub(crate) fn heartbeats(&self) -> Vec<Value> {
        self.state().heartbeats.clone()
    }

    pub(crate) fn ended(&self) -> Vec<Ended> {
        self.state().ended.clone()
    }

    pub(crate) async fn until(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        let reached = async {
            loop {
                let changed = self.shared.changed.notified();
                if condition(self) {
                    return;
                }
                changed.await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), reached)
            .await
            .unwrap_or_else(|_| panic!("it should have come to this: {what}"));
    }

    async fn serve(&self, stream: TcpStream) {
        let mut path = String::new();
        #[expect(clippy::result_large_err, reason = "tungstenite's callback is so")]
        let noted = |request: &Request, response: Response| {
            path = request.uri().to_string();
            Ok(response)
        };
        let Ok(mut socket) = accept_hdr_async(stream, noted).await else {
            return;
        };
        let mut orders = self.shared.orders.subscribe();
        let interval = self.state().heartbeat_interval;
        send(
            &mut socket,
            &json!({"op": 10, "d": {"heartbeat_interval": interval}}),
        )
        .await;
        let mut ended = Ended::WithoutClose;
        loop {
            tokio::select! {
                message = socket.next() => match message {
                    Some(Ok(Message::Text(text))) => {
                        let payload: Value = serde_json::from_str(&text).unwrap();
                        for answer in self.answers(&path, payload) {
                            send(&mut socket, &answer).await;
                        }
                        self.shared.changed.notify_waiters();
                    }
                    Some(Ok(Message::Close(_))) => {
                        ended = Ended::WithClose;
                        break;
                    }
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => break,
                },
                order = orders.recv() => match order.unwrap() {
                    Order::Event(frame) | Order::Raw(frame) => send(&mut socket, &frame).await,
                    Order::Close(code) => {
                        let frame = CloseFrame { code: CloseCode::from(code), reason: "".into() };
                        let _gone = socket.close(Some(frame)).await;
                        return;
                    }
                    Order::Drop => return,
                },
            }
        }
        self.state().ended.push(ended);
        self.shared.changed.notify_waiters();
    }

    fn answers(&self, path: &str, payload: Value) -> Vec<Value> {
        let mut state = self.state();
        let op = payload["op"].as_u64().unwrap();
        if op == 1 {
            state.heartbeats.push(payload["d"].clone());
            return if state.is_mute {
                vec![]
            } else {
                vec![json!({"op": 11})]
            };
        }
        let greeting = Greeting {
            path: path.to_owned(),
            payload: payload.clone(),
        };
        state.greetings.push(greeting);
        match op {
            2 => {
                state.sessions += 1;
                let session = format!("session-{}", state.sessions);
                let ready = json!({"op": 0, "t": "READY", "s": 1, "d": {
                    "v": 10, "session_id": session, "resume_gateway_url": format!("{}/resume", self.url()),
                    "user": {"id": "666"}, "application": {"id": "666"},
                }});
                state.session = Some(session);
                state.events = vec![ready.clone()];
                vec![ready]
            }
            6 if payload["d"]["session_id"].as_str() == state.session.as_deref() => {
                let from = if state.replays_all {
                    1
                } else {
                    payload["d"]["seq"].as_u64().unwrap()
                };
                let mut replayed: Vec<Value> = state.events.clone();
                replayed.retain(|it| it["s"].as_u64().unwrap() > from);
                let seq = state.events.len() + 1;
                let resumed = json!({"op": 0, "t": "RESUMED", "s": seq, "d": {}});
                state.events.push(resumed.clone());
                replayed.push(resumed);
                replayed
            }
            6 => vec![json!({"op": 9, "d": false})],
            _ => vec![],
        }
    }
}

async fn send(socket: &mut WebSocketStream<TcpStream>, frame: &Value) {
    let _gone = socket.send(Message::Text(frame.to_string().into())).await;
}
