//! Where the socket is, and who may be there.

use std::{
    fs::{self, Permissions},
    io::ErrorKind,
    os::unix::{
        fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
        net::UnixStream,
    },
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail, ensure};
use tokio::net::UnixListener;

const NAME: &str = "control.sock";

/// Bytes of a socket's path that Linux takes.
const LONGEST_PATH: usize = 107;

/// A socket on which callers are waited for; it goes when this is dropped.
pub(super) struct Socket {
    pub(super) listener: UnixListener,
    /// The user that the bot runs as.
    pub(super) owner: u32,
    path: PathBuf,
}

/// Where the bot that owns this data directory is called.
pub(super) fn path_in(data_dir: &Path) -> anyhow::Result<PathBuf> {
    let path = data_dir.join(NAME);
    let length = path.as_os_str().len();
    ensure!(
        length <= LONGEST_PATH,
        "data_dir: the path of the control socket in it, {}, has {length} bytes and a socket's may have \
         {LONGEST_PATH}: choose a shorter data_dir",
        path.display()
    );
    Ok(path)
}

impl Socket {
    /// Makes the socket, in the place of one that a dead bot left. Call within a tokio runtime.
    pub(super) fn bind(data_dir: &Path) -> anyhow::Result<Self> {
        let path = path_in(data_dir)?;
        make_room(&path)?;
        let failed = || format!("the control socket {} cannot be made", path.display());
        let listener = UnixListener::bind(&path).with_context(failed)?;
        fs::set_permissions(&path, Permissions::from_mode(0o600)).with_context(failed)?;
        let owner = fs::metadata(&path).with_context(failed)?.uid();
        Ok(Self {
            listener,
            owner,
            path,
        })
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // One that stays is known as dead at the next start.
        let _gone_already = fs::remove_file(&self.path);
    }
}

/// Takes a dead socket away, and nothing else.
fn make_room(path: &Path) -> anyhow::Result<()> {
    let place = path.display();
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).with_context(|| format!("{place} cannot be looked at")),
        Ok(found) => ensure!(
            found.file_type().is_socket(),
            "{place} is no socket: move it away, the bot makes its control socket there"
        ),
    }
    match UnixStream::connect(path) {
        Ok(_) => bail!("another process answers at {place}: stop it, or set another data_dir"),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            fs::remove_file(path).with_context(|| format!("the dead socket {place} cannot be removed"))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(|| format!("{place} cannot be called")),
    }
}

/// Only the bot's own user and root may control it.
pub(super) fn may_call(caller: u32, owner: u32) -> bool {
    caller == owner || caller == 0
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

    use super::{LONGEST_PATH, NAME, Socket, may_call, path_in};

    fn problem(data_dir: &Path) -> String {
        format!("{:#}", Socket::bind(data_dir).err().unwrap())
    }

    #[tokio::test]
    async fn a_dead_socket_is_replaced_and_a_living_one_respected() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(NAME);
        // A process that died leaves the file.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let socket = Socket::bind(dir.path()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let said = problem(dir.path());
        assert!(said.contains("another process answers"), "{said}");
        assert!(path.exists(), "the living one is still there");
        drop(socket);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_file_of_somebody_else_is_not_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(NAME);
        fs::write(&path, "words").unwrap();
        let said = problem(dir.path());
        assert!(said.contains("is no socket"), "{said}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "words");
    }

    #[test]
    fn a_path_that_is_too_long_is_told_with_its_key() {
        let base = LONGEST_PATH - NAME.len() - 2;
        for (length, fits) in [(base, true), (base + 1, false), (300, false)] {
            let dir = format!("/{}", "x".repeat(length));
            let found = path_in(Path::new(&dir));
            assert_eq!(found.is_ok(), fits, "{length}");
            if let Err(error) = found {
                let said = error.to_string();
                assert!(said.starts_with("data_dir: ") && said.contains("107"), "{said}");
            }
        }
    }

    #[test]
    fn own_user_and_root_may_call() {
        for (caller, owner, may) in [
            (7, 7, true),
            (0, 7, true),
            (8, 7, false),
            (7, 0, false),
            (0, 0, true),
        ] {
            assert_eq!(may_call(caller, owner), may, "{caller} {owner}");
        }
    }
}
