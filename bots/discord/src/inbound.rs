//! From events to the inbox: committed in order, then acknowledged.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    num::NonZeroU32,
    sync::Arc,
    time::Duration,
};

use bedside_contract::{ConversationKey, Intake, Receipt, StoreError, Update, UpdateKind};
use bedside_kit::KeyedLimit;
use futures::future::join_all;
use tokio::sync::{mpsc, watch};

use crate::{
    PLATFORM,
    acknowledge::{Acknowledgement, acknowledge, pass_over, refuse},
    backfill::missed_messages,
    connection::Dispatch,
    connector::Shared,
    events::{Event, Interaction, InteractionKind, Mention, PrivateMessage, Ready, Snowflake},
    groups,
    outgoing::Outgoing,
    session::{Progress, Session},
};

/// Events committed together, when they come faster than they are stored.
const MOST_AT_ONCE: usize = 64;

/// Events without a meaning for us move the stored place only now and then.
const PLACES_UNSTORED: u64 = 200;

/// Numbers remembered of what must not be taken twice.
const REMEMBERED: usize = 1024;

/// The rest of Discord's three seconds is for storing and acknowledging.
const CHAT_FOUND_WITHIN: Duration = Duration::from_millis(1500);

const STORE_TRIED_AGAIN_AFTER: Duration = Duration::from_secs(1);

pub(crate) struct Inbound<'a> {
    shared: &'a Arc<Shared>,
    intake: &'a dyn Intake,
    application: Snowflake,
    own_user: Snowflake,
    pub(crate) progress: Progress,
    stored_seq: u64,
    private_channels: HashMap<Snowflake, Snowflake>,
    /// Messages one of whose buttons was pressed: the first press counts.
    pressed: Remembered,
    /// Interactions whose user was asked to send them again: a replay must not take them too.
    refused: Remembered,
    /// Channels that were told lately to write in private.
    notices: KeyedLimit<Snowflake>,
}

/// The last few numbers of a kind.
#[derive(Default)]
struct Remembered {
    known: HashSet<Snowflake>,
    in_order: VecDeque<Snowflake>,
}

/// What is committed at once.
struct Batch {
    updates: Vec<Update>,
    /// With the place of its update.
    interactions: Vec<(usize, Taken)>,
    mentions: Vec<Mention>,
    progress: Progress,
    seq: Option<u64>,
}

/// An interaction on its way into the inbox.
struct Taken {
    interaction: Interaction,
    conversation: ConversationKey,
}

impl<'a> Inbound<'a> {
    pub(crate) fn new(
        shared: &'a Arc<Shared>,
        intake: &'a dyn Intake,
        application: Snowflake,
        own_user: Snowflake,
        progress: Progress,
    ) -> Self {
        Self {
            shared,
            intake,
            application,
            own_user,
            stored_seq: progress.session.as_ref().map_or(0, |it| it.seq),
            progress,
            private_channels: HashMap::new(),
            pressed: Remembered::default(),
            refused: Remembered::default(),
            notices: KeyedLimit::per_minute(NonZeroU32::MIN),
        }
    }

    /// Takes what comes until the connection has ended and all of it is stored.
    ///
    /// # Errors
    /// [`StoreError`]: the events since the last commit are not stored and have to be replayed.
    pub(crate) async fn run(
        &mut self,
        mut events: mpsc::Receiver<Dispatch>,
        done: &watch::Sender<Option<u64>>,
    ) -> Result<(), StoreError> {
        let mut held = None;
        loop {
            let first = match held.take() {
                Some(first) => first,
                None => {
                    let shared = self.shared;
                    tokio::select! {
                        biased;
                        first = events.recv() => match first {
                            Some(first) => first,
                            None => return Ok(()),
                        },
                        () = shared.forgotten.added() => {
                            self.store_without_forgotten().await?;
                            continue;
                        }
                    }
                }
            };
            if let Event::Ready(ready) = first.event {
                self.begin(ready, first.seq.unwrap_or_default()).await?;
            } else {
                let mut dispatches = vec![first];
                while dispatches.len() < MOST_AT_ONCE
                    && let Ok(next) = events.try_recv()
                {
                    if matches!(next.event, Event::Ready(_)) {
                        held = Some(next);
                        break;
                    }
                    dispatches.push(next);
                }
                self.take(dispatches).await?;
            }
            done.send_replace(self.progress.session.as_ref().map(|it| it.seq));
        }
    }

