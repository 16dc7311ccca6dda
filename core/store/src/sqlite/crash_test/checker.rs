//! Compares what was acknowledged with what is in the file.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::Path,
};

use bedside_contract::InboxSeq;
use rusqlite::{Connection, OpenFlags};

use super::parts_of;

/// All acknowledgements so far, over all rounds.
#[derive(Default)]
pub(super) struct Checker {
    accepted: HashMap<String, i64>,
    attempts: HashMap<i64, u32>,
    finished: HashSet<i64>,
    claims: HashMap<String, u32>,
    sent: HashSet<String>,
    /// Parts as the platform saw them, by chat, in its order.
    delivered: BTreeMap<String, Vec<(String, String)>>,
    found_while_reading: Vec<String>,
}

impl Checker {
    /// Reads one round's acknowledgements. The last line may be torn.
    pub(super) fn note(&mut self, log: &Path) {
        let text = std::fs::read_to_string(log).unwrap();
        for line in text.split_inclusive('\n').filter_map(|it| it.strip_suffix('\n')) {
            let words: Vec<_> = line.split(' ').collect();
            match words[..] {
                ["accepted", external_id, seq] => {
                    let seq = seq.parse().unwrap();
                    let before = self.accepted.insert(external_id.to_owned(), seq);
                    if before.is_some_and(|it| it != seq) {
                        self.found_while_reading
                            .push(format!("I2: {external_id} was accepted twice"));
                    }
                }
                ["leased", seq, attempts] => {
                    let attempts = attempts.parse().unwrap();
                    let before = self.attempts.insert(seq.parse().unwrap(), attempts).unwrap_or(0);
                    if attempts <= before {
                        self.found_while_reading
                            .push(format!("lost: an attempt at {seq}"));
                    }
                }
                ["finished", seq] => {
                    if !self.finished.insert(seq.parse().unwrap()) {
                        self.found_while_reading
                            .push(format!("I4: {seq} was finished twice"));
                    }
                }
                ["claimed", id, attempts] => {
                    let attempts = attempts.parse().unwrap();
                    let before = self.claims.insert(id.to_owned(), attempts).unwrap_or(0);
                    if attempts <= before {
                        self.found_while_reading.push(format!("lost: a claim of {id}"));
                    }
                }
                ["delivered", id, chat, text] => {
                    if self.sent.contains(id) {
                        self.found_while_reading
                            .push(format!("I6: {id} was sent again after its confirmation"));
                    }
                    let delivered = self.delivered.entry(chat.to_owned()).or_default();
                    delivered.push((id.to_owned(), text.to_owned()));
                }
                ["sent", id] => drop(self.sent.insert(id.to_owned())),
                _ => panic!("what is {line}?"),
            }
        }
    }

    pub(super) fn acknowledged(&self) -> usize {
        self.accepted.len() + self.finished.len() + self.sent.len()
    }

