//! Opening the file: rights, place, pragmas.

use std::{
    fs::{self, DirBuilder, OpenOptions, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use bedside_contract::StoreError;
use rusqlite::{Connection, OpenFlags};

use super::{
    damage,
    error::{at_opening, describe},
    schema,
};
use crate::file_system::file_system;

/// Before this version a data race could reset the write-ahead log and lose commits.
const OLDEST_SAFE_SQLITE: i32 = 3_051_003;

pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Opens the one connection that writes, with the newest schema.
pub(super) fn open_writer(path: &Path) -> Result<Connection, StoreError> {
    if rusqlite::version_number() < OLDEST_SAFE_SQLITE {
        return Err(StoreError::Failed(format!(
            "SQLite {} can lose commits: build with 3.51.3 or newer",
            rusqlite::version()
        )));
    }
    prepare_files(path)?;
    let shown = path.display().to_string();
    let failed = |error: rusqlite::Error| at_opening(&shown, &error);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
    schema::check_is_ours(&connection, &shown)?;
    damage::refuse(&connection, path)?;
    set_up_writer(&connection).map_err(failed)?;
    let mode: String = connection
        .pragma_query_value(None, "journal_mode", |row| row.get(0))
        .map_err(failed)?;
    if mode != "wal" {
        return Err(StoreError::Failed(format!(
            "{shown}: the file system does not allow a write-ahead log"
        )));
    }
    schema::migrate(&mut connection).map_err(failed)?;
    Ok(connection)
}

/// Opens a connection that cannot write.
pub(super) fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let open = || {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "query_only", true)?;
        set_up_any(&connection)?;
        // The first reading opens the log as well: from now on no file is looked for by its name.
        connection.query_row("SELECT COUNT(*) FROM sqlite_schema", [], |_| Ok(()))?;
        Ok(connection)
    };
    open().map_err(|error| StoreError::Failed(format!("{}: {}", path.display(), describe(&error))))
}

fn set_up_writer(connection: &Connection) -> Result<(), rusqlite::Error> {
    // `secure_delete` overwrites what is deleted: a patient's words must not linger in free pages.
    connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update_and_check(None, "secure_delete", true, |_| Ok(()))?;
    set_up_any(connection)
}

fn set_up_any(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.set_prepared_statement_cache_capacity(96);
    Ok(())
}

/// SQLite gives `-wal` and `-shm` the rights of the file itself, so that one is made first.
fn prepare_files(path: &Path) -> Result<(), StoreError> {
    let failed = |error: io::Error| StoreError::Failed(format!("{}: {error}", path.display()));
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(failed)?;
    refuse_network_file_system(directory)?;
    let mode = fs::metadata(directory).map_err(failed)?.permissions().mode();
    if mode & 0o077 != 0 {
        tracing::warn!(directory = %directory.display(), "others may enter the data directory: chmod 700 it");
    }
    match OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
    {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed(error)),
    }
    for suffix in ["", "-wal", "-shm"] {
        let mut file = path.as_os_str().to_owned();
        file.push(suffix);
        match fs::set_permissions(PathBuf::from(file), Permissions::from_mode(0o600)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
    }
    Ok(())
}

fn refuse_network_file_system(directory: &Path) -> Result<(), StoreError> {
    match file_system(directory) {
        Some(found) if found.is_network => Err(StoreError::Failed(format!(
            "{} is on {}, where a commit can be lost: set data_dir to a local disk",
            directory.display(),
            found.kind
        ))),
        _ => Ok(()),
    }
}
