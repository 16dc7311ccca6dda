use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bedside_contract::{
    Capabilities, Connector, ConnectorError, ConversationKey, DeliverError, InboxSeq, Initiative, Intake,
    LengthUnit, OutboxItem, Pace, PlatformMessageId,
};
use reqwest::Url;

use crate::{
    PLATFORM,
    events::Snowflake,
    failure::RestFailure,
    forgotten::Forgotten,
    format::MAX_LENGTH,
    gateway::Gateway,
    interactions::{OpenInteractions, Reply},
    outgoing::{Outgoing, part_nonce, preview_nonce},
    rest::Rest,
};

/// Discord, by its gateway and REST API. Made by [`crate::DiscordConfig::build`].
pub struct DiscordConnector {
    shared: Arc<Shared>,
    gateway_url: Option<Url>,
    register_commands: bool,
}

/// What receiving and sending share.
pub(crate) struct Shared {
    pub(crate) rest: Rest,
    pub(crate) interactions: OpenInteractions,
    pub(crate) forgotten: Forgotten,
}

impl DiscordConnector {
    pub(crate) fn new(rest: Rest, gateway_url: Option<Url>, register_commands: bool) -> Self {
        let interactions = OpenInteractions::default();
        Self {
            shared: Arc::new(Shared {
                rest,
                interactions,
                forgotten: Forgotten::default(),
            }),
            gateway_url,
            register_commands,
        }
    }

    /// Where a part goes that answers a slash command.
    async fn response_for(&self, item: &OutboxItem) -> Option<Reply> {
        // It cannot be edited before it is acknowledged.
        let open = self.shared.interactions.find(&item.conversation, item.seq).await;
        match &item.replaces {
            Some(shown) => Reply::from_message_id(shown).filter(Reply::is_editable),
            None => open,
        }
    }

    /// Writes into an interaction's response; `None` if it cannot be written into any more.
    async fn respond(
        &self,
        conversation: &ConversationKey,
        reply: &Reply,
        message: &Outgoing,
    ) -> Result<Option<Snowflake>, RestFailure> {
        match self.shared.rest.edit_response(reply, &message.edit()).await {
            Err(failure) if failure.is_interaction_gone() => {
                tracing::info!(problem = %failure, "A slash command can no longer be answered in its place.");
                self.shared.interactions.close(conversation, reply.interaction);
                Ok(None)
            }
            other => other.map(Some),
        }
    }

    async fn send(
        &self,
        conversation: &ConversationKey,
        message: &Outgoing,
        nonce: String,
    ) -> Result<Snowflake, RestFailure> {
        let channel = channel_of(conversation).ok_or_else(no_channel)?;
        match self.shared.rest.send(channel, &message.new_message(nonce)).await {
            Err(failure) if failure.is_private_chat_closed() => {
                let Some(reply) = self.shared.interactions.in_a_server(conversation) else {
                    return Err(failure);
                };
                self.shared.rest.follow_up(&reply, &message.follow_up()).await
            }
            other => other,
        }
    }

    async fn deliver_inner(&self, item: &OutboxItem, message: &Outgoing) -> Result<Snowflake, RestFailure> {
        let conversation = &item.conversation;
        if let Some(reply) = self.response_for(item).await {
            if let Some(made) = self.respond(conversation, &reply, message).await? {
                self.shared.interactions.close(conversation, reply.interaction);
                return Ok(made);
            }
        } else if let Some(shown) = item.replaces.as_ref().and_then(message_of) {
            let channel = channel_of(conversation).ok_or_else(no_channel)?;
            match self.shared.rest.edit(channel, shown, &message.edit()).await {
                Err(failure) if failure.is_message_gone() => {
                    tracing::info!(
                        seq = item.seq.0,
                        "The preview is gone; the answer goes out as a new message."
                    );
                }
                other => return other.map(|()| shown),
            }
        }
        self.send(conversation, message, part_nonce(&item.id)).await
    }

