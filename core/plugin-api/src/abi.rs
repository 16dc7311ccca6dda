//! The frozen part: what crosses between the bot and a plugin's library, in C's words.
//!
//! Only authors of plugins in other languages and the bot itself need this module. Every new hook is a
//! number and every new host function an op: the structs never grow. An older plugin answers
//! [`Status::UNKNOWN_HOOK`], an older host [`Status::UNKNOWN_OP`].
//!
//! Threads: `create`, `invoke` and `destroy` are called by one thread, always the same;
//! [`HostApi`]'s functions may be called from any thread until `destroy` returns.
//!
//! Bodies are JSON in UTF-8, see [`crate::msg`]. With any status but [`Status::OK`] the answer is a plain
//! text that says what was wrong.

use std::{ffi::c_void, mem::offset_of, slice};

/// `BEDSIDEP`, read as a little-endian number.
pub const MAGIC: u64 = u64::from_le_bytes(*b"BEDSIDEP");
/// Both sides must have the same.
pub const ABI_MAJOR: u16 = 0;
/// A plugin's may be lower than the bot's, never higher.
pub const ABI_MINOR: u16 = 1;
/// The name of the one symbol that a plugin exports: a static [`Entry`].
pub const ENTRY_SYMBOL: &str = "BEDSIDE_PLUGIN_ENTRY";
/// No message in either direction may be longer, in bytes.
pub const MAX_MESSAGE: usize = 8 * 1024 * 1024;

/// Bytes that are lent for the time of one call. `ptr` may be null if `len` is 0.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct View {
    pub ptr: *const u8,
    pub len: usize,
}

/// Bytes that are given away; who receives them calls `free(ptr, len, cap)` once, if it is set.
#[repr(C)]
pub struct Owned {
    pub ptr: *mut u8,
    pub len: usize,
    pub cap: usize,
    pub free: Option<unsafe extern "C" fn(*mut u8, usize, usize)>,
}

/// How a call ended. Never an enum: an unknown value from the other side is nothing to fear.
#[repr(transparent)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status(pub i32);

/// What a plugin may call. Copied by the plugin in `create`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct HostApi {
    /// `size_of::<HostApi>()` on the host's side.
    pub size: usize,
    pub ctx: *mut c_void,
    /// `call(ctx, op, body, answer)`.
    pub call: unsafe extern "C" fn(*mut c_void, u32, View, *mut Owned) -> Status,
    /// `log(ctx, level, text)`; levels as in [`crate::msg::LogLevel`].
    pub log: unsafe extern "C" fn(*mut c_void, u32, View),
}

/// What a plugin exports as [`ENTRY_SYMBOL`].
#[repr(C)]
pub struct Entry {
    pub magic: u64,
    pub abi_major: u16,
    pub abi_minor: u16,
    /// `size_of::<Entry>()` on the plugin's side.
    pub size: u32,
    /// `create(host, setup, &instance, &error)`; `setup` is a [`crate::msg::Setup`].
    pub create: unsafe extern "C" fn(*const HostApi, View, *mut *mut c_void, *mut Owned) -> Status,
    /// `invoke(instance, hook, body, &answer)`.
    pub invoke: unsafe extern "C" fn(*mut c_void, u32, View, *mut Owned) -> Status,
    /// `destroy(instance)`; nothing of the plugin runs or calls afterwards.
    pub destroy: unsafe extern "C" fn(*mut c_void),
}

const _: () = {
    assert!(size_of::<View>() == 2 * size_of::<usize>());
    assert!(size_of::<Owned>() == 4 * size_of::<usize>());
    assert!(
        size_of::<HostApi>() == 4 * size_of::<usize>() && offset_of!(HostApi, call) == 2 * size_of::<usize>()
    );
    assert!(offset_of!(Entry, magic) == 0 && offset_of!(Entry, abi_major) == 8);
    assert!(offset_of!(Entry, size) == 12 && offset_of!(Entry, create) == 16);
    assert!(size_of::<Entry>() == 16 + 3 * size_of::<usize>());
};

impl Status {
    pub const OK: Self = Self(0);
    /// The other side tried and could not.
    pub const FAILED: Self = Self(1);
    /// The plugin panicked; its state is dropped.
    pub const PANICKED: Self = Self(2);
    /// The plugin panicked before and must be made anew.
    pub const POISONED: Self = Self(3);
    /// The plugin does not have this hook.
    pub const UNKNOWN_HOOK: Self = Self(4);
    /// The host does not have this function.
    pub const UNKNOWN_OP: Self = Self(5);
    /// The body could not be read.
    pub const BAD_INPUT: Self = Self(6);
    /// The manifest does not ask for it, or the operator does not allow it.
    pub const DENIED: Self = Self(7);
    /// Allowed, but not in the hook that is running.
    pub const NOT_NOW: Self = Self(8);
    /// The answer is longer than [`MAX_MESSAGE`].
    pub const TOO_LARGE: Self = Self(9);

