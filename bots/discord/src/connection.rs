//! One connection to the gateway: frames in, heartbeats out, until it ends.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    net::TcpStream,
    sync::{mpsc, watch},
    time::Instant,
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Error as WebSocketError, Message, protocol::CloseFrame},
};

use crate::{
    events::{Event, Snowflake},
    session::Session,
};

/// Private messages and messages of servers. In both Discord gives us the words of those that are addressed
/// to us, so the privileged intent for message content is not needed.
const INTENTS: u64 = GUILD_MESSAGES | DIRECT_MESSAGES;
const GUILD_MESSAGES: u64 = 1 << 9;
const DIRECT_MESSAGES: u64 = 1 << 12;

const CONNECTED_WITHIN: Duration = Duration::from_secs(15);

/// From our greeting to Discord's, or to the next event of a session that is being replayed.
const GREETED_WITHIN: Duration = Duration::from_secs(15);

/// The opcodes of gateway version 10.
mod op {
    pub(super) const DISPATCH: u64 = 0;
    pub(super) const HEARTBEAT: u64 = 1;
    pub(super) const IDENTIFY: u64 = 2;
    pub(super) const RESUME: u64 = 6;
    pub(super) const RECONNECT: u64 = 7;
    pub(super) const INVALID_SESSION: u64 = 9;
    pub(super) const HELLO: u64 = 10;
    pub(super) const HEARTBEAT_ACK: u64 = 11;
}

/// Why a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// Cut, silent, or asked to come again: the session goes on.
    Dropped(&'static str),
    /// Discord does not know the session any more.
    SessionGone,
    /// Closed with one of [Discord's codes](https://discord.com/developers/docs/topics/opcodes-and-status-codes#gateway-gateway-close-event-codes).
    Closed(u16),
    /// It never came to be.
    Unreachable(String),
    /// Events come faster than they are stored.
    Overwhelmed,
}

/// An event and its number in the session.
pub(crate) struct Dispatch {
    pub(crate) seq: Option<u64>,
    pub(crate) event: Event,
}

/// What a connection needs to begin.
pub(crate) struct Opening<'a> {
    pub(crate) address: &'a str,
    pub(crate) token: &'a SecretString,
    pub(crate) own_user: Snowflake,
    /// The session to go on with.
    pub(crate) session: Option<&'a Session>,
}

#[derive(Deserialize)]
struct Frame {
    op: u64,
    #[serde(default)]
    d: Value,
    s: Option<u64>,
    t: Option<String>,
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Connects and reads until the connection ends. Events go to `events` in order; `done` says how far they are
/// committed.
///
/// The socket is dropped without a close frame, also when this future is dropped at a planned stop: the codes
/// 1000 and 1001 would end the session, and Discord would keep nothing for the resume after the restart.
pub(crate) async fn run(
    opening: Opening<'_>,
    events: mpsc::Sender<Dispatch>,
    done: watch::Receiver<Option<u64>>,
) -> End {
    let socket = match tokio::time::timeout(CONNECTED_WITHIN, connect_async(opening.address)).await {
        Ok(Ok((socket, _))) => socket,
        Ok(Err(error)) => return End::Unreachable(describe(&error)),
        Err(_) => return End::Unreachable("no answer in time".to_owned()),
    };
    let mut connection = Connection {
        socket,
        events,
        done,
        own_user: opening.own_user,
        acknowledged: true,
        greeted: false,
    };
    match connection.talk(&opening).await {
        Ok(never) => match never {},
        Err(end) => end,
    }
}

enum Never {}

struct Connection {
    socket: Socket,
    events: mpsc::Sender<Dispatch>,
    done: watch::Receiver<Option<u64>>,
    own_user: Snowflake,
    /// The last heartbeat was answered.
    acknowledged: bool,
    /// READY or RESUMED has come.
    greeted: bool,
}

impl Connection {
    async fn talk(&mut self, opening: &Opening<'_>) -> Result<Never, End> {
        let interval = self.hello().await?;
        self.greet(opening).await?;
        // Not all bots of the world at once, after an outage.
        let mut heartbeat = Instant::now() + interval.mul_f64(rand::random::<f64>());
        let mut greeting_due = Instant::now() + GREETED_WITHIN;
        loop {
            tokio::select! {
                frame = next_frame(&mut self.socket) => {
                    if let Some(frame) = frame? {
                        if frame.op == op::DISPATCH {
                            greeting_due = Instant::now() + GREETED_WITHIN;
                        }
                        self.take(frame).await?;
                    }
                }
                () = tokio::time::sleep_until(heartbeat) => {
                    if !self.acknowledged {
                        return Err(End::Dropped("heartbeats are not answered"));
                    }
                    self.acknowledged = false;
                    self.beat().await?;
                    heartbeat = Instant::now() + interval;
                }
                () = tokio::time::sleep_until(greeting_due), if !self.greeted => {
                    return Err(if opening.session.is_some() {
                        End::SessionGone
                    } else {
                        End::Dropped("no greeting in time")
                    });
                }
            }
        }
    }

