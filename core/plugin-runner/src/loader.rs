//! Opens a plugin's library, after reading its note, and calls it.

use std::{
    any::Any,
    cmp::Ordering,
    ffi::c_void,
    fs::File,
    io::{self, Read},
    mem::ManuallyDrop,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    ptr,
    sync::Arc,
};

use bedside_plugin_api::{
    abi::{ABI_MAJOR, ABI_MINOR, ENTRY_SYMBOL, Entry, HostApi, MAGIC, MAX_MESSAGE, Op, Owned, Status, View},
    note::{Note, SECTION},
};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use object::{Object, ObjectSection};

/// What a plugin may call. Called from any of the plugin's threads.
pub trait HostCalls: Send + Sync + 'static {
    /// Carries out an op; with any status but [`Status::OK`] the bytes say why not.
    fn call(&self, op: Op, body: &[u8]) -> (Status, Vec<u8>);
    /// Takes a line; bytes are the plugin's and may be anything.
    fn log(&self, level: u32, text: &[u8]);
}

/// A plugin's library in this process. It stays until the process ends: unloading Rust code is not safe on
/// any platform, and the open file keeps its name from being taken for another plugin's.
pub struct LoadedLibrary {
    entry: &'static Entry,
    note: Note,
}

/// One plugin, alive. It belongs to the thread that made it.
pub struct Instance {
    entry: &'static Entry,
    instance: *mut c_void,
    poisoned: bool,
    /// What the plugin's `ctx` points to.
    _host: Box<Arc<dyn HostCalls>>,
}

/// How a hook ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    pub status: Status,
    /// The answer, or words if the status is not [`Status::OK`].
    pub body: Vec<u8>,
}

/// Why a library is no plugin for this bot.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("{path}: {error}")]
    File { path: PathBuf, error: io::Error },
    #[error("{path} is no shared library: {reason}")]
    NoLibrary { path: PathBuf, reason: String },
    #[error("{path} is no Bedside plugin: it has no section {SECTION}; is export_plugin! missing in it?")]
    NoNote { path: PathBuf },
    #[error("{path} is no Bedside plugin: its note is damaged; build it again")]
    DamagedNote { path: PathBuf },
    #[error("{path} was built for {found}, this bot runs on {own}: install the package for {own}")]
    Target {
        path: PathBuf,
        found: String,
        own: String,
    },
    #[error("{path} speaks plugin ABI {major}.{minor}, this bot {ABI_MAJOR}.{ABI_MINOR}: {advice}")]
    Abi {
        path: PathBuf,
        major: u16,
        minor: u16,
        advice: &'static str,
    },
    #[error("{path} cannot be loaded: {reason}")]
    Open { path: PathBuf, reason: String },
    #[error("{path} says other things of itself when loaded than in its note; build it again")]
    Disagrees { path: PathBuf },
}

/// Reads for whom a library was built, without running a byte of it.
///
/// # Errors
/// [`LoadError::File`], [`LoadError::NoLibrary`], [`LoadError::NoNote`], [`LoadError::DamagedNote`].
pub fn read_note(path: &Path) -> Result<Note, LoadError> {
    note_of(path, &open_file(path)?)
}

/// Refuses a library that this bot cannot run, in words that say what to do.
///
/// # Errors
/// [`LoadError::Target`], [`LoadError::Abi`].
pub fn check_note(path: &Path, note: &Note) -> Result<(), LoadError> {
    let own = Note::own();
    if (&note.target, note.pointer_width) != (&own.target, own.pointer_width) {
        let words = |it: &Note| format!("{} ({} bit)", it.target, it.pointer_width);
        return Err(LoadError::Target {
            path: path.to_owned(),
            found: words(note),
            own: words(&own),
        });
    }
    let advice = match note.abi_major.cmp(&own.abi_major) {
        Ordering::Less => "install a newer version of the plugin",
        Ordering::Equal if note.abi_minor <= own.abi_minor => return Ok(()),
        _ => "update the bot, or install an older version of the plugin",
    };
    Err(LoadError::Abi {
        path: path.to_owned(),
        major: note.abi_major,
        minor: note.abi_minor,
        advice,
    })
}