    /// What breaks a promise; empty if all hold.
    pub(super) fn violations(&self, store: &Path) -> Vec<String> {
        let file = Connection::open_with_flags(store, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        let mut found = self.found_while_reading.clone();
        self.check_inbox(&file, &mut found);
        self.check_outbox(&file, &mut found);
        self.check_deliveries(&file, &mut found);
        found
    }

    /// What is left to do after everything was worked off: I5.
    pub(super) fn unended(&self, store: &Path) -> Vec<String> {
        let file = Connection::open_with_flags(store, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        let mut left: Vec<String> =
            strings(&file, "SELECT 'message ' || seq FROM inbox WHERE state <> 'done'");
        left.extend(strings(
            &file,
            "SELECT 'part ' || id FROM outbox WHERE state <> 'sent'",
        ));
        let delivered: HashSet<_> = self
            .delivered
            .values()
            .flatten()
            .map(|(_, text)| text.clone())
            .collect();
        for seq in self.accepted.values() {
            let missing = (0..parts_of(InboxSeq(*seq))).map(|it| format!("{seq}/{it}"));
            left.extend(
                missing
                    .filter(|it| !delivered.contains(it))
                    .map(|it| format!("undelivered {it}")),
            );
        }
        left
    }

    fn check_inbox(&self, file: &Connection, found: &mut Vec<String>) {
        let mut rows: HashMap<String, (i64, String, u32)> = HashMap::new();
        let mut statement = file
            .prepare("SELECT ext_id, seq, state, attempts, chat_key FROM inbox ORDER BY seq")
            .unwrap();
        let mut unended_chats = HashSet::new();
        let mut reader = statement.query([]).unwrap();
        while let Some(row) = reader.next().unwrap() {
            let (external_id, seq, state): (String, i64, String) =
                (row.get(0).unwrap(), row.get(1).unwrap(), row.get(2).unwrap());
            let chat: String = row.get(4).unwrap();
            if state != "done" {
                unended_chats.insert(chat);
            } else if unended_chats.contains(&chat) {
                found.push(format!("I3: {seq} ended before an earlier message"));
            }
            if state == "leased" {
                found.push(format!("I7: {seq} is still leased"));
            }
            if rows
                .insert(external_id.clone(), (seq, state, row.get(3).unwrap()))
                .is_some()
            {
                found.push(format!("I2: {external_id} is there twice"));
            }
        }
        for (external_id, seq) in &self.accepted {
            if rows.get(external_id).is_none_or(|it| it.0 != *seq) {
                found.push(format!("I1: {external_id} was accepted as {seq} and lost"));
            }
        }
        let by_seq: HashMap<_, _> = rows
            .values()
            .map(|(seq, state, attempts)| (*seq, (state, *attempts)))
            .collect();
        for (seq, attempts) in &self.attempts {
            if by_seq.get(seq).is_none_or(|it| it.1 < *attempts) {
                found.push(format!("an attempt at {seq} was counted and lost"));
            }
        }
        for seq in &self.finished {
            if by_seq.get(seq).is_none_or(|it| it.0 != "done") {
                found.push(format!("I4: {seq} was finished and lost"));
            }
        }
    }

    fn check_outbox(&self, file: &Connection, found: &mut Vec<String>) {
        let mut statement = file
            .prepare(
                "SELECT seq, state, (SELECT COUNT(*) FROM outbox WHERE inbox_seq = seq),
                     (SELECT COUNT(*) FROM turn WHERE inbox_seq = seq AND turn.chat_key = inbox.chat_key)
                 FROM inbox",
            )
            .unwrap();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let (seq, state): (i64, String) = (row.get(0).unwrap(), row.get(1).unwrap());
            let (parts, turns): (i64, i64) = (row.get(2).unwrap(), row.get(3).unwrap());
            let expect = if state == "done" {
                (parts_of(InboxSeq(seq)), 2)
            } else {
                (0, 0)
            };
            if (parts, turns) != expect {
                found.push(format!(
                    "I4: {seq} is {state} with {parts} parts and {turns} turns"
                ));
            }
        }
        found.extend(strings(
            file,
            "SELECT 'I3: part ' || later.id || ' was sent before an earlier one' FROM outbox AS later
             WHERE state = 'sent' AND EXISTS (SELECT 1 FROM outbox AS earlier
                 WHERE earlier.chat_key = later.chat_key AND earlier.position < later.position
                   AND earlier.state <> 'sent')",
        ));
        let sent: HashSet<_> = strings(
            file,
            "SELECT id FROM outbox WHERE state = 'sent' AND platform_msg_id = 'm-' || id",
        )
        .into_iter()
        .collect();
        found.extend(
            self.sent
                .difference(&sent)
                .map(|it| format!("I6: that {it} was sent is lost")),
        );
    }

    /// What the platform saw: each chat's parts in order, a part doubled only where an outcome was unknown.
    fn check_deliveries(&self, file: &Connection, found: &mut Vec<String>) {
        let mut doubled = 0;
        for (chat, parts) in &self.delivered {
            let mut order: Vec<(i64, i64)> = Vec::new();
            for (index, (id, text)) in parts.iter().enumerate() {
                let is_repeat = index > 0 && parts[index - 1].0 == *id;
                doubled += i64::from(is_repeat);
                let (seq, part) = text.split_once('/').unwrap();
                let place = (seq.parse().unwrap(), part.parse().unwrap());
                if !is_repeat && order.last().is_some_and(|it| *it >= place) {
                    found.push(format!("I3: chat {chat} got {text} out of order"));
                }
                order.push(place);
            }
        }
        let unknown: i64 = file
            .query_row("SELECT value FROM meta WHERE name = 'unknown_sends'", [], |row| {
                row.get(0)
            })
            .unwrap();
        if doubled > unknown {
            found.push(format!(
                "I6: {doubled} doubled deliveries and only {unknown} unknown sends"
            ));
        }
    }
}

fn strings(file: &Connection, sql: &str) -> Vec<String> {
    file.prepare(sql)
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap()
}
