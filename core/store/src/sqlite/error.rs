//! What can go wrong in one operation, told without anybody's words.

use bedside_contract::StoreError;
use rusqlite::ErrorCode;
use serde::de::DeserializeOwned;

/// Why one operation failed.
#[derive(Debug)]
pub(super) enum OperationError {
    Sqlite(rusqlite::Error),
    Refused(StoreError),
}

impl OperationError {
    /// The file or the disk is at fault: whatever is written next could be lost, so nothing more is.
    /// A failed fsync in particular cannot be tried again.
    pub(super) fn is_fatal(&self) -> bool {
        matches!(
            self,
            Self::Sqlite(rusqlite::Error::SqliteFailure(failure, _))
                if matches!(
                    failure.code,
                    ErrorCode::SystemIoFailure
                        | ErrorCode::DiskFull
                        | ErrorCode::DatabaseCorrupt
                        | ErrorCode::NotADatabase
                        | ErrorCode::CannotOpen
                        | ErrorCode::ReadOnly
                        | ErrorCode::PermissionDenied
                        | ErrorCode::OutOfMemory
                        | ErrorCode::InternalMalfunction
                        | ErrorCode::FileLockingProtocolFailed
                )
        )
    }

    /// The file cannot be read as what was written to it, whoever reads it.
    pub(super) fn is_damage(&self) -> bool {
        matches!(self, Self::Sqlite(error) if is_damage(error))
    }

    /// Nothing was written for lack of room, and all else is as it was.
    pub(super) fn is_full(&self) -> bool {
        matches!(
            self,
            Self::Sqlite(rusqlite::Error::SqliteFailure(failure, _)) if failure.code == ErrorCode::DiskFull
        )
    }

    pub(super) fn words(&self) -> String {
        match self {
            Self::Sqlite(error) => describe(error),
            Self::Refused(error) => error.to_string(),
        }
    }
}

/// What a disk says whose bytes cannot be read back: SQLITE_IOERR_READ, _SHORT_READ, _CORRUPTFS.
const UNREADABLE: [i32; 3] = [10 | (1 << 8), 10 | (2 << 8), 10 | (33 << 8)];

/// The file cannot be read as what was written to it.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    let rusqlite::Error::SqliteFailure(failure, _) = error else {
        return false;
    };
    matches!(failure.code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
        || UNREADABLE.contains(&failure.extended_code)
}

/// Why a file at `path` cannot be opened.
pub(super) fn at_opening(path: &str, error: &rusqlite::Error) -> StoreError {
    if is_damage(error) {
        return StoreError::Damaged {
            path: path.to_owned(),
            problem: describe(error),
        };
    }
    StoreError::Failed(format!("{path}: {}", describe(error)))
}

impl From<rusqlite::Error> for OperationError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<StoreError> for OperationError {
    fn from(error: StoreError) -> Self {
        Self::Refused(error)
    }
}

impl From<OperationError> for StoreError {
    fn from(error: OperationError) -> Self {
        match error {
            OperationError::Sqlite(error) => Self::Failed(describe(&error)),
            OperationError::Refused(error) => error,
        }
    }
}

/// SQLite's own words name tables and columns; values only ever reach it as parameters, which it does not
/// quote. Conversions are told without their value.
pub(super) fn describe(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqliteFailure(failure, Some(message)) => {
            format!("sqlite {}: {message}", failure.extended_code)
        }
        rusqlite::Error::SqliteFailure(failure, None) => {
            format!("sqlite {}: {:?}", failure.extended_code, failure.code)
        }
        rusqlite::Error::FromSqlConversionFailure(column, found, _) => {
            format!("sqlite: column {column} of type {found} cannot be read")
        }
        rusqlite::Error::InvalidColumnType(column, name, found) => {
            format!("sqlite: column {column} ({name}) has type {found}")
        }
        _ => "sqlite: the statement does not fit the schema".to_owned(),
    }
}

pub(super) fn failed(reason: impl Into<String>) -> OperationError {
    OperationError::Refused(StoreError::Failed(reason.into()))
}

/// Reads JSON that this store wrote. serde's own message could quote a patient, so only the place is told.
pub(super) fn read_json<T: DeserializeOwned>(text: &str, what: &str) -> Result<T, OperationError> {
    serde_json::from_str(text).map_err(|error| {
        failed(format!(
            "{what} cannot be read: {:?} error at column {}",
            error.classify(),
            error.column()
        ))
    })
}

pub(super) fn write_json<T: serde::Serialize>(value: &T, what: &str) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| {
        StoreError::Failed(format!("{what} cannot be written: {:?} error", error.classify()))
    })
}

#[cfg(test)]
mod tests {
    use bedside_contract::{ConversationSettings, StoreError, Update};

    use super::read_json;

    #[test]
    fn settings_of_earlier_versions_are_read() {
        let cases: [(&str, &[&str]); 5] = [
            ("{}", &[]),
            (r#"{"held_question":null}"#, &[]),
            (r#"{"held_question":"a"}"#, &["a"]),
            (r#"{"held_questions":[]}"#, &[]),
            (r#"{"held_questions":["a","b"]}"#, &["a", "b"]),
        ];
        for (json, expect) in cases {
            let settings: ConversationSettings = read_json(json, "settings").unwrap();
            assert_eq!(settings.held_questions, expect, "{json}");
        }
    }

    #[test]
    fn unreadable_json_is_told_without_its_words() {
        let text = r#"{"platform": ["chest pain since Monday"], "bot": 1}"#;
        let error = StoreError::from(read_json::<Update>(text, "inbox message 7").unwrap_err());
        assert_eq!(
            error.to_string(),
            "store: inbox message 7 cannot be read: Data error at column 13"
        );
    }
}
