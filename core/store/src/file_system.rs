//! What the data directory lies on.

use std::{
    fs,
    path::{Path, PathBuf},
};

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

/// A file system's kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSystem {
    /// As the kernel names it: `ext4`, `nfs4`, `tmpfs`.
    pub kind: String,
    /// Locks and shared memory cannot be relied on: a commit can be lost.
    pub is_network: bool,
}

/// What a folder lies on; `None` where the system does not tell, or there is no such folder.
#[must_use]
pub fn file_system(folder: &Path) -> Option<FileSystem> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let kind = file_system_of(&mounts, &folder.canonicalize().ok()?)?;
    Some(FileSystem {
        kind: kind.to_owned(),
        is_network: NETWORK_FILE_SYSTEMS.contains(&kind),
    })
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
