//! Room on the disk: watched while the bot runs, with a reserve for the day on which it runs out all the same.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use bedside_contract::Room;
use serde::{Deserialize, Serialize};

/// `[store]`: where conversations are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreConfig {
    /// Mebibytes that must be free on the disk of the data directory. With less, `/readyz` says so and no new
    /// conversation is begun; those that run go on, and emergency notices always go out. Looked at every 30 seconds.
    pub min_free_mib: u64,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self { min_free_mib: 512 }
    }
}

impl StoreConfig {
    /// In bytes.
    #[must_use]
    pub fn min_free(&self) -> u64 {
        self.min_free_mib.saturating_mul(MIB)
    }
}

const MIB: u64 = 1 << 20;
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// Enough for the ends of thousands of turns.
const RESERVE: u64 = 32 * MIB;
const RESERVE_FILE: &str = "reserve";

/// Bytes that this user may still write to the disk of a folder.
///
/// # Errors
/// The system's, if the folder cannot be looked at.
pub fn free_bytes(folder: &Path) -> io::Result<u64> {
    let found = nix::sys::statvfs::statvfs(folder)?;
    Ok(found.blocks_available().saturating_mul(found.fragment_size()))
}

/// What is known of the disk. Nothing, and so room enough, until it is watched.
#[derive(Debug, Default)]
pub(crate) struct Space {
    watched: OnceLock<Watched>,
    is_low: AtomicBool,
    reserve_is_spent: AtomicBool,
    /// Whoever makes or spends the reserve.
    reserve: Mutex<()>,
}

#[derive(Debug)]
struct Watched {
    folder: PathBuf,
    min_free: u64,
}

impl Space {
    /// Looks at once, then again and again as long as somebody holds this.
    pub(crate) fn watch(self: &Arc<Self>, folder: &Path, config: &StoreConfig) -> io::Result<()> {
        let watched = Watched {
            folder: folder.to_owned(),
            min_free: config.min_free(),
        };
        if self.watched.set(watched).is_err() {
            return Ok(());
        }
        self.look();
        let space = Arc::downgrade(self);
        thread::Builder::new()
            .name("bedside-store-space".to_owned())
            .spawn(move || {
                loop {
                    thread::sleep(LOOK_EVERY);
                    match space.upgrade() {
                        Some(space) => space.look(),
                        None => return,
                    }
                }
            })
            .map(drop)
    }

    pub(crate) fn room(&self) -> Room {
        if self.reserve_is_spent.load(Ordering::Relaxed) {
            Room::Reserve
        } else if self.is_low.load(Ordering::Relaxed) {
            Room::Low
        } else {
            Room::Enough
        }
    }

    /// Frees the reserve for a disk that is full. `false`: there is none (any more).
    pub(crate) fn spend_reserve(&self) -> bool {
        let Some(watched) = self.watched.get() else {
            return false;
        };
        let _alone = self.reserve.lock().unwrap_or_else(PoisonError::into_inner);
        if !is_whole(&watched.reserve_file()) || fs::remove_file(watched.reserve_file()).is_err() {
            return false;
        }
        self.reserve_is_spent.store(true, Ordering::Relaxed);
        true
    }

    fn look(&self) {
        let Some(watched) = self.watched.get() else { return };
        match free_bytes(&watched.folder) {
            Ok(free) => {
                self.note(free, watched);
                self.keep_reserve(free, watched);
            }
            Err(error) => {
                tracing::warn!(%error, folder = %watched.folder.display(), "How much of the disk is free cannot be told.");
            }
        }
    }

    fn note(&self, free: u64, watched: &Watched) {
        let is_low = free < watched.min_free;
        let was_low = self.is_low.swap(is_low, Ordering::Relaxed);
        let (free_mib, wanted_mib) = (free / MIB, watched.min_free / MIB);
        let folder = watched.folder.display();
        if is_low && !was_low {
            tracing::warn!(
                free_mib,
                wanted_mib,
                %folder,
                "The disk is nearly full: no new conversation is begun. Make room, or lower store.min_free_mib."
            );
        } else if was_low && !is_low {
            tracing::warn!(free_mib, wanted_mib, %folder, "The disk has room again.");
        }
    }

    /// Made where twice as much is free, so that it is not itself what fills the disk.
    fn keep_reserve(&self, free: u64, watched: &Watched) {
        let _alone = self.reserve.lock().unwrap_or_else(PoisonError::into_inner);
        let file = watched.reserve_file();
        if is_whole(&file) || free < 2 * RESERVE {
            return;
        }
        match make_reserve(&file) {
            Ok(()) => self.reserve_is_spent.store(false, Ordering::Relaxed),
            Err(error) => {
                // Half of one is none, and takes room.
                let _ = fs::remove_file(&file);
                tracing::warn!(%error, file = %file.display(), "No reserve can be kept for a full disk.");
            }
        }
    }
}

impl Watched {
    fn reserve_file(&self) -> PathBuf {
        self.folder.join(RESERVE_FILE)
    }
}

fn is_whole(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|it| it.is_file() && it.len() >= RESERVE)
}

/// Its blocks are taken, not only its length.
fn make_reserve(path: &Path) -> io::Result<()> {
    let file: File = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    let length = i64::try_from(RESERVE).map_err(io::Error::other)?;
    nix::fcntl::posix_fallocate(&file, 0, length)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::MetadataExt, sync::Arc};

    use bedside_contract::Room;

    use super::{MIB, RESERVE, Space, StoreConfig, Watched, free_bytes, is_whole};

    #[test]
    fn less_than_is_wanted_is_low_until_there_is_more() {
        let (space, folder) = (Space::default(), tempfile::tempdir().unwrap());
        let watched = Watched {
            folder: folder.path().to_owned(),
            min_free: 512 * MIB,
        };
        for (free_mib, expect) in [
            (512, Room::Enough),
            (511, Room::Low),
            (0, Room::Low),
            (513, Room::Enough),
        ] {
            space.note(free_mib * MIB, &watched);
            assert_eq!(space.room(), expect, "{free_mib}");
        }
    }

    #[test]
    fn the_reserve_takes_blocks_and_is_spent_once_until_there_is_room() {
        let folder = tempfile::tempdir().unwrap();
        let space = Arc::new(Space::default());
        assert!(!space.spend_reserve(), "nothing is watched yet");
        space
            .watch(folder.path(), &StoreConfig { min_free_mib: 0 })
            .unwrap();
        let file = folder.path().join("reserve");
        let found = std::fs::metadata(&file).unwrap();
        assert!(
            found.blocks() * 512 >= RESERVE && found.mode() & 0o777 == 0o600,
            "{found:?}"
        );
        assert_eq!(space.room(), Room::Enough);

        assert!(space.spend_reserve());
        assert_eq!((file.exists(), space.room()), (false, Room::Reserve));
        assert!(!space.spend_reserve(), "only once");

        let watched = space.watched.get().unwrap();
        space.keep_reserve(2 * RESERVE - 1, watched);
        assert_eq!((file.exists(), space.room()), (false, Room::Reserve));
        space.keep_reserve(2 * RESERVE, watched);
        assert!(is_whole(&file));
        assert_eq!(space.room(), Room::Enough);
    }

    #[test]
    fn a_disk_smaller_than_is_wanted_is_low_from_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let space = Arc::new(Space::default());
        let config = StoreConfig {
            min_free_mib: u64::MAX,
        };
        space.watch(folder.path(), &config).unwrap();
        assert_eq!(space.room(), Room::Low);
        assert!(free_bytes(folder.path()).unwrap() > 0);
        assert!(free_bytes("/nowhere/at/all".as_ref()).is_err());
    }
}