    /// A new session: what came in between is read from the history, before anything newer.
    async fn begin(&mut self, ready: Ready, seq: u64) -> Result<(), StoreError> {
        // Until then the store knows no session, so that a crash within the history leads back to it.
        self.progress.session = None;
        self.drop_forgotten();
        let known = self.progress.channels.clone();
        let mut found = 0;
        for (channel, newest) in known {
            let missed = missed_messages(&self.shared.rest, self.own_user, channel, newest).await;
            found += missed.len();
            for messages in chunks(missed) {
                let mut batch = self.empty_batch();
                for message in messages {
                    self.add_message(message, &mut batch);
                }
                self.commit_for_certain(batch).await?;
            }
        }
        let mut batch = self.empty_batch();
        batch.progress.session = Some(Session {
            session_id: ready.session_id,
            resume_gateway_url: ready.resume_gateway_url,
            seq,
        });
        self.commit_for_certain(batch).await?;
        self.stored_seq = seq;
        tracing::info!(missed = found, "Discord is connected, with a new session.");
        Ok(())
    }

    async fn commit_for_certain(&mut self, batch: Batch) -> Result<(), StoreError> {
        loop {
            let cursor = batch.progress.cursor(self.application);
            match self.intake.accept(batch.updates.clone(), Some(cursor)).await {
                Ok(_) => break,
                Err(broken @ StoreError::Broken(_)) => return Err(broken),
                Err(error) => {
                    tracing::error!(%error, "Missed messages were not stored, trying again.");
                    tokio::time::sleep(STORE_TRIED_AGAIN_AFTER).await;
                }
            }
        }
        self.progress = batch.progress;
        Ok(())
    }

    async fn take(&mut self, dispatches: Vec<Dispatch>) -> Result<(), StoreError> {
        let mut batch = self.empty_batch();
        for Dispatch { seq, event } in dispatches {
            if let Some(seq) = seq {
                batch.progress.advance(seq);
                batch.seq = Some(seq);
            }
            match event {
                Event::Message(message) => self.add_message(message, &mut batch),
                Event::Edited(message, edited) => self.add_edit(message, &edited, &mut batch),
                Event::Interaction(interaction) => self.add_interaction(interaction, &mut batch).await,
                Event::Mentioned(mention) => batch.mentions.push(mention),
                Event::Resumed => tracing::info!("Discord is connected, and its session goes on."),
                Event::Ready(_) | Event::Other => {}
            }
        }
        let seq = batch.seq.unwrap_or_default();
        if batch.updates.is_empty() && seq < self.stored_seq + PLACES_UNSTORED {
            self.progress = batch.progress;
        } else {
            let cursor = batch.progress.cursor(self.application);
            let receipts = match self.intake.accept(batch.updates, Some(cursor)).await {
                Ok(receipts) => receipts,
                Err(error) => {
                    self.refuse_all(batch.interactions).await;
                    return Err(error);
                }
            };
            self.progress = batch.progress;
            self.stored_seq = seq.max(self.stored_seq);
            for (place, taken) in batch.interactions {
                if let Some(receipt) = receipts.get(place) {
                    self.after_commit(taken, *receipt);
                }
            }
        }
        for mention in batch.mentions {
            self.answer_channel(mention);
        }
        Ok(())
    }

    /// A deleted conversation leaves the stored place at once, not with the next event.
    async fn store_without_forgotten(&mut self) -> Result<(), StoreError> {
        self.drop_forgotten();
        let cursor = self.progress.cursor(self.application);
        self.intake.accept(Vec::new(), Some(cursor)).await?;
        self.stored_seq = self.progress.session.as_ref().map_or(0, |it| it.seq);
        Ok(())
    }

    fn drop_forgotten(&mut self) {
        for channel in self.shared.forgotten.take() {
            self.progress.channels.remove(&channel);
            self.private_channels.retain(|_, it| *it != channel);
        }
    }

