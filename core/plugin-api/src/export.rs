//! What stands behind [`export_plugin!`](crate::export_plugin): the three C functions, with the panic guard.

use std::{
    any::Any,
    cell::{Cell, RefCell},
    ffi::c_void,
    mem,
    panic::{self, AssertUnwindSafe},
    sync::{Arc, Once, RwLock},
};

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Error, Host, Plugin,
    abi::{ABI_MAJOR, ABI_MINOR, Entry, Hook, HostApi, MAGIC, MAX_MESSAGE, Op, Owned, Status, View},
    host::Backend,
    msg::{LogLevel, Setup},
};

/// Makes a type that implements [`Plugin`] the plugin of this library. Once in a crate.
///
/// The crate's `Cargo.toml` needs `crate-type = ["cdylib", "rlib"]` (the `rlib` for its own tests), and must
/// not set `panic = "abort"`: panics are caught here, in the plugin, since the bot cannot.
///
/// ```
/// use bedside_plugin_api::{Error, Host, Plugin, export_plugin};
///
/// struct Quiet;
///
/// impl Plugin for Quiet {
///     type Config = serde_json::Value;
///
///     fn new(_host: Host, _config: Self::Config) -> Result<Self, Error> {
///         Ok(Self)
///     }
/// }
///
/// export_plugin!(Quiet);
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! export_plugin {
    ($plugin:ty) => {
        #[cfg(panic = "abort")]
        compile_error!(
            "a plugin must be built with panic = \"unwind\": with \"abort\" its first panic ends the process"
        );

        /// What the bot looks for in this library.
        #[unsafe(no_mangle)]
        pub static BEDSIDE_PLUGIN_ENTRY: $crate::abi::Entry = $crate::export::entry::<$plugin>();

        #[used]
        #[cfg_attr(target_vendor = "apple", unsafe(link_section = "__DATA,__bedside"))]
        #[cfg_attr(not(target_vendor = "apple"), unsafe(link_section = ".bedside.plugin"))]
        static BEDSIDE_PLUGIN_NOTE: [u8; $crate::note::LENGTH] = $crate::note::BYTES;
    };
}

#[must_use]
pub const fn entry<P: Plugin>() -> Entry {
    Entry {
        magic: MAGIC,
        abi_major: ABI_MAJOR,
        abi_minor: ABI_MINOR,
        size: size_of::<Entry>() as u32,
        create: create::<P>,
        invoke: invoke::<P>,
        destroy: destroy::<P>,
    }
}

struct Instance<P> {
    /// `None` after a panic.
    plugin: Option<P>,
    bridge: Arc<Bridge>,
}

struct Failure {
    status: Status,
    text: String,
}

unsafe extern "C" fn create<P: Plugin>(
    host: *const HostApi,
    setup: View,
    instance: *mut *mut c_void,
    answer: *mut Owned,
) -> Status {
    let made = guard(|| {
        // SAFETY: the host lends its functions for this call.
        let api = unsafe { HostApi::copy_from(host) }.map_err(|text| Failure {
            status: Status::BAD_INPUT,
            text,
        })?;
        let bridge = Arc::new(Bridge {
            api: RwLock::new(Some(api)),
        });
        catch_panic_messages();
        // SAFETY: lent for this call.
        let setup: Setup = decode(unsafe { setup.bytes() })?;
        let host = Host::new(&setup, bridge.clone());
        let config = if setup.config.is_null() {
            serde_json::json!({})
        } else {
            setup.config
        };
        let config = serde_json::from_value(config).map_err(|error| Failure {
            status: Status::BAD_INPUT,
            text: format!("settings: {error}"),
        })?;
        let plugin = P::new(host, config)?;
        Ok(Box::new(Instance {
            plugin: Some(plugin),
            bridge,
        }))
    });
    match made {
        Ok(made) => {
            // SAFETY: the host gives a place for the pointer.
            unsafe { instance.write(Box::into_raw(made).cast()) };
            Status::OK
        }
        // SAFETY: the host gives a place for the answer.
        Err(failure) => unsafe { give(answer, failure.status, failure.text.into_bytes()) },
    }
}

unsafe extern "C" fn invoke<P: Plugin>(
    instance: *mut c_void,
    hook: u32,
    body: View,
    answer: *mut Owned,
) -> Status {
    // SAFETY: the host passes what `create` gave, from one thread at a time, and not after `destroy`.
    let Some(instance) = (unsafe { instance.cast::<Instance<P>>().as_mut() }) else {
        return Status::POISONED;
    };
    let Some(plugin) = instance.plugin.as_mut() else {
        return Status::POISONED;
    };
    // SAFETY: lent for this call.
    let body = unsafe { body.bytes() };
    let (status, bytes) = match guard(|| dispatch(plugin, hook, body)) {
        Ok(bytes) if bytes.len() > MAX_MESSAGE => (Status::TOO_LARGE, Vec::new()),
        Ok(bytes) => (Status::OK, bytes),
        Err(failure) => {
            if failure.status == Status::PANICKED {
                // Nobody shall see it half-changed.
                let broken = instance.plugin.take();
                let _ = guard(|| {
                    drop(broken);
                    Ok(())
                });
            }
            (failure.status, failure.text.into_bytes())
        }
    };
    // SAFETY: the host gives a place for the answer.
    unsafe { give(answer, status, bytes) }
}