impl LoadedLibrary {
    /// Reads the note, then loads the very file that it was read from.
    ///
    /// # Errors
    /// [`LoadError`]; before [`LoadError::Open`] nothing of the library has run.
    pub fn open(path: &Path) -> Result<Self, LoadError> {
        let file = open_file(path)?;
        let note = note_of(path, &file)?;
        check_note(path, &note)?;

        let name = loadable_name(path, &file);
        let failed = |error: libloading::Error| LoadError::Open {
            path: path.to_owned(),
            reason: error.to_string(),
        };
        // SAFETY: the library's constructors run. It is a plugin by its note; in the child the sandbox stands
        // already, in the bot's process the operator trusts it.
        let library = unsafe { Library::open(Some(&name), RTLD_NOW | RTLD_LOCAL) }.map_err(failed)?;
        let library = ManuallyDrop::new(library);
        let _file = ManuallyDrop::new(file);
        // SAFETY: the note vouches for an `Entry` under this name, and it is never unmapped.
        let entry = unsafe {
            let symbol = library.get::<*const Entry>(ENTRY_SYMBOL).map_err(failed)?;
            let entry: *const Entry = symbol.into_raw().cast();
            // Fields one by one: a shorter struct must not be looked at as a whole.
            let magic = (&raw const (*entry).magic).read();
            let size = (&raw const (*entry).size).read() as usize;
            if magic != MAGIC || size < size_of::<Entry>() {
                return Err(LoadError::Disagrees {
                    path: path.to_owned(),
                });
            }
            &*entry
        };
        if (entry.abi_major, entry.abi_minor) != (note.abi_major, note.abi_minor) {
            return Err(LoadError::Disagrees {
                path: path.to_owned(),
            });
        }
        Ok(Self { entry, note })
    }

    /// What its note says.
    #[must_use]
    pub fn note(&self) -> &Note {
        &self.note
    }

    /// Makes the plugin. `setup` is a [`bedside_plugin_api::msg::Setup`] in JSON.
    ///
    /// # Errors
    /// The outcome of `create`, if it is not [`Status::OK`].
    pub fn create(&self, host: Arc<dyn HostCalls>, setup: &[u8]) -> Result<Instance, Outcome> {
        let host = Box::new(host);
        let ctx = ptr::from_ref::<Arc<dyn HostCalls>>(&host).cast_mut().cast();
        let api = HostApi {
            size: size_of::<HostApi>(),
            ctx,
            call,
            log,
        };
        let (mut instance, mut answer) = (ptr::null_mut(), Owned::empty());
        // SAFETY: all pointers are valid through the call; `ctx` lives as long as the instance.
        let status = unsafe {
            (self.entry.create)(
                &raw const api,
                View::new(setup),
                &raw mut instance,
                &raw mut answer,
            )
        };
        // SAFETY: the plugin filled it or left it empty.
        let body = unsafe { answer.take(MAX_MESSAGE) };
        if status != Status::OK {
            return Err(Outcome { status, body });
        }
        Ok(Instance {
            entry: self.entry,
            instance,
            poisoned: false,
            _host: host,
        })
    }
}

impl Instance {
    /// Runs a hook, to its end: a plugin that never returns never returns here.
    pub fn invoke(&mut self, hook: u32, body: &[u8]) -> Outcome {
        if self.poisoned {
            return Outcome {
                status: Status::POISONED,
                body: Vec::new(),
            };
        }
        let mut answer = Owned::empty();
        // SAFETY: the instance is alive, and `&mut self` of a type that cannot leave its thread keeps the
        // calls apart.
        let status = unsafe { (self.entry.invoke)(self.instance, hook, View::new(body), &raw mut answer) };
        let too_large = answer.claimed_length() > MAX_MESSAGE;
        // SAFETY: the plugin filled it or left it empty.
        let body = unsafe { answer.take(if too_large { 0 } else { MAX_MESSAGE }) };
        self.poisoned = matches!(status, Status::PANICKED | Status::POISONED);
        let status = if too_large { Status::TOO_LARGE } else { status };
        Outcome { status, body }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // SAFETY: what `create` gave, once; `_host` is dropped after it.
        unsafe { (self.entry.destroy)(self.instance) };
    }
}

