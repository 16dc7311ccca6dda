//! T2, and what a conversation remembers.

use bedside_contract::{
    ConversationKey, ConversationSettings, ConversationState, FinishedTurn, InboxSeq, PlatformMessageId,
    StoreError, Turn, TurnRole, TurnState,
};
use rusqlite::{Connection, OptionalExtension, params};
use uuid::Uuid;

use super::{
    error::{OperationError, failed, read_json, write_json},
    forget::hide_external_id,
    pseudonyms::Pseudonyms,
};

/// A finished turn with its parts and settings as they go into the file.
pub(super) struct EncodedTurn {
    turn: FinishedTurn,
    parts: Vec<String>,
    settings: Option<String>,
}

impl EncodedTurn {
    pub(super) fn new(mut turn: FinishedTurn) -> Result<Self, StoreError> {
        let parts = turn
            .parts
            .drain(..)
            .map(|part| write_json(&part, "a part"))
            .collect::<Result<_, _>>()?;
        let settings = turn
            .settings
            .take()
            .map(|it| write_json(&it, "the settings"))
            .transpose()?;
        Ok(Self {
            turn,
            parts,
            settings,
        })
    }
}

/// How a turn ended in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// Nothing was written.
    LeaseLost,
    Kept,
    /// Its conversation was deleted meanwhile: only what it answers is there.
    Forgotten,
}

pub(super) fn finish(
    connection: &Connection,
    pseudonyms: &Pseudonyms,
    owner: &str,
    finished: &EncodedTurn,
    now_ms: i64,
) -> Result<Ended, OperationError> {
    let turn = &finished.turn;
    let conversation = turn.conversation.as_str();
    let state = match turn.state {
        TurnState::Done => "done",
        TurnState::Dead => "dead",
    };
    let ended = connection
        .prepare_cached(
            "UPDATE inbox SET state = ?1, lease_owner = NULL,
                 body = CASE WHEN forget THEN NULL ELSE body END,
                 chat_key = CASE WHEN forget THEN '' ELSE chat_key END
             WHERE seq = ?2 AND chat_key = ?3 AND state = 'leased' AND lease_owner = ?4
             RETURNING forget",
        )?
        .query_row(params![state, turn.seq.0, conversation, owner], |row| {
            row.get::<_, bool>(0)
        })
        .optional()?;
    let Some(forget) = ended else {
        return Ok(Ended::LeaseLost);
    };
    if forget {
        hide_external_id(connection, pseudonyms, turn.seq.0)?;
    }

    // Words that were in work while the conversation was deleted do not come back into its memory.
    let turns: &[Turn] = if forget { &[] } else { &turn.turns };
    if turn.reset || !turns.is_empty() || finished.settings.is_some() {
        remember(connection, turn, turns, finished.settings.as_deref())?;
    }
    let preview = take_preview(connection, turn.seq)?;
    for (number, body) in (0_i64..).zip(&finished.parts) {
        connection
            .prepare_cached(
                "INSERT INTO outbox (id, chat_key, inbox_seq, part, body, urgent, replaces, created_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute(params![
                Uuid::now_v7().to_string(),
                conversation,
                turn.seq.0,
                number,
                body,
                turn.urgent,
                if number == 0 { preview.as_deref() } else { None },
                now_ms,
            ])?;
        connection
            .prepare_cached("INSERT INTO said (chat_key, inbox_seq, part) VALUES (?1, ?2, ?3)")?
            .execute(params![conversation, turn.seq.0, number])?;
    }
    Ok(if forget { Ended::Forgotten } else { Ended::Kept })
}

