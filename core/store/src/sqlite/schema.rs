//! Tables, and how an older file becomes today's.

use bedside_contract::StoreError;
use rusqlite::{Connection, TransactionBehavior};

use super::error::at_opening;

/// "Beds" in the file's header: tells our files from any other SQLite file.
pub(super) const APPLICATION_ID: i64 = 0x4265_6473;

/// Step n brings a file from version n to n + 1. Steps that were released never change.
const MIGRATIONS: &[&str] = &[VERSION_1, VERSION_2, VERSION_3, VERSION_4];

/// Random keys, each made when it is first needed. The index finds messages whose answer is the last of their conversation.
const VERSION_4: &str = "
CREATE TABLE secret (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX inbox_forgotten ON inbox (recv_ms) WHERE forget = 1;
";

/// Parts of an older bot, whose age is not known, are as old as the migration; what it gave up is no news. `pause_ms`: how far ahead of its writing `next_at`
/// was, which tells a clock that was set back.
const VERSION_3: &str = "
ALTER TABLE outbox ADD COLUMN created_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE outbox ADD COLUMN pause_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE outbox ADD COLUMN escalated INTEGER NOT NULL DEFAULT 0;
UPDATE outbox SET created_ms = CAST(strftime('%s', 'now') AS INTEGER) * 1000, escalated = (state = 'dead');
CREATE INDEX outbox_urgent_unsent ON outbox (position) WHERE urgent = 1 AND escalated = 0 AND state <> 'sent';
";

/// What made each answer, as JSON.
const VERSION_2: &str = "ALTER TABLE turn ADD COLUMN made_by TEXT";

/// Leases need no end time: they belong to one opening of the store and are void at the next.
///
/// `said` is the order in which both sides spoke; the words themselves stand once, in `inbox` and `outbox`.
/// `outbox.position` is the order of insertion, which a UUIDv7 cannot promise when a clock is set back.
const VERSION_1: &str = "
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES ('epoch', 1), ('unknown_sends', 0);

CREATE TABLE inbox (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    platform    TEXT NOT NULL,
    bot_id      TEXT NOT NULL,
    ext_id      TEXT NOT NULL,
    chat_key    TEXT NOT NULL,
    recv_ms     INTEGER NOT NULL,
    body        TEXT,
    state       TEXT NOT NULL DEFAULT 'new' CHECK (state IN ('new', 'leased', 'done', 'dead')),
    lease_owner TEXT CHECK ((lease_owner IS NOT NULL) = (state = 'leased')),
    attempts    INTEGER NOT NULL DEFAULT 0,
    forget      INTEGER NOT NULL DEFAULT 0,
    UNIQUE (platform, bot_id, ext_id)
) STRICT;
CREATE INDEX inbox_by_chat ON inbox (chat_key, seq);
CREATE INDEX inbox_unfinished ON inbox (chat_key, seq) WHERE state IN ('new', 'leased');
CREATE INDEX inbox_dead ON inbox (seq) WHERE state = 'dead';

CREATE TABLE chat (
    chat_key   TEXT PRIMARY KEY,
    next_turn  INTEGER NOT NULL DEFAULT 0,
    first_turn INTEGER NOT NULL DEFAULT 0,
    settings   TEXT NOT NULL DEFAULT '{}'
) STRICT, WITHOUT ROWID;

CREATE TABLE turn (
    chat_key  TEXT NOT NULL,
    n         INTEGER NOT NULL,
    role      TEXT NOT NULL CHECK (role IN ('patient', 'bot')),
    body      TEXT NOT NULL,
    inbox_seq INTEGER NOT NULL REFERENCES inbox (seq),
    PRIMARY KEY (chat_key, n)
) STRICT, WITHOUT ROWID;

CREATE TABLE outbox (
    position        INTEGER PRIMARY KEY AUTOINCREMENT,
    id              TEXT NOT NULL UNIQUE,
    chat_key        TEXT NOT NULL,
    inbox_seq       INTEGER NOT NULL REFERENCES inbox (seq),
    part            INTEGER NOT NULL,
    body            TEXT NOT NULL,
    urgent          INTEGER NOT NULL DEFAULT 0,
    replaces        TEXT,
    state           TEXT NOT NULL DEFAULT 'pending'
                    CHECK (state IN ('pending', 'sending', 'sent', 'unknown', 'dead', 'needs_review')),
    attempts        INTEGER NOT NULL DEFAULT 0,
    next_at         INTEGER NOT NULL DEFAULT 0,
    platform_msg_id TEXT,
    reason          TEXT,
    UNIQUE (inbox_seq, part)
) STRICT;
CREATE INDEX outbox_by_chat ON outbox (chat_key, inbox_seq);
CREATE INDEX outbox_undelivered ON outbox (chat_key, urgent DESC, position)
    WHERE state IN ('pending', 'sending', 'unknown');
CREATE INDEX outbox_dead ON outbox (position) WHERE state = 'dead';

CREATE TABLE preview (
    inbox_seq       INTEGER PRIMARY KEY REFERENCES inbox (seq),
    platform_msg_id TEXT NOT NULL
) STRICT;

CREATE TABLE said (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    chat_key  TEXT NOT NULL,
    inbox_seq INTEGER NOT NULL REFERENCES inbox (seq),
    part      INTEGER
) STRICT;
CREATE INDEX said_by_chat ON said (chat_key, id);

CREATE TABLE cursor (
    platform TEXT NOT NULL,
    bot_id   TEXT NOT NULL,
    value    TEXT NOT NULL,
    PRIMARY KEY (platform, bot_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE plugin_kv (
    plugin_id TEXT NOT NULL,
    key       TEXT NOT NULL,
    value     BLOB NOT NULL,
    PRIMARY KEY (plugin_id, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE plugin_usage (
    plugin_id TEXT PRIMARY KEY,
    bytes     INTEGER NOT NULL CHECK (bytes >= 0)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
    seq       INTEGER PRIMARY KEY AUTOINCREMENT,
    ts        INTEGER NOT NULL,
    actor     TEXT NOT NULL,
    action    TEXT NOT NULL,
    target    TEXT NOT NULL,
    detail    TEXT NOT NULL,
    prev_hash BLOB NOT NULL,
    hash      BLOB NOT NULL
) STRICT;
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_is_not_shortened BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
";

/// Refuses files that are not ours or of a newer bot, before anything is written to them.
pub(super) fn check_is_ours(connection: &Connection, path: &str) -> Result<(), StoreError> {
    let failed = |error: rusqlite::Error| at_opening(path, &error);
    let application_id = read_header(connection, "application_id").map_err(failed)?;
    let tables: i64 = connection
        .query_row("SELECT COUNT(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(failed)?;
    if application_id != APPLICATION_ID && (application_id != 0 || tables != 0) {
        return Err(StoreError::Failed(format!(
            "{path} is another program's database: set another data_dir"
        )));
    }
    let found = read_header(connection, "user_version").map_err(failed)?;
    let known = known_version();
    if found > known {
        return Err(StoreError::TooNew {
            path: path.to_owned(),
            found,
            known,
        });
    }
    Ok(())
}

/// Forward only, each step in one transaction together with the version it leads to.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), rusqlite::Error> {
    migrate_with(connection, MIGRATIONS)
}

fn migrate_with(connection: &mut Connection, migrations: &[&str]) -> Result<(), rusqlite::Error> {
    loop {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let version = read_header(&transaction, "user_version")?;
        let Some(step) = usize::try_from(version).ok().and_then(|it| migrations.get(it)) else {
            return Ok(());
        };
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", version + 1)?;
        transaction.commit()?;
    }
}

pub(super) fn known_version() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

pub(super) fn read_header(connection: &Connection, name: &str) -> Result<i64, rusqlite::Error> {
    connection.pragma_query_value(None, name, |row| row.get(0))
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::{MIGRATIONS, migrate, migrate_with, read_header};

    #[test]
    fn a_failed_step_leaves_the_version_before_it() {
        let mut connection = Connection::open_in_memory().unwrap();
        let steps = [
            "CREATE TABLE a (x)",
            "CREATE TABLE b (x); INSERT INTO missing VALUES (1)",
        ];
        migrate_with(&mut connection, &steps).unwrap_err();
        assert_eq!(read_header(&connection, "user_version").unwrap(), 1);
        let tables: Vec<String> = connection
            .prepare("SELECT name FROM sqlite_schema")
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        assert_eq!(tables, ["a"]);

        migrate_with(&mut connection, &["CREATE TABLE a (x)", "CREATE TABLE b (x)"]).unwrap();
        assert_eq!(read_header(&connection, "user_version").unwrap(), 2);
    }

    #[test]
    fn parts_of_an_older_bot_begin_to_age_and_what_it_gave_up_alarms_nobody() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate_with(&mut connection, &MIGRATIONS[..2]).unwrap();
        let rows = "INSERT INTO inbox (seq, platform, bot_id, ext_id, chat_key, recv_ms) VALUES (1, 'w', 'b', '1', 'c', 1);
            INSERT INTO outbox (id, chat_key, inbox_seq, part, body, urgent, state) VALUES
                ('dead', 'c', 1, 0, '{}', 1, 'dead'), ('open', 'c', 1, 1, '{}', 1, 'pending')";
        connection.execute_batch(rows).unwrap();
        migrate(&mut connection).unwrap();
        let found = |id: &str| {
            let sql = "SELECT created_ms > 1600000000000, escalated FROM outbox WHERE id = ?1";
            let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, bool>(0)?, row.get::<_, bool>(1)?));
            connection.query_row(sql, [id], read).unwrap()
        };
        assert_eq!((found("dead"), found("open")), ((true, true), (true, false)));
    }

    #[test]
    fn migrating_twice_changes_nothing() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        connection
            .execute("UPDATE meta SET value = 9 WHERE name = 'epoch'", [])
            .unwrap();
        migrate(&mut connection).unwrap();
        let epoch: i64 = connection
            .query_row("SELECT value FROM meta WHERE name = 'epoch'", [], |row| {
                row.get(0)
            })
            .unwrap();
        assert_eq!(epoch, 9);
    }
}