    fn empty_batch(&mut self) -> Batch {
        self.drop_forgotten();
        Batch {
            updates: Vec::new(),
            interactions: Vec::new(),
            mentions: Vec::new(),
            progress: self.progress.clone(),
            seq: None,
        }
    }

    fn add_message(&self, message: PrivateMessage, batch: &mut Batch) {
        batch.progress.heard(message.channel, message.id);
        if let Some(what) = message.beside_words {
            let what = UpdateKind::Unreadable {
                what: what.to_owned(),
            };
            let id = format!("{}:attachment", message.id);
            batch.updates.push(self.update(&message, id, what));
        }
        let kind = message.kind.clone();
        batch
            .updates
            .push(self.update(&message, message.id.to_string(), kind));
    }

    /// The question that an edit changes is answered already or in work; an emergency that it adds is not.
    fn add_edit(&self, message: PrivateMessage, edited: &str, batch: &mut Batch) {
        let id = format!("{}:{edited}", message.id);
        let update = self.update(&message, id, message.kind.clone());
        let words = update.text().unwrap_or_default();
        if self.intake.emergency_notice(words, None).is_some() {
            batch.updates.push(update);
        }
    }

    fn update(&self, message: &PrivateMessage, external_id: String, kind: UpdateKind) -> Update {
        Update {
            platform: PLATFORM.to_owned(),
            bot: self.application.to_string(),
            external_id,
            conversation: self.conversation(message.channel),
            sender: message.user.to_string(),
            language_hint: None,
            answer_in: None,
            kind,
        }
    }

    async fn add_interaction(&mut self, interaction: Interaction, batch: &mut Batch) {
        if self.refused.contains(interaction.reply.interaction) {
            return;
        }
        if let InteractionKind::Press {
            message: Some(message),
            ..
        } = &interaction.kind
        {
            // Pressed twice within one batch, too.
            let in_batch = |(_, it): &(usize, Taken)| it.pressed_message() == Some(*message);
            if self.pressed.contains(*message) || batch.interactions.iter().any(in_batch) {
                tokio::spawn(pass_over(Arc::clone(self.shared), interaction.reply));
                return;
            }
        }
        let Some(channel) = self.private_channel(&interaction).await else {
            self.refused.add(interaction.reply.interaction);
            let language = interaction.language.unwrap_or_default();
            let number = self.intake.emergency_number();
            refuse(self.shared, &interaction.reply, language, &number).await;
            return;
        };
        let conversation = self.conversation(channel);
        let kind = match &interaction.kind {
            InteractionKind::Command { text } => UpdateKind::Text { text: text.clone() },
            InteractionKind::Press { data, .. } => UpdateKind::Choice { data: data.clone() },
        };
        // The history knows messages only: an interaction marks where a chat that is new to us begins.
        if !batch.progress.channels.contains_key(&channel) {
            batch.progress.heard(channel, interaction.reply.interaction);
        }
        let place = batch.updates.len();
        let answer_in = matches!(interaction.kind, InteractionKind::Command { .. })
            .then(|| interaction.reply.message_id());
        batch.updates.push(Update {
            platform: PLATFORM.to_owned(),
            bot: self.application.to_string(),
            external_id: interaction.reply.interaction.to_string(),
            conversation: conversation.clone(),
            sender: interaction.user.to_string(),
            language_hint: interaction.language,
            answer_in,
            kind,
        });
        let taken = Taken {
            interaction,
            conversation,
        };
        // One that is noted already was delivered twice: the first one is acknowledged.
        let is_first = !taken.is_deferred()
            || self
                .shared
                .interactions
                .open(&taken.conversation, &taken.interaction.reply);
        if is_first {
            batch.interactions.push((place, taken));
        }
    }