    /// What it means, for error messages.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::OK => "ok",
            Self::FAILED => "failed",
            Self::PANICKED => "panicked",
            Self::POISONED => "panicked before and was not made anew",
            Self::UNKNOWN_HOOK => "does not have this hook",
            Self::UNKNOWN_OP => "is not known to this bot",
            Self::BAD_INPUT => "could not read its input",
            Self::DENIED => "is not permitted",
            Self::NOT_NOW => "is not possible in this hook",
            Self::TOO_LARGE => "gave an answer longer than 8 MiB",
            _ => "ended with an unknown status",
        }
    }
}

impl View {
    /// Lends `bytes`.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        Self {
            ptr: bytes.as_ptr(),
            len: bytes.len(),
        }
    }

    /// The bytes; empty if the pointer is null.
    ///
    /// # Safety
    /// `ptr` is null or points to `len` bytes that live and stay unchanged for `'a`.
    #[must_use]
    pub unsafe fn bytes<'a>(self) -> &'a [u8] {
        if self.ptr.is_null() || self.len == 0 {
            return &[];
        }
        // SAFETY: not null, and the caller vouches for length and lifetime.
        unsafe { slice::from_raw_parts(self.ptr, self.len) }
    }
}

impl Owned {
    /// Nothing; also what an answer is set to before a call.
    #[must_use]
    pub const fn empty() -> Self {
        Self {
            ptr: std::ptr::null_mut(),
            len: 0,
            cap: 0,
            free: None,
        }
    }

    /// Gives a vector away.
    #[must_use]
    pub fn from_vec(bytes: Vec<u8>) -> Self {
        let mut bytes = std::mem::ManuallyDrop::new(bytes);
        Self {
            ptr: bytes.as_mut_ptr(),
            len: bytes.len(),
            cap: bytes.capacity(),
            free: Some(free_vec),
        }
    }

    /// How many bytes it claims to hold.
    #[must_use]
    pub fn claimed_length(&self) -> usize {
        if self.ptr.is_null() { 0 } else { self.len }
    }

    /// Copies at most `limit` bytes and frees the original.
    ///
    /// # Safety
    /// It came from the other side of a call and was not freed yet; `ptr` is null or points to `len` bytes.
    #[must_use]
    pub unsafe fn take(self, limit: usize) -> Vec<u8> {
        let view = View {
            ptr: self.ptr,
            len: self.len.min(limit),
        };
        // SAFETY: the caller vouches for the pointer, and the copy ends before the buffer is freed.
        let bytes = unsafe { view.bytes() }.to_vec();
        if let Some(free) = self.free {
            // SAFETY: the one and only call with just what the other side gave.
            unsafe { free(self.ptr, self.len, self.cap) };
        }
        bytes
    }
}

impl HostApi {
    /// Copies the host's functions.
    ///
    /// # Errors
    /// Words, if the host's struct is shorter than the one that this plugin was built for.
    ///
    /// # Safety
    /// `host` is null or points to a `HostApi` of at least the size that its first field says.
    pub unsafe fn copy_from(host: *const Self) -> Result<Self, String> {
        if host.is_null() {
            return Err("the host gave no functions".to_owned());
        }
        // SAFETY: not null, and every host's struct starts with its size.
        let size = unsafe { host.cast::<usize>().read() };
        if size < size_of::<Self>() {
            return Err(format!(
                "the host's functions take {size} bytes, {} are needed",
                size_of::<Self>()
            ));
        }
        // SAFETY: at least our own size is there.
        Ok(unsafe { host.read() })
    }
}

unsafe extern "C" fn free_vec(ptr: *mut u8, len: usize, cap: usize) {
    // SAFETY: exactly the parts that `Owned::from_vec` took from a vector of this same library.
    drop(unsafe { Vec::from_raw_parts(ptr, len, cap) });
}

macro_rules! numbered {
    ($(#[$doc:meta])* $type:ident { $($(#[$variant_doc:meta])* $variant:ident = $number:literal $name:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $type {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $type {
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Its number in the ABI; given once, never given again to another.
            #[must_use]
            pub const fn number(self) -> u32 {
                match self { $(Self::$variant => $number,)* }
            }

            /// The reverse of `number`.
            #[must_use]
            pub const fn from_number(number: u32) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)* _ => None }
            }

            /// Its name in manifests and messages.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The reverse of `name`.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|it| it.name() == name)
            }
        }
    };
}