    async fn preview_inner(
        &self,
        conversation: &ConversationKey,
        seq: InboxSeq,
        shown: Option<&PlatformMessageId>,
        message: &Outgoing,
    ) -> Result<PlatformMessageId, RestFailure> {
        let channel = channel_of(conversation).ok_or_else(no_channel)?;
        if let Some(shown) = shown {
            if let Some(reply) = Reply::from_message_id(shown) {
                self.shared.interactions.find(conversation, seq).await;
                self.shared.rest.edit_response(&reply, &message.edit()).await?;
                self.shared.interactions.shown(conversation, reply.interaction);
            } else if let Some(id) = message_of(shown) {
                self.shared.rest.edit(channel, id, &message.edit()).await?;
            }
            return Ok(shown.clone());
        }
        if let Some(reply) = self.shared.interactions.find(conversation, seq).await
            && self.respond(conversation, &reply, message).await?.is_some()
        {
            self.shared.interactions.shown(conversation, reply.interaction);
            return Ok(reply.message_id());
        }
        self.send(conversation, message, preview_nonce(conversation, seq))
            .await
            .map(platform_id)
    }
}

#[async_trait]
impl Connector for DiscordConnector {
    fn platform(&self) -> &str {
        PLATFORM
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            edits: true,
            max_length: MAX_LENGTH,
            // Discord's API counts code points.
            length_unit: LengthUnit::Chars,
            buttons: true,
            rich_parts: false,
            pace: Pace {
                // Five messages and five edits in five seconds and channel are allowed.
                previews: Duration::from_millis(1200),
                // Discord shows it for 10 s.
                typing: Duration::from_secs(9),
                chat: Duration::from_secs(1),
                // 50 a second are allowed; a fifth is left for typing notices and the channels of servers.
                // Acknowledgements are not counted.
                platform: Duration::from_millis(25),
            },
            deadline: Some(Duration::from_secs(3)),
            initiative: Initiative::Bot,
            outside_operator: true,
        }
    }

    async fn run(&self, intake: Arc<dyn Intake>) -> Result<(), ConnectorError> {
        Gateway::new(
            &self.shared,
            intake.as_ref(),
            self.gateway_url.as_ref(),
            self.register_commands,
        )
        .run()
        .await
    }

    async fn typing(&self, conversation: &ConversationKey) {
        let Some(channel) = channel_of(conversation) else {
            return;
        };
        if let Err(failure) = self.shared.rest.typing(channel).await {
            tracing::debug!(problem = %failure, "The typing notice was not shown.");
        }
    }

    async fn preview(
        &self,
        conversation: &ConversationKey,
        seq: InboxSeq,
        shown: Option<&PlatformMessageId>,
        text: &str,
    ) -> Result<PlatformMessageId, DeliverError> {
        self.preview_inner(conversation, seq, shown, &Outgoing::from_preview(text))
            .await
            .map_err(|it| it.deliver_error())
    }

    fn settled(&self, _: &OutboxItem) {}

    fn forgotten(&self, conversation: &ConversationKey) {
        if let Some(channel) = channel_of(conversation) {
            self.shared.forgotten.add(channel);
        }
    }

    async fn deliver(&self, item: &OutboxItem) -> Result<PlatformMessageId, DeliverError> {
        let message = Outgoing::from_part(&item.part);
        if message.is_empty() {
            return Err(DeliverError::Permanent("the part has no words".to_owned()));
        }
        self.deliver_inner(item, &message)
            .await
            .map(platform_id)
            .map_err(|it| it.deliver_error())
    }
}

fn channel_of(conversation: &ConversationKey) -> Option<Snowflake> {
    conversation.chat().parse().ok().map(Snowflake)
}

fn no_channel() -> RestFailure {
    RestFailure::Refused {
        status: 0,
        code: 0,
        says: "the conversation has no discord channel id".to_owned(),
    }
}

/// An id that cannot be read belongs to no message of ours.
fn message_of(id: &PlatformMessageId) -> Option<Snowflake> {
    id.0.parse().ok().map(Snowflake)
}

fn platform_id(id: Snowflake) -> PlatformMessageId {
    PlatformMessageId(id.to_string())
}
