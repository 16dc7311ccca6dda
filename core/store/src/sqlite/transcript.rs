//! What both sides said, in order.

use bedside_contract::{ConversationKey, InboxSeq, Said, TranscriptEntry, Update};
use rusqlite::{Connection, Row, params};

use super::error::{OperationError, read_json};

pub(super) fn transcript(
    connection: &Connection,
    conversation: &ConversationKey,
    after: i64,
    limit: usize,
) -> Result<Vec<TranscriptEntry>, OperationError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    connection
        .prepare_cached(
            "SELECT said.id, said.inbox_seq, said.part, inbox.ext_id, COALESCE(outbox.body, inbox.body)
             FROM said
             JOIN inbox ON inbox.seq = said.inbox_seq
             LEFT JOIN outbox ON outbox.inbox_seq = said.inbox_seq AND outbox.part = said.part
             WHERE said.chat_key = ?1 AND said.id > ?2 ORDER BY said.id LIMIT ?3",
        )?
        .query_map(params![conversation.as_str(), after, limit], Line::read)?
        .map(|line| line?.into_entry())
        .collect()
}

struct Line {
    id: i64,
    seq: i64,
    part: Option<i64>,
    external_id: String,
    body: String,
}

impl Line {
    fn read(row: &Row<'_>) -> Result<Self, rusqlite::Error> {
        Ok(Self {
            id: row.get(0)?,
            seq: row.get(1)?,
            part: row.get(2)?,
            external_id: row.get(3)?,
            body: row.get(4)?,
        })
    }

    fn into_entry(self) -> Result<TranscriptEntry, OperationError> {
        let (external_id, said) = if self.part.is_some() {
            (
                None,
                Said::Bot {
                    part: Box::new(read_json(&self.body, "a part")?),
                },
            )
        } else {
            let update: Update = read_json(&self.body, "a message")?;
            let text = update.text().unwrap_or_default().to_owned();
            (Some(self.external_id), Said::Patient { text })
        };
        Ok(TranscriptEntry {
            id: self.id,
            seq: InboxSeq(self.seq),
            external_id,
            said,
        })
    }
}