numbered! {
    /// A point where the bot calls a plugin.
    Hook {
        /// [`msg::Message`](crate::msg::Message) → [`msg::Verdict`](crate::msg::Verdict)
        OnMessage = 1 "on_message",
        /// [`msg::PromptRequest`](crate::msg::PromptRequest) → [`msg::PromptAdditions`](crate::msg::PromptAdditions)
        AugmentPrompt = 2 "augment_prompt",
        /// [`msg::Message`](crate::msg::Message) → a string or null
        ChooseAdapter = 3 "choose_adapter",
        /// [`msg::Answer`](crate::msg::Answer) → [`msg::AnswerVerdict`](crate::msg::AnswerVerdict)
        OnAnswer = 4 "on_answer",
        /// nothing → [`msg::Description`](crate::msg::Description)
        Describe = 5 "describe",
        /// [`msg::Command`](crate::msg::Command) → [`msg::CommandReply`](crate::msg::CommandReply)
        Command = 6 "command",
        /// [`msg::Job`](crate::msg::Job) → [`msg::JobResult`](crate::msg::JobResult)
        RunJob = 7 "run_job",
        /// a job's id, a string → null
        CancelJob = 8 "cancel_job",
        /// nothing → [`msg::Health`](crate::msg::Health)
        Health = 9 "health",
        /// [`msg::Forget`](crate::msg::Forget) → null, once nothing of the conversation is kept any more
        Forget = 10 "forget",
    }
}

numbered! {
    /// A function of the host that a plugin may call, if its [`Permission`] is granted.
    Op {
        /// [`msg::StorageKey`](crate::msg::StorageKey) → the value or null
        StorageGet = 1 "storage.get",
        /// [`msg::StorageEntry`](crate::msg::StorageEntry) → null
        StoragePut = 2 "storage.put",
        /// [`msg::StorageKey`](crate::msg::StorageKey) → null
        StorageDelete = 3 "storage.delete",
        /// [`msg::StorageKey`](crate::msg::StorageKey), a prefix → list of strings
        StorageList = 4 "storage.list",
        /// a string → null
        MessageSend = 16 "message.send",
        /// [`msg::GenerateRequest`](crate::msg::GenerateRequest) → [`msg::Generated`](crate::msg::Generated)
        Generate = 32 "generate",
        /// [`msg::EmbedRequest`](crate::msg::EmbedRequest) → [`msg::Embedded`](crate::msg::Embedded)
        Embed = 33 "embed",
        /// [`msg::JobProgress`](crate::msg::JobProgress) → [`msg::JobControl`](crate::msg::JobControl)
        JobProgress = 48 "job.progress",
        /// a string, the setting's name → its value or null
        ConfigGet = 64 "config.get",
        /// nothing → milliseconds since 1970
        Clock = 65 "clock",
        /// [`msg::AuditNote`](crate::msg::AuditNote) → null
        AuditNote = 80 "audit.note",
    }
}

/// What a manifest has to ask for, in its `[permissions]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Permission {
    /// Every plugin has it.
    Always,
    /// `storage = { quota = "1 MiB" }`
    Storage,
    /// `message = true`
    Message,
    /// `generate = { tokens_per_minute = 4000 }`
    Generate,
    /// `embed = { texts_per_minute = 600 }`
    Embed,
    /// `jobs = true`
    Jobs,
    /// `audit = true`
    Audit,
}

impl Permission {
    /// Those that a manifest can ask for.
    pub const ALL: &[Self] = &[
        Self::Storage,
        Self::Message,
        Self::Generate,
        Self::Embed,
        Self::Jobs,
        Self::Audit,
    ];

    /// Its key in the manifest.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Always => "",
            Self::Storage => "storage",
            Self::Message => "message",
            Self::Generate => "generate",
            Self::Embed => "embed",
            Self::Jobs => "jobs",
            Self::Audit => "audit",
        }
    }
}

/// The permission that a host function needs.
#[must_use]
pub const fn permission_of(op: Op) -> Permission {
    match op {
        Op::StorageGet | Op::StoragePut | Op::StorageDelete | Op::StorageList => Permission::Storage,
        Op::MessageSend => Permission::Message,
        Op::Generate => Permission::Generate,
        Op::Embed => Permission::Embed,
        Op::JobProgress => Permission::Jobs,
        Op::ConfigGet | Op::Clock => Permission::Always,
        Op::AuditNote => Permission::Audit,
    }
}

#[cfg(test)]
mod tests {
    use super::{Hook, Op, Owned, View};

    #[test]
    fn numbers_and_names_lead_back() {
        for hook in Hook::ALL {
            assert_eq!(Hook::from_number(hook.number()), Some(*hook));
            assert_eq!(Hook::from_name(hook.name()), Some(*hook));
        }
        for op in Op::ALL {
            assert_eq!(Op::from_number(op.number()), Some(*op));
            assert_eq!(Op::from_name(op.name()), Some(*op));
        }
        assert_eq!((Hook::from_number(0), Op::from_number(9999)), (None, None));
        assert_eq!(Hook::Forget.number(), 10, "a number is never given again");
    }

    #[test]
    fn bytes_are_copied_and_freed_once() {
        let owned = Owned::from_vec(b"abc".to_vec());
        // SAFETY: made just now, not freed.
        assert_eq!(unsafe { owned.take(2) }, b"ab");
        // SAFETY: empty.
        assert_eq!(unsafe { Owned::empty().take(10) }, b"");
        let null = View {
            ptr: std::ptr::null(),
            len: 7,
        };
        // SAFETY: null is allowed.
        assert_eq!(unsafe { null.bytes() }, b"");
    }
}
