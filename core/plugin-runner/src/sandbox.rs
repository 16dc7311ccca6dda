//! Locks the calling process in: limits, file system, system calls. Nothing here can be undone.

use std::path::Path;

use serde::{Deserialize, Serialize};

#[cfg(target_os = "linux")]
mod linux;

/// What a plugin's process may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Address space, in bytes.
    pub memory: u64,
    pub open_files: u64,
    /// The largest file that it may write, in bytes.
    pub file_size: u64,
}

/// How well the process is locked in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxReport {
    /// `full`, `partial` or `none`.
    pub state: String,
    /// What this kernel could not give, in words.
    pub missing: Vec<String>,
}

impl SandboxReport {
    fn new(walls: usize, missing: Vec<String>) -> Self {
        let state = match missing.len() {
            0 => "full",
            count if count < walls => "partial",
            _ => "none",
        };
        Self {
            state: state.to_owned(),
            missing,
        }
    }

    #[must_use]
    pub fn is_full(&self) -> bool {
        self.state == "full"
    }
}

/// What of a sandbox this kernel could give, told without entering one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KernelFeatures {
    /// The version of Landlock; files are fully covered from 3 on.
    pub landlock: Option<u32>,
    /// System calls can be refused.
    pub seccomp: bool,
}

impl KernelFeatures {
    /// Asks the kernel that runs.
    #[must_use]
    pub fn of_this_kernel() -> Self {
        #[cfg(target_os = "linux")]
        {
            linux::features()
        }
        #[cfg(not(target_os = "linux"))]
        {
            Self::default()
        }
    }
}

/// Locks this process in, as far as the kernel can. To be called before any thread is started: new threads
/// inherit the walls, old ones would stand outside.
#[must_use]
pub fn enter(package: &Path, data: Option<&Path>, limits: Limits) -> SandboxReport {
    #[cfg(target_os = "linux")]
    {
        linux::enter(package, data, limits)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (package, data, limits);
        SandboxReport::new(
            1,
            vec!["this operating system has no sandbox that Bedside knows".to_owned()],
        )
    }
}
