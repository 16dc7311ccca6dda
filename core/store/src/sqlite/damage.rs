//! Whether what lies on the disk is what was written.

use std::{fs, path::Path};

use bedside_contract::StoreError;
use rusqlite::Connection;

use super::error::{describe, is_damage};

/// Files up to this size are read whole at each start: some seconds. Of larger ones SQLite looks at header, length and
/// schema when it opens them, and `bedside doctor` at the rest.
const READ_WHOLE_UP_TO: u64 = 1 << 30;

/// Refuses a file that is damaged, before anything is written to it.
pub(super) fn refuse(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    refuse_up_to(connection, path, READ_WHOLE_UP_TO)
}

fn refuse_up_to(connection: &Connection, path: &Path, most: u64) -> Result<(), StoreError> {
    if fs::metadata(path).map_or(0, |it| it.len()) > most {
        return Ok(());
    }
    match find(connection) {
        Ok(None) => Ok(()),
        Ok(Some(problem)) => Err(StoreError::Damaged {
            path: path.display().to_string(),
            problem,
        }),
        Err(error) => Err(StoreError::Failed(format!(
            "{}: {}",
            path.display(),
            describe(&error)
        ))),
    }
}

/// The first thing that is wrong, in SQLite's words, which name tables and pages, never what stands in them.
pub(super) fn find(connection: &Connection) -> Result<Option<String>, rusqlite::Error> {
    let found: Result<String, _> = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0));
    match found {
        Ok(words) if words == "ok" => Ok(None),
        Ok(words) => Ok(Some(one_line(&words))),
        Err(error) if is_damage(&error) => Ok(Some(describe(&error))),
        Err(error) => Err(error),
    }
}

fn one_line(words: &str) -> String {
    let lines = words.lines().filter(|it| !it.starts_with("***"));
    lines.map(str::trim).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use bedside_contract::StoreError;
    use rusqlite::Connection;

    use super::{find, one_line, refuse, refuse_up_to};

    #[test]
    fn words_are_one_line_without_the_heading() {
        let words = "*** in database main ***\nTree 3 page 3: btreeInitPage() returns error code 11\n";
        assert_eq!(
            one_line(words),
            "Tree 3 page 3: btreeInitPage() returns error code 11"
        );
        assert_eq!(
            one_line("wrong # of entries in index i"),
            "wrong # of entries in index i"
        );
    }

    #[test]
    fn a_file_with_a_page_of_rubbish_is_refused_unless_it_is_too_large_to_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let connection = Connection::open(&path).unwrap();
        connection
            .execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (randomblob(9000))")
            .unwrap();
        assert_eq!(find(&connection).unwrap(), None);
        refuse(&connection, &path).unwrap();
        drop(connection);

        let mut bytes = std::fs::read(&path).unwrap();
        bytes[4096..4200].fill(0xa5);
        std::fs::write(&path, bytes).unwrap();
        let connection = Connection::open(&path).unwrap();
        let error = refuse(&connection, &path).unwrap_err();
        assert!(
            matches!(&error, StoreError::Damaged { path, .. } if path.ends_with("/file")),
            "{error}"
        );
        assert!(error.to_string().contains("backup"), "{error}");
        refuse_up_to(&connection, &path, 4096).unwrap();
    }
}