    /// The chat that an interaction belongs to, also if it happened in a server.
    async fn private_channel(&mut self, interaction: &Interaction) -> Option<Snowflake> {
        if let Some(channel) = interaction.private_channel {
            return Some(channel);
        }
        if let Some(channel) = self.private_channels.get(&interaction.user) {
            return Some(*channel);
        }
        let asking = self.shared.rest.private_channel(interaction.user);
        match tokio::time::timeout(CHAT_FOUND_WITHIN, asking).await {
            Ok(Ok(channel)) => {
                if self.private_channels.len() >= REMEMBERED {
                    self.private_channels.clear();
                }
                self.private_channels.insert(interaction.user, channel);
                return Some(channel);
            }
            Ok(Err(failure)) => tracing::warn!(problem = %failure, "A user's private chat was not found."),
            Err(_) => tracing::warn!("A user's private chat was not found in time."),
        }
        None
    }

    async fn refuse_all(&mut self, interactions: Vec<(usize, Taken)>) {
        for (_, taken) in &interactions {
            let id = taken.interaction.reply.interaction;
            self.refused.add(id);
            self.shared.interactions.close(&taken.conversation, id);
        }
        let number = self.intake.emergency_number();
        let number = number.as_str();
        join_all(interactions.iter().map(|(_, taken)| {
            let language = taken.interaction.language.unwrap_or_default();
            refuse(self.shared, &taken.interaction.reply, language, number)
        }))
        .await;
    }

    fn after_commit(&mut self, taken: Taken, receipt: Receipt) {
        if let Some(message) = taken.pressed_message() {
            self.pressed.add(message);
        }
        let ephemeral = taken.interaction.private_channel.is_none();
        let is_deferred = taken.is_deferred();
        let Taken {
            interaction,
            conversation,
        } = taken;
        let interactions = &self.shared.interactions;
        if ephemeral {
            interactions.came_from_a_server(&conversation, &interaction.reply);
        }
        let acknowledgement = match interaction.kind {
            InteractionKind::Press { data, label, .. } if !is_deferred => {
                Acknowledgement::Pressed { data, label }
            }
            _ => {
                interactions.accepted(&conversation, interaction.reply.interaction, receipt.seq);
                Acknowledgement::Deferred { ephemeral }
            }
        };
        tokio::spawn(acknowledge(
            Arc::clone(self.shared),
            conversation,
            interaction.reply,
            acknowledgement,
            receipt.seq,
            interaction.language.unwrap_or_default(),
        ));
    }

    fn answer_channel(&mut self, mention: Mention) {
        if self.notices.take(&mention.channel).is_err() {
            return;
        }
        let sentence = groups::sentence(mention.language, &self.intake.emergency_number());
        let shared = Arc::clone(self.shared);
        let message = Outgoing::from_sentence(&sentence).new_message(mention.message.to_string());
        tokio::spawn(async move {
            if let Err(failure) = shared.rest.send(mention.channel, &message).await {
                tracing::debug!(problem = %failure, "A channel was not told to write in private.");
            }
        });
    }

    fn conversation(&self, channel: Snowflake) -> ConversationKey {
        ConversationKey::new(PLATFORM, &self.application.to_string(), &channel.to_string())
    }
}

impl Taken {
    fn pressed_message(&self) -> Option<Snowflake> {
        match self.interaction.kind {
            InteractionKind::Press { message, .. } => message,
            InteractionKind::Command { .. } => None,
        }
    }

    /// Whether the answer takes the place of "thinking …": of a command, and of a button in a server, where
    /// nobody else may read it.
    fn is_deferred(&self) -> bool {
        let is_command = matches!(self.interaction.kind, InteractionKind::Command { .. });
        is_command || self.interaction.private_channel.is_none()
    }
}

impl Remembered {
    fn contains(&self, id: Snowflake) -> bool {
        self.known.contains(&id)
    }

    fn add(&mut self, id: Snowflake) {
        if self.known.insert(id) {
            self.in_order.push_back(id);
        }
        if self.in_order.len() > REMEMBERED
            && let Some(oldest) = self.in_order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

fn chunks(messages: Vec<PrivateMessage>) -> impl Iterator<Item = Vec<PrivateMessage>> {
    let mut messages = messages.into_iter();
    std::iter::from_fn(move || {
        let chunk: Vec<_> = messages.by_ref().take(MOST_AT_ONCE).collect();
        (!chunk.is_empty()).then_some(chunk)
    })
}
