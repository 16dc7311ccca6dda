//! What goes over the control socket: one line of JSON asks, lines of JSON answer, and the last of them ends the call.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Bytes of a request at most, its end of line included.
pub(super) const LONGEST_REQUEST: u64 = 64 * 1024;

/// What the running bot is asked for: `{"request": "status"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case")]
pub(crate) enum Request {
    /// How it is.
    Status,
    /// To read its configuration anew.
    Reload,
    /// To give emergency notices only, or answers again.
    NoticesOnly { on: bool },
    /// To have one of its plugins run a command.
    PluginCommand(PluginCommand),
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PluginCommand {
    pub(crate) plugin: String,
    pub(crate) command: String,
    pub(crate) arguments: String,
    #[serde(default)]
    pub(crate) json: bool,
    /// A file or folder that the plugin shall read and that lies outside its sandbox; it stands behind the arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) path: Option<PathBuf>,
}

/// A line of the answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Reply {
    /// Words about what is being done.
    Progress(String),
    /// The end: it is done.
    Done(Value),
    /// The end: why it is not done.
    Failed(String),
}

impl Request {
    const KNOWN: [&str; 4] = ["status", "reload", "notices-only", "plugin-command"];

    pub(super) fn parse(line: &[u8]) -> Result<Self, String> {
        let value: Value = serde_json::from_slice(line)
            .map_err(|error| format!("a request is one line of JSON, and this is none: {error}"))?;
        let known = Self::KNOWN.join(", ");
        let Some(name) = value.get("request").and_then(Value::as_str).map(str::to_owned) else {
            return Err(format!("a request has the field \"request\", one of {known}"));
        };
        if !Self::KNOWN.contains(&name.as_str()) {
            return Err(format!(
                "there is no request {name:?}: this version knows {known}"
            ));
        }
        serde_json::from_value(value).map_err(|error| format!("{name}: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{PluginCommand, Reply, Request};

    #[test]
    fn every_request_is_read_as_it_was_written_and_is_known() {
        let requests = [
            Request::Status,
            Request::Reload,
            Request::NoticesOnly { on: true },
            Request::PluginCommand(PluginCommand {
                plugin: "bedside.knowledge".to_owned(),
                command: "knowledge".to_owned(),
                arguments: "search 感冒".to_owned(),
                json: true,
                path: Some("/srv/kb".into()),
            }),
        ];
        for (request, name) in requests.iter().zip(Request::KNOWN) {
            let line = serde_json::to_string(request).unwrap();
            assert!(!line.contains('\n') && line.contains(name), "{line}");
            assert_eq!(Request::parse(line.as_bytes()).as_ref(), Ok(request));
        }
        let short = br#"{"request":"plugin-command","plugin":"a","command":"b","arguments":"c","later":1}"#;
        assert!(Request::parse(short).is_ok());
    }

    #[test]
    fn what_is_no_request_is_told_what_would_be() {
        let cases: [(&[u8], &str); 6] = [
            (b"status", "one line of JSON"),
            (b"\xff", "one line of JSON"),
            (b"[]", "one of status, reload, notices-only, plugin-command"),
            (br#"{"request":7}"#, "one of status, reload"),
            (
                br#"{"request":"backup"}"#,
                "there is no request \"backup\": this version knows status, reload, notices-only, plugin-command",
            ),
            (
                br#"{"request":"notices-only"}"#,
                "notices-only: missing field `on`",
            ),
        ];
        for (line, expected) in cases {
            let problem = Request::parse(line).unwrap_err();
            assert!(problem.contains(expected), "{problem}");
        }
    }

    #[test]
    fn replies_have_one_field_that_names_their_kind() {
        for (reply, expected) in [
            (Reply::Progress("a".to_owned()), json!({"progress": "a"})),
            (Reply::Done(json!({"b": 1})), json!({"done": {"b": 1}})),
            (Reply::Failed("c".to_owned()), json!({"failed": "c"})),
        ] {
            assert_eq!(serde_json::to_value(&reply).unwrap(), expected);
            assert_eq!(serde_json::from_value::<Reply>(expected).unwrap(), reply);
        }
    }
}
