use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bedside_contract::{
    Capabilities, Connector, ConnectorError, ConversationKey, DeliverError, InboxSeq, Initiative, Intake,
    LengthUnit, OutboxItem, Pace, PlatformMessageId,
};
use teloxide::{
    Bot, RequestError,
    payloads::{EditMessageTextSetters, SendChatActionSetters, SendMessageSetters},
    requests::{Requester, ResponseResult},
    types::{ChatAction, InlineKeyboardMarkup, LinkPreviewOptions, Message, MessageId, ParseMode},
};

use crate::{
    PLATFORM,
    chat::Chat,
    failure::{
        deliver_error, describe, is_gone, is_not_modified, is_topic_gone, may_be_markup,
        succeeded_all_the_same,
    },
    format::{MAX_LENGTH, Outgoing, cut},
    polling::Polling,
};

/// Telegram, by long polling. Made by [`crate::TelegramConfig::build`].
pub struct TelegramConnector {
    /// Short requests.
    bot: Bot,
    /// The same bot with a client that waits as long as a poll takes.
    polling_bot: Bot,
    poll_timeout: Duration,
}

impl TelegramConnector {
    pub(crate) fn new(bot: Bot, polling_bot: Bot, poll_timeout: Duration) -> Self {
        Self {
            bot,
            polling_bot,
            poll_timeout,
        }
    }

    /// One message, as plain text where its markup is refused.
    async fn send(&self, chat: Chat, message: &Outgoing) -> Result<PlatformMessageId, RequestError> {
        if let Some(html) = &message.html {
            match self
                .send_as(chat, html, Some(ParseMode::Html), message.keyboard.clone())
                .await
            {
                Err(error) if may_be_markup(&error) => warn_of_markup(&error),
                other => return other,
            }
        }
        self.send_as(chat, &message.plain, None, message.keyboard.clone())
            .await
    }

    async fn edit(
        &self,
        chat: Chat,
        id: MessageId,
        message: &Outgoing,
    ) -> Result<PlatformMessageId, RequestError> {
        if let Some(html) = &message.html {
            match self
                .edit_as(chat, id, html, Some(ParseMode::Html), message.keyboard.clone())
                .await
            {
                Err(error) if may_be_markup(&error) && !is_gone(&error) => warn_of_markup(&error),
                other => return other,
            }
        }
        self.edit_as(chat, id, &message.plain, None, message.keyboard.clone())
            .await
    }

    /// Where the patient wrote, or in the chat itself if that topic is gone: they must be told all the same.
    async fn send_as(
        &self,
        chat: Chat,
        text: &str,
        markup: Option<ParseMode>,
        keyboard: Option<InlineKeyboardMarkup>,
    ) -> Result<PlatformMessageId, RequestError> {
        match self.send_to(chat, text, markup, keyboard.clone()).await {
            Err(error) if chat.topic.is_some() && is_topic_gone(&error) => {
                tracing::info!(
                    problem = describe(&error),
                    "The topic cannot be written to, the message goes to the chat itself."
                );
                self.send_to(chat.without_topic(), text, markup, keyboard).await
            }
            other => other,
        }
    }

    async fn send_to(
        &self,
        chat: Chat,
        text: &str,
        markup: Option<ParseMode>,
        keyboard: Option<InlineKeyboardMarkup>,
    ) -> Result<PlatformMessageId, RequestError> {
        let mut request = self
            .bot
            .send_message(chat.id, text)
            .link_preview_options(no_link_preview());
        if let Some(topic) = chat.topic {
            request = request.message_thread_id(topic);
        }
        if let Some(markup) = markup {
            request = request.parse_mode(markup);
        }
        if let Some(keyboard) = keyboard {
            request = request.reply_markup(keyboard);
        }
        made(request.await)
    }

    /// A message keeps its topic: Telegram wants its id only.
    async fn edit_as(
        &self,
        chat: Chat,
        id: MessageId,
        text: &str,
        markup: Option<ParseMode>,
        keyboard: Option<InlineKeyboardMarkup>,
    ) -> Result<PlatformMessageId, RequestError> {
        let mut request = self
            .bot
            .edit_message_text(chat.id, id, text)
            .link_preview_options(no_link_preview());
        if let Some(markup) = markup {
            request = request.parse_mode(markup);
        }
        if let Some(keyboard) = keyboard {
            request = request.reply_markup(keyboard);
        }
        match request.await {
            Err(error) if is_not_modified(&error) => Ok(platform_id(id)),
            other => made(other),
        }
    }
}