fn remember(
    connection: &Connection,
    finished: &FinishedTurn,
    turns: &[Turn],
    settings: Option<&str>,
) -> Result<(), OperationError> {
    let conversation = finished.conversation.as_str();
    connection
        .prepare_cached("INSERT INTO chat (chat_key) VALUES (?1) ON CONFLICT (chat_key) DO NOTHING")?
        .execute([conversation])?;
    if let Some(settings) = settings {
        connection
            .prepare_cached("UPDATE chat SET settings = ?2 WHERE chat_key = ?1")?
            .execute([conversation, settings])?;
    }
    if finished.reset {
        connection
            .prepare_cached("UPDATE chat SET first_turn = next_turn WHERE chat_key = ?1")?
            .execute([conversation])?;
    }
    for turn in turns {
        let n: i64 = connection
            .prepare_cached(
                "UPDATE chat SET next_turn = next_turn + 1 WHERE chat_key = ?1 RETURNING next_turn - 1",
            )?
            .query_row([conversation], |row| row.get(0))?;
        let role = match turn.role {
            TurnRole::Patient => "patient",
            TurnRole::Bot => "bot",
        };
        let made_by = turn
            .made_by
            .as_ref()
            .map(|it| write_json(it, "what made an answer"));
        let made_by = made_by.transpose().map_err(OperationError::Refused)?;
        connection
            .prepare_cached(
                "INSERT INTO turn (chat_key, n, role, body, inbox_seq, made_by)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![conversation, n, role, turn.text, finished.seq.0, made_by])?;
    }
    Ok(())
}

fn take_preview(connection: &Connection, seq: InboxSeq) -> Result<Option<String>, OperationError> {
    let preview = connection
        .prepare_cached("DELETE FROM preview WHERE inbox_seq = ?1 RETURNING platform_msg_id")?
        .query_row([seq.0], |row| row.get(0))
        .optional()?;
    Ok(preview)
}

pub(super) fn put_preview(
    connection: &Connection,
    owner: &str,
    seq: InboxSeq,
    message: &PlatformMessageId,
) -> Result<(), OperationError> {
    let written = connection
        .prepare_cached(
            "INSERT INTO preview (inbox_seq, platform_msg_id)
             SELECT seq, ?3 FROM inbox WHERE seq = ?1 AND state = 'leased' AND lease_owner = ?2
             ON CONFLICT (inbox_seq) DO UPDATE SET platform_msg_id = excluded.platform_msg_id",
        )?
        .execute(params![seq.0, owner, message.0])?;
    if written == 0 {
        return Err(failed(format!(
            "message {seq} is not in work here, so it has no preview: stop its turn"
        )));
    }
    Ok(())
}

pub(super) fn preview(
    connection: &Connection,
    seq: InboxSeq,
) -> Result<Option<PlatformMessageId>, OperationError> {
    let preview = connection
        .prepare_cached("SELECT platform_msg_id FROM preview WHERE inbox_seq = ?1")?
        .query_row([seq.0], |row| row.get(0).map(PlatformMessageId))
        .optional()?;
    Ok(preview)
}

pub(super) fn conversation(
    connection: &Connection,
    conversation: &ConversationKey,
    max_turns: usize,
) -> Result<ConversationState, OperationError> {
    let chat = connection
        .prepare_cached("SELECT settings, first_turn FROM chat WHERE chat_key = ?1")?
        .query_row([conversation.as_str()], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?))
        })
        .optional()?;
    let Some((settings, first_turn)) = chat else {
        return Ok(ConversationState::default());
    };
    let turns: Vec<(TurnRole, String, Option<String>)> = connection
        .prepare_cached(
            "SELECT role, body, made_by FROM turn WHERE chat_key = ?1 AND n >= ?2 ORDER BY n DESC LIMIT ?3",
        )?
        .query_map(
            params![
                conversation.as_str(),
                first_turn,
                i64::try_from(max_turns).unwrap_or(i64::MAX)
            ],
            |row| {
                let role = match row.get_ref(0)?.as_str()? {
                    "patient" => TurnRole::Patient,
                    _ => TurnRole::Bot,
                };
                Ok((role, row.get(1)?, row.get(2)?))
            },
        )?
        .collect::<Result<_, _>>()?;
    let turns = turns.into_iter().rev().map(|(role, text, made_by)| {
        let made_by = made_by.map(|it| read_json(&it, "what made an answer"));
        Ok(Turn {
            role,
            text,
            made_by: made_by.transpose()?,
        })
    });
    let turns = turns.collect::<Result<_, OperationError>>()?;
    let settings: ConversationSettings = read_json(&settings, "a conversation's settings")?;
    Ok(ConversationState { settings, turns })
}