    async fn hello(&mut self) -> Result<Duration, End> {
        let hello = async {
            loop {
                if let Some(frame) = next_frame(&mut self.socket).await?
                    && frame.op == op::HELLO
                {
                    return Ok(frame);
                }
            }
        };
        let frame = tokio::time::timeout(GREETED_WITHIN, hello)
            .await
            .map_err(|_| End::Dropped("no greeting in time"))??;
        let interval = frame.d.get("heartbeat_interval").and_then(Value::as_u64);
        Ok(Duration::from_millis(
            interval.unwrap_or(41_250).clamp(50, 600_000),
        ))
    }

    async fn greet(&mut self, opening: &Opening<'_>) -> Result<(), End> {
        let token = opening.token.expose_secret();
        let greeting = match opening.session {
            Some(session) => json!({"op": op::RESUME, "d": {
                "token": token, "session_id": session.session_id, "seq": session.seq,
            }}),
            None => json!({"op": op::IDENTIFY, "d": {
                "token": token, "intents": INTENTS, "compress": false,
                "properties": {"os": std::env::consts::OS, "browser": "bedside", "device": "bedside"},
            }}),
        };
        self.say(&greeting).await
    }

    async fn take(&mut self, frame: Frame) -> Result<(), End> {
        match frame.op {
            op::DISPATCH => {
                let event = Event::read(frame.t.as_deref().unwrap_or_default(), frame.d, self.own_user);
                self.greeted |= matches!(event, Event::Ready(_) | Event::Resumed);
                let dispatch = Dispatch { seq: frame.s, event };
                self.events.try_send(dispatch).map_err(|_| End::Overwhelmed)
            }
            op::HEARTBEAT => self.beat().await,
            op::RECONNECT => Err(End::Dropped("discord asks to connect again")),
            op::INVALID_SESSION if frame.d == Value::Bool(true) => {
                Err(End::Dropped("discord asks to resume once more"))
            }
            op::INVALID_SESSION => Err(End::SessionGone),
            op::HEARTBEAT_ACK => {
                self.acknowledged = true;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Tells how far we are: as far as is committed, so that Discord keeps what is not.
    async fn beat(&mut self) -> Result<(), End> {
        let done = *self.done.borrow();
        self.say(&json!({"op": op::HEARTBEAT, "d": done})).await
    }

    async fn say(&mut self, payload: &Value) -> Result<(), End> {
        let sending = self.socket.send(Message::Text(payload.to_string().into()));
        match tokio::time::timeout(GREETED_WITHIN, sending).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Dropped("the connection was cut")),
            Err(_) => Err(End::Dropped("the connection takes nothing")),
        }
    }
}

/// `None` for what is no frame of the gateway's protocol.
async fn next_frame(socket: &mut Socket) -> Result<Option<Frame>, End> {
    match socket.next().await {
        Some(Ok(Message::Text(text))) => Ok(serde_json::from_str(&text).ok()),
        Some(Ok(Message::Binary(bytes))) => Ok(serde_json::from_slice(&bytes).ok()),
        Some(Ok(Message::Close(Some(CloseFrame { code, .. })))) => Err(End::Closed(code.into())),
        Some(Ok(Message::Close(None))) | None => Err(End::Dropped("the connection was closed")),
        Some(Ok(_)) => Ok(None),
        Some(Err(_)) => Err(End::Dropped("the connection was cut")),
    }
}

/// Without the address: an operator may have put a password into it.
fn describe(error: &WebSocketError) -> String {
    match error {
        WebSocketError::Io(error) => error.to_string(),
        WebSocketError::Tls(error) => format!("TLS: {error}"),
        WebSocketError::Http(answer) => format!("HTTP {} instead of a websocket", answer.status().as_u16()),
        WebSocketError::Url(error) => format!("not an address: {error}"),
        _ => "no websocket there".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::AsyncWriteExt,
        net::TcpListener,
        sync::{mpsc, watch},
    };

    use super::{End, Opening, run};
    use crate::events::Snowflake;

    #[tokio::test]
    async fn a_peer_that_speaks_no_tls_is_a_failure_and_no_panic() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("wss://127.0.0.1:{}/", listener.local_addr().unwrap().port());
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream
                .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                .await
                .unwrap();
        });
        let opening = Opening {
            address: &address,
            token: &"MTE.a.b".to_owned().into(),
            own_user: Snowflake(1),
            session: None,
        };
        let (events, _waiting) = mpsc::channel(1);
        let (_done, far) = watch::channel(None);
        let end = run(opening, events, far).await;
        assert!(matches!(end, End::Unreachable(_)), "{end:?}");
    }
}