#[async_trait]
impl Connector for TelegramConnector {
    fn platform(&self) -> &str {
        PLATFORM
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            edits: true,
            max_length: MAX_LENGTH,
            length_unit: LengthUnit::Utf16,
            buttons: true,
            rich_parts: false,
            pace: Pace {
                // About one message a second and chat is allowed, edits included, and 30 a second in all.
                previews: Duration::from_millis(1200),
                // Telegram shows it for 5 s.
                typing: Duration::from_millis(4500),
                chat: Duration::from_secs(1),
                platform: Duration::from_millis(35),
            },
            deadline: None,
            initiative: Initiative::Bot,
            outside_operator: true,
        }
    }

    async fn run(&self, intake: Arc<dyn Intake>) -> Result<(), ConnectorError> {
        Polling::new(&self.bot, &self.polling_bot, self.poll_timeout, intake.as_ref())
            .run()
            .await
    }

    async fn typing(&self, conversation: &ConversationKey) {
        let Ok(chat) = chat_of(conversation) else { return };
        let mut request = self.bot.send_chat_action(chat.id, ChatAction::Typing);
        if let Some(topic) = chat.topic {
            request = request.message_thread_id(topic);
        }
        if let Err(error) = request.await {
            tracing::debug!(problem = describe(&error), "the typing notice was not shown");
        }
    }

    async fn preview(
        &self,
        conversation: &ConversationKey,
        _seq: InboxSeq,
        shown: Option<&PlatformMessageId>,
        text: &str,
    ) -> Result<PlatformMessageId, DeliverError> {
        let chat = chat_of(conversation)?;
        let text = cut(text);
        let result = match shown {
            None => self.send_as(chat, &text, None, None).await,
            Some(shown) => self.edit_as(chat, message_of(shown)?, &text, None, None).await,
        };
        result.map_err(|error| deliver_error(&error))
    }

    fn settled(&self, _: &OutboxItem) {}

    async fn deliver(&self, item: &OutboxItem) -> Result<PlatformMessageId, DeliverError> {
        let chat = chat_of(&item.conversation)?;
        let message = Outgoing::from_part(&item.part);
        if message.plain.trim().is_empty() {
            return Err(DeliverError::Permanent("the part has no words".to_owned()));
        }
        // An id that cannot be read belongs to no message of ours: nothing to edit.
        if let Some(shown) = item.replaces.as_ref().and_then(|it| message_of(it).ok()) {
            match self.edit(chat, shown, &message).await {
                Err(error) if is_gone(&error) => {
                    tracing::info!(
                        seq = item.seq.0,
                        "the preview is gone, the answer goes out as a new message"
                    );
                }
                other => return other.map_err(|error| deliver_error(&error)),
            }
        }
        self.send(chat, &message)
            .await
            .map_err(|error| deliver_error(&error))
    }
}

fn made(result: ResponseResult<Message>) -> Result<PlatformMessageId, RequestError> {
    match result {
        Ok(message) => Ok(platform_id(message.id)),
        Err(error) => succeeded_all_the_same(&error)
            .map(|id| PlatformMessageId(id.to_string()))
            .ok_or(error),
    }
}

fn chat_of(conversation: &ConversationKey) -> Result<Chat, DeliverError> {
    let unreadable = || DeliverError::Permanent("the conversation has no telegram chat id".to_owned());
    conversation.chat().parse().map_err(|_| unreadable())
}

fn message_of(id: &PlatformMessageId) -> Result<MessageId, DeliverError> {
    let unreadable = || DeliverError::Permanent("not a telegram message id".to_owned());
    id.0.parse().map(MessageId).map_err(|_| unreadable())
}

fn platform_id(id: MessageId) -> PlatformMessageId {
    PlatformMessageId(id.0.to_string())
}

fn no_link_preview() -> LinkPreviewOptions {
    LinkPreviewOptions {
        is_disabled: true,
        url: None,
        prefer_small_media: false,
        prefer_large_media: false,
        show_above_text: false,
    }
}

fn warn_of_markup(error: &RequestError) {
    tracing::warn!(
        problem = describe(error),
        "telegram refused the markup, sending plain text"
    );
}
