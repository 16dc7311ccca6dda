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

use super::{error::describe, schema};

/// Before this version a data race could reset the write-ahead log and lose commits.
const OLDEST_SAFE_SQLITE: i32 = 3_051_003;

pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// File systems on which SQLite's locks and shared memory cannot be trusted.
const NETWORK_FILE_SYSTEMS: &[&str] = &[
    "afs",
    "ceph",
    "cifs",
    "davfs",
    "glusterfs",
    "gpfs",
    "lustre",
    "ncpfs",
    "nfs",
    "nfs4",
    "smb3",
    "smbfs",
    "fuse.ceph",
    "fuse.davfs2",
    "fuse.glusterfs",
    "fuse.rclone",
    "fuse.s3fs",
    "fuse.sshfs",
];

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
    let failed = |error: rusqlite::Error| StoreError::Failed(format!("{shown}: {}", describe(&error)));
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
    schema::check_is_ours(&connection, &shown)?;
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
    // Where there is no such table (not Linux) nothing is refused.
    let (Ok(mounts), Ok(directory)) = (
        fs::read_to_string("/proc/self/mountinfo"),
        directory.canonicalize(),
    ) else {
        return Ok(());
    };
    match file_system_of(&mounts, &directory) {
        Some(kind) if NETWORK_FILE_SYSTEMS.contains(&kind) => Err(StoreError::Failed(format!(
            "{} is on {kind}, where a commit can be lost: set data_dir to a local disk",
            directory.display()
        ))),
        _ => Ok(()),
    }
}

/// The type of the file system that holds `directory`, after the table in `/proc/self/mountinfo`
/// (proc_pid_mountinfo(5)): mount point in field 5, type in the first field after the lone hyphen.
fn file_system_of<'a>(mounts: &'a str, directory: &Path) -> Option<&'a str> {
    mounts
        .lines()
        .filter_map(|line| {
            let (mount, kind) = line.split_once(" - ")?;
            let point = PathBuf::from(unescape(mount.split(' ').nth(4)?));
            directory
                .starts_with(&point)
                .then_some((point.components().count(), kind.split(' ').next()?))
        })
        .max_by_key(|(depth, _)| *depth)
        .map(|(_, kind)| kind)
}

/// Blanks and the like stand as a backslash and three octal digits.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        let digits: String = rest.clone().take(3).collect();
        match u8::from_str_radix(&digits, 8) {
            Ok(code) if c == '\\' && digits.len() == 3 => {
                out.push(char::from(code));
                rest.nth(2);
            }
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{NETWORK_FILE_SYSTEMS, file_system_of};

    const MOUNTS: &str = "\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/root rw
23 22 0:21 / /srv rw - nfs4 server:/srv rw
24 23 254:1 / /srv/local\\040disk rw - xfs /dev/vdb rw
25 22 254:2 / /data rw shared:2 master:3 - ext4 /dev/vdc rw
26 22 0:30 / /data rw - cifs //server/data rw
";

    #[test]
    fn the_innermost_and_latest_mount_counts() {
        let check = |directory: &str, expect: &str, refused: bool| {
            let kind = file_system_of(MOUNTS, Path::new(directory)).unwrap();
            assert_eq!(kind, expect, "{directory}");
            assert_eq!(NETWORK_FILE_SYSTEMS.contains(&kind), refused, "{directory}");
        };
        check("/var/lib/bedside", "ext4", false);
        check("/srvother", "ext4", false);
        check("/srv/bedside", "nfs4", true);
        check("/srv/local disk/bedside", "xfs", false);
        check("/data/bedside", "cifs", true);
    }
}