unsafe extern "C" fn destroy<P: Plugin>(instance: *mut c_void) {
    if instance.is_null() {
        return;
    }
    // SAFETY: the host gives back what `create` made, once.
    let instance = unsafe { Box::from_raw(instance.cast::<Instance<P>>()) };
    let Instance { plugin, bridge } = *instance;
    let _ = guard(|| {
        drop(plugin);
        Ok(())
    });
    // Threads that the plugin left behind get errors from now on, not a dangling pointer.
    if let Ok(mut api) = bridge.api.write() {
        *api = None;
    }
}

fn dispatch<P: Plugin>(plugin: &mut P, hook: u32, body: &[u8]) -> Result<Vec<u8>, Failure> {
    let Some(hook) = Hook::from_number(hook) else {
        return Err(Failure {
            status: Status::UNKNOWN_HOOK,
            text: format!("hook {hook}"),
        });
    };
    match hook {
        Hook::OnMessage => encode(&plugin.on_message(&decode(body)?)?),
        Hook::AugmentPrompt => encode(&plugin.augment_prompt(&decode(body)?)?),
        Hook::ChooseAdapter => encode(&plugin.choose_adapter(&decode(body)?)?),
        Hook::OnAnswer => encode(&plugin.on_answer(&decode(body)?)?),
        Hook::Describe => encode(&plugin.describe()?),
        Hook::Command => encode(&plugin.command(&decode(body)?)?),
        Hook::RunJob => encode(&plugin.run_job(&decode(body)?)?),
        Hook::CancelJob => encode(&plugin.cancel_job(&decode::<String>(body)?)?),
        Hook::Health => encode(&plugin.health()?),
        Hook::Forget => encode(&plugin.forget(&decode(body)?)?),
    }
}

fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| {
        // serde quotes what it could not read, which may be a patient's words.
        let text = format!(
            "line {} column {}: {:?} error",
            error.line(),
            error.column(),
            error.classify()
        );
        Failure {
            status: Status::BAD_INPUT,
            text,
        }
    })
}

fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(value).map_err(|error| Failure {
        status: Status::FAILED,
        text: error.to_string(),
    })
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let status = match &error {
            Error::NotImplemented { .. } => Status::UNKNOWN_HOOK,
            _ => Status::FAILED,
        };
        Self {
            status,
            text: error.to_string(),
        }
    }
}

/// # Safety
/// `answer` is null or a place to write to.
unsafe fn give(answer: *mut Owned, status: Status, bytes: Vec<u8>) -> Status {
    if !answer.is_null() && !bytes.is_empty() {
        // SAFETY: not null, and the caller vouches for the place.
        unsafe { answer.write(Owned::from_vec(bytes)) };
    }
    status
}

thread_local! {
    static GUARDS: Cell<u32> = const { Cell::new(0) };
    static PANICKED_AT: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Turns a panic into a failure that names its place in the code, and not its message, which may quote a
/// patient (`str` index panics do).
fn guard<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    GUARDS.set(GUARDS.get() + 1);
    let outcome = panic::catch_unwind(AssertUnwindSafe(work));
    GUARDS.set(GUARDS.get() - 1);
    outcome.unwrap_or_else(|payload| {
        drop_quietly(payload);
        Err(Failure {
            status: Status::PANICKED,
            text: PANICKED_AT.take(),
        })
    })
}

/// A payload whose own `Drop` panics must not get out either.
fn drop_quietly(payload: Box<dyn Any + Send>) {
    if let Err(second) = panic::catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        mem::forget(second);
    }
}

/// Each library has its own standard library, so this hook sees the panics of this plugin only.
fn catch_panic_messages() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if GUARDS.get() == 0 {
                return before(info);
            }
            if let Some(place) = info.location() {
                PANICKED_AT.set(format!("{}:{}", place.file(), place.line()));
            }
        }));
    });
}

/// The host across the C ABI, until `destroy` closes it.
struct Bridge {
    api: RwLock<Option<HostApi>>,
}

// SAFETY: the host promises that its functions and `ctx` may be used from any thread until `destroy` returns,
// and `destroy` empties the lock before it returns.
unsafe impl Send for Bridge {}
// SAFETY: as above.
unsafe impl Sync for Bridge {}

impl Backend for Bridge {
    fn call(&self, op: Op, body: &[u8]) -> Result<Vec<u8>, Error> {
        let api = self.api.read().map_err(|_| Error::new("the host is gone"))?;
        let Some(api) = *api else {
            return Err(Error::new(
                "the plugin was ended: the host does not answer any more",
            ));
        };
        let mut answer = Owned::empty();
        // SAFETY: the lock is held, so `destroy` has not returned; body and answer live through the call.
        let status = unsafe { (api.call)(api.ctx, op.number(), View::new(body), &raw mut answer) };
        // SAFETY: the host filled it or left it empty, and nobody else frees it.
        let bytes = unsafe { answer.take(MAX_MESSAGE) };
        if status == Status::OK {
            return Ok(bytes);
        }
        let reason = String::from_utf8_lossy(&bytes).into_owned();
        let function = op.name();
        Err(match status {
            Status::DENIED => Error::Denied { function, reason },
            Status::UNKNOWN_OP => Error::UnknownFunction { function, reason },
            Status::NOT_NOW => Error::NotNow { function, reason },
            _ => Error::new(format!("{function} {}: {reason}", status.words())),
        })
    }

    fn log(&self, level: LogLevel, text: &str) {
        let Ok(api) = self.api.read() else { return };
        if let Some(api) = *api {
            // SAFETY: as in `call`.
            unsafe { (api.log)(api.ctx, level as u32, View::new(text.as_bytes())) };
        }
    }
}