unsafe extern "C" fn call(ctx: *mut c_void, op: u32, body: View, answer: *mut Owned) -> Status {
    // SAFETY: `ctx` is the instance's `_host`, which outlives it.
    let host = unsafe { &*ctx.cast::<Arc<dyn HostCalls>>() };
    // SAFETY: lent for this call.
    let body = unsafe { body.bytes() };
    let (status, bytes) = match Op::from_number(op) {
        None => (
            Status::UNKNOWN_OP,
            format!("op {op}: update the bot").into_bytes(),
        ),
        Some(op) => catch_unwind(AssertUnwindSafe(|| host.call(op, body))).unwrap_or_else(|payload| {
            forget(payload);
            (Status::FAILED, b"the host panicked".to_vec())
        }),
    };
    if !answer.is_null() && !bytes.is_empty() {
        // SAFETY: not null; the plugin gives a place to write to.
        unsafe { answer.write(Owned::from_vec(bytes)) };
    }
    status
}

unsafe extern "C" fn log(ctx: *mut c_void, level: u32, text: View) {
    // SAFETY: as in `call`.
    let host = unsafe { &*ctx.cast::<Arc<dyn HostCalls>>() };
    // SAFETY: lent for this call.
    let text = unsafe { text.bytes() };
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| host.log(level, text))) {
        forget(payload);
    }
}

fn forget(payload: Box<dyn Any + Send>) {
    std::mem::forget(payload);
}

fn open_file(path: &Path) -> Result<File, LoadError> {
    File::open(path).map_err(|error| LoadError::File {
        path: path.to_owned(),
        error,
    })
}

fn note_of(path: &Path, mut file: &File) -> Result<Note, LoadError> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(|error| LoadError::File {
        path: path.to_owned(),
        error,
    })?;
    let no_library = |error: object::Error| LoadError::NoLibrary {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    let library = object::File::parse(bytes.as_slice()).map_err(no_library)?;
    let Some(section) = library.section_by_name(SECTION) else {
        return Err(LoadError::NoNote {
            path: path.to_owned(),
        });
    };
    let note = Note::parse(section.data().map_err(no_library)?);
    note.ok_or_else(|| LoadError::DamagedNote {
        path: path.to_owned(),
    })
}

/// The open file itself, so that nothing can be put in its place between the check and the loading.
fn loadable_name(path: &Path, file: &File) -> PathBuf {
    use std::os::fd::AsRawFd;

    let open = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    if cfg!(target_os = "linux") && open.exists() {
        open
    } else {
        path.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use bedside_plugin_api::note::Note;

    use super::{LoadedLibrary, check_note, read_note};

    #[test]
    fn what_is_no_plugin_is_refused_in_words() {
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().join("text.so");
        fs::write(&text, "not a library").unwrap();
        let own = std::env::current_exe().unwrap();
        let check = |path: &Path, words: &str| {
            let problem = LoadedLibrary::open(path).err().unwrap().to_string();
            assert!(problem.contains(words), "{problem}");
            assert!(problem.starts_with(&path.display().to_string()), "{problem}");
        };
        check(&folder.path().join("missing.so"), "No such file");
        check(&text, "no shared library");
        check(&own, "is export_plugin! missing");
        assert!(read_note(&text).is_err());
    }

    #[test]
    fn a_note_for_another_bot_says_what_to_do() {
        let own = Note::own();
        let check = |note: Note, words: &str| {
            let problem = check_note(Path::new("x.so"), &note).unwrap_err().to_string();
            assert!(problem.contains(words), "{problem}");
        };
        assert!(check_note(Path::new("x.so"), &own).is_ok());
        check(
            Note {
                target: "s390x-ibm".into(),
                ..own.clone()
            },
            "install the package for",
        );
        check(
            Note {
                pointer_width: 16,
                ..own.clone()
            },
            "(16 bit)",
        );
        check(
            Note {
                abi_minor: own.abi_minor + 1,
                ..own.clone()
            },
            "update the bot",
        );
        check(
            Note {
                abi_major: own.abi_major + 1,
                ..own.clone()
            },
            "update the bot",
        );
    }
}
