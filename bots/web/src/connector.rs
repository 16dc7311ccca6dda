use std::{
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use axum::Router;
use bedside_contract::{
    Capabilities, Connector, ConnectorError, ConversationKey, DeliverError, InboxSeq, Initiative, Intake,
    LengthUnit, OutboxItem, Pace, PlatformMessageId,
};
use bedside_kit::{KeyedLimit, serve, wrong};
use tokio_util::sync::CancellationToken;

use crate::{
    config::{Limits, WebConfig, WebContext},
    guard::Hosts,
    openai::{Access, Api},
    page::Page,
    rooms::{Rooms, Signal},
    server::{Server, router},
    session::SessionCookies,
};

/// The chat page. Made by [`WebConfig::build`].
pub struct WebConnector {
    config: WebConfig,
    context: WebContext,
    /// Taken when it serves, so that the port is closed as soon as it stops.
    listener: Mutex<Option<TcpListener>>,
    address: SocketAddr,
    cookies: SessionCookies,
    hosts: Hosts,
    api_access: Access,
    limits: Limits,
    rooms: Arc<Rooms>,
    further_routes: Router,
}

impl WebConnector {
    #[expect(
        clippy::too_many_arguments,
        reason = "each is a part of one server, made in one place"
    )]
    pub(crate) fn new(
        config: WebConfig,
        context: WebContext,
        listener: TcpListener,
        address: SocketAddr,
        cookies: SessionCookies,
        hosts: Hosts,
        api_access: Access,
        limits: Limits,
    ) -> Self {
        let rooms = Arc::new(Rooms::new(
            config.max_open_pages,
            config.max_open_pages_per_address,
        ));
        Self {
            config,
            context,
            listener: Mutex::new(Some(listener)),
            address,
            cookies,
            hosts,
            api_access,
            limits,
            rooms,
            further_routes: Router::new(),
        }
    }

    /// Where the page is served; the real port if the config said 0.
    #[must_use]
    pub fn local_address(&self) -> SocketAddr {
        self.address
    }

    /// Serves further paths on the same port, behind the same check of the `Host` header.
    #[must_use]
    pub fn with_routes(mut self, routes: Router) -> Self {
        self.further_routes = self.further_routes.merge(routes);
        self
    }
}

#[async_trait]
impl Connector for WebConnector {
    fn platform(&self) -> &str {
        "web"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            edits: true,
            max_length: 20_000,
            length_unit: LengthUnit::Chars,
            buttons: true,
            rich_parts: true,
            pace: Pace {
                previews: Duration::from_millis(100),
                typing: Duration::from_secs(4),
                chat: Duration::ZERO,
                platform: Duration::ZERO,
            },
            deadline: None,
            initiative: Initiative::Bot,
            outside_operator: false,
        }
    }

    async fn run(&self, intake: Arc<dyn Intake>) -> Result<(), ConnectorError> {
        let stop = CancellationToken::new();
        // Connections outlive this future, so they are told when it is dropped.
        let _stop_when_dropped = stop.clone().drop_guard();
        let api = Api::new(
            &self.config.api,
            self.api_access.clone(),
            self.context.generator.clone(),
            self.limits.connections.proxies.clone(),
            Arc::clone(&intake),
            stop.clone(),
        );
        let server = Arc::new(Server {
            ready: Arc::clone(&self.context.ready),
            hospital_name: Arc::clone(&self.context.hospital_name),
            page: Page::new(self.config.kiosk_minutes),
            intake,
            rooms: Arc::clone(&self.rooms),
            cookies: self.cookies,
            hosts: self.hosts.clone(),
            messages: KeyedLimit::per_minute(self.limits.messages),
            messages_of_address: KeyedLimit::per_minute(self.limits.messages_of_address),
            proxies: self.limits.connections.proxies.clone(),
            stop,
        });
        let listener = self
            .listener
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let listener = listener.ok_or_else(|| wrong("web.listen", "it has been served already"))?;
        let router = router(server, api, self.further_routes.clone());
        serve("web.listen", listener, router, self.limits.connections.clone()).await
    }

    async fn typing(&self, conversation: &ConversationKey) {
        self.rooms.send(conversation, Signal::Typing);
    }

    async fn preview(
        &self,
        conversation: &ConversationKey,
        seq: InboxSeq,
        shown: Option<&PlatformMessageId>,
        text: &str,
    ) -> Result<PlatformMessageId, DeliverError> {
        self.rooms.send(
            conversation,
            Signal::Preview {
                seq,
                text: text.into(),
            },
        );
        Ok(shown
            .cloned()
            .unwrap_or_else(|| PlatformMessageId(format!("preview-{seq}"))))
    }

    /// The part is in the store already, from where pages read it as soon as it is [`settled`](Connector::settled).
    async fn deliver(&self, item: &OutboxItem) -> Result<PlatformMessageId, DeliverError> {
        Ok(PlatformMessageId(item.id.0.clone()))
    }

    fn settled(&self, item: &OutboxItem) {
        self.rooms
            .send(&item.conversation, Signal::Delivered { seq: item.seq });
    }
}
