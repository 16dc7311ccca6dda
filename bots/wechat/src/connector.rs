use std::{
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bedside_contract::{
    Capabilities, Connector, ConnectorError, ConversationKey, DeliverError, InboxSeq, Initiative, Intake,
    LengthUnit, OutboxItem, Pace, PartKind, PlatformMessageId,
};
use bedside_kit::{ConnectionLimits, serve};

use crate::{
    PLATFORM,
    api::Api,
    config::wrong,
    gate::Gate,
    outgoing::{HINT_BYTES, MAX_BYTES, MENU_BYTES, plain},
    server::{Server, router},
    windows::{Note, Timing, Windows},
};

/// A WeChat Official Account. Made by [`crate::WechatConfig::build`].
pub struct WechatConnector {
    appid: String,
    path: String,
    gate: Arc<Gate>,
    replies: Sending,
    /// Taken when it serves, so that the port is closed as soon as it stops.
    listener: Mutex<Option<TcpListener>>,
    address: SocketAddr,
    timing: Timing,
}

enum Sending {
    Passive(Arc<Windows>),
    CustomerService(Box<Api>),
}

impl WechatConnector {
    pub(crate) fn new(
        appid: String,
        path: String,
        gate: Gate,
        api: Option<Api>,
        listener: TcpListener,
        timing: Timing,
    ) -> Result<Self, ConnectorError> {
        let address = listener
            .local_addr()
            .map_err(|error| wrong("listen", error.to_string()))?;
        let replies = match api {
            None => Sending::Passive(Arc::new(Windows::new(timing))),
            Some(api) => Sending::CustomerService(Box::new(api)),
        };
        Ok(Self {
            appid,
            path,
            gate: Arc::new(gate),
            replies,
            listener: Mutex::new(Some(listener)),
            address,
            timing,
        })
    }

    /// Where WeChat's requests are taken; the real port if the config said 0.
    #[must_use]
    pub fn local_address(&self) -> SocketAddr {
        self.address
    }
}

#[async_trait]
impl Connector for WechatConnector {
    fn platform(&self) -> &str {
        PLATFORM
    }

    fn capabilities(&self) -> Capabilities {
        let is_passive = matches!(self.replies, Sending::Passive(_));
        Capabilities {
            edits: false,
            max_length: MAX_BYTES - if is_passive { HINT_BYTES } else { MENU_BYTES },
            length_unit: LengthUnit::Bytes,
            buttons: !is_passive,
            rich_parts: false,
            pace: Pace {
                previews: Duration::ZERO,
                // WeChat refuses a second notice while one is shown, and one that comes 30 s after the
                // patient's message: once an answer is right.
                typing: Duration::from_secs(30),
                chat: Duration::ZERO,
                platform: if is_passive {
                    Duration::ZERO
                } else {
                    Duration::from_millis(10)
                },
            },
            deadline: Some(Duration::from_secs(5)),
            initiative: Initiative::Patient {
                messages: if is_passive { 1 } else { 5 },
            },
            outside_operator: true,
        }
    }

    /// Requests that are open when this future is dropped stay open, so that answers finished during the
    /// shutdown still reach their patients.
    async fn run(&self, intake: Arc<dyn Intake>) -> Result<(), ConnectorError> {
        let server = Arc::new(Server {
            appid: self.appid.clone(),
            gate: Arc::clone(&self.gate),
            intake,
            windows: match &self.replies {
                Sending::Passive(windows) => Some(Arc::clone(windows)),
                Sending::CustomerService(_) => None,
            },
            timing: self.timing,
        });
        let listener = self
            .listener
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let listener = listener.ok_or_else(|| wrong("listen", "it has been served already".to_owned()))?;
        tracing::info!(address = %self.address, path = self.path, "WeChat's requests are taken.");
        serve(
            "wechat.listen",
            listener,
            router(server, &self.path),
            // All of WeChat's requests come from a few addresses.
            ConnectionLimits {
                per_address: usize::MAX,
                ..ConnectionLimits::default()
            },
        )
        .await
    }

    async fn typing(&self, conversation: &ConversationKey) {
        if let Sending::CustomerService(api) = &self.replies {
            api.typing(conversation.chat()).await;
        }
    }

    async fn preview(
        &self,
        _conversation: &ConversationKey,
        _seq: InboxSeq,
        _shown: Option<&PlatformMessageId>,
        _text: &str,
    ) -> Result<PlatformMessageId, DeliverError> {
        Err(DeliverError::Permanent(
            "wechat cannot change messages".to_owned(),
        ))
    }

    fn settled(&self, _: &OutboxItem) {}

    async fn deliver(&self, item: &OutboxItem) -> Result<PlatformMessageId, DeliverError> {
        match &self.replies {
            Sending::Passive(windows) => windows
                .hand_over(Note {
                    conversation: item.conversation.clone(),
                    seq: item.seq,
                    text: plain(&item.part, MAX_BYTES - HINT_BYTES),
                    language: item.part.language,
                    more: item.part.more,
                    is_emergency: item.part.kind == PartKind::Emergency,
                })
                .await
                .map_err(|reason| DeliverError::PatientFirst(reason.to_string()))?,
            Sending::CustomerService(api) => api
                .send(item.conversation.chat(), &item.part)
                .await
                .map_err(|failure| failure.deliver_error())?,
        }
        Ok(PlatformMessageId(item.id.0.clone()))
    }
}
