use std::fmt;

/// Why a plugin or the host could not do something.
///
/// Operators read its text: say what is wrong and what to do, never what the patient wrote.
///
/// ```
/// use bedside_plugin_api::Error;
///
/// fn port(text: &str) -> Result<u16, Error> {
///     let digits = text.strip_prefix(':').ok_or("a port starts with a colon")?;
///     Ok(digits.parse()?)
/// }
///
/// assert_eq!(port(":80").unwrap(), 80);
/// assert!(port("80").is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// It was tried and failed.
    Failed(String),
    /// The plugin does not implement this hook: what all hooks answer unless you write them.
    NotImplemented { hook: &'static str },
    /// The manifest does not ask for this function, or the operator does not allow it.
    Denied { function: &'static str, reason: String },
    /// The bot that runs the plugin does not have this function (yet).
    UnknownFunction { function: &'static str, reason: String },
    /// The function must not be called from the hook that is running.
    NotNow { function: &'static str, reason: String },
}

impl Error {
    /// An error that says what `problem` says.
    pub fn new(problem: impl fmt::Display) -> Self {
        Self::Failed(problem.to_string())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(problem) => f.write_str(problem),
            Self::NotImplemented { hook } => write!(f, "the plugin does not implement {hook}"),
            Self::Denied { function, reason } => write!(f, "{function} is not permitted: {reason}"),
            Self::UnknownFunction { function, reason } => {
                write!(f, "this bot does not have {function}: {reason}")
            }
            Self::NotNow { function, reason } => write!(f, "{function} is not possible now: {reason}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<&str> for Error {
    fn from(problem: &str) -> Self {
        Self::Failed(problem.to_owned())
    }
}

impl From<String> for Error {
    fn from(problem: String) -> Self {
        Self::Failed(problem)
    }
}

macro_rules! from_std_errors {
    ($($error:ty),*) => {$(
        impl From<$error> for Error {
            fn from(error: $error) -> Self {
                Self::new(error)
            }
        }
    )*};
}

from_std_errors!(
    serde_json::Error,
    std::io::Error,
    std::fmt::Error,
    std::num::ParseIntError,
    std::num::ParseFloatError,
    std::str::Utf8Error,
    std::string::FromUtf8Error,
    std::time::SystemTimeError
);
