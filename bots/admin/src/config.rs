use std::{net::ToSocketAddrs, path::PathBuf, sync::Arc};

use bedside_contract::{AuditLog, ConnectorError, Generator};
use bedside_kit::{AccessKey, bind, wrong};
use serde::Deserialize;

use crate::{figures::Figures, metrics::Metrics, server::Admin};

/// `[admin]`: the operator's listener, apart from the patients' port: metrics, readiness in detail, adapters.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdminConfig {
    /// Address and port to listen on, e.g. `127.0.0.1:9464`; without it nothing is served. Any address that other
    /// machines can reach needs a key. There is no TLS: put a proxy in front, or keep it within the machine.
    pub listen: Option<String>,
    /// What operators and Prometheus send as `Authorization: Bearer …`, at least 16 characters. Whoever has it decides
    /// what patients hear. Better use `key_file` or the environment variable `BEDSIDE_ADMIN__KEY`.
    pub key: Option<AccessKey>,
    /// A file that holds the key and nothing else. Not together with `key`.
    pub key_file: Option<PathBuf>,
    /// Whether `/metrics` is served without the key, where there is one. Without any key it is open, on this machine
    /// only.
    pub metrics_open: bool,
    /// How many adapters may be loaded at run time, those of `[model.adapters]` not counted; 0 = none. Each takes
    /// memory.
    pub max_adapters: usize,
}

const fn default_max_adapters() -> usize {
    16
}

impl Default for AdminConfig {
    fn default() -> Self {
        Self {
            listen: None,
            key: None,
            key_file: None,
            metrics_open: false,
            max_adapters: default_max_adapters(),
        }
    }
}

/// What the listener shows and changes.
pub struct AdminContext {
    pub metrics: Arc<Metrics>,
    pub figures: Arc<dyn Figures>,
    /// Whose adapters are loaded and unloaded.
    pub generator: Arc<dyn Generator>,
    /// Every change of adapters is written there.
    pub audit: Arc<dyn AuditLog>,
}

impl AdminConfig {
    /// Checks the settings and binds the port; connections wait until [`Admin::serve`]. Nothing where no address is
    /// set.
    ///
    /// # Errors
    /// [`ConnectorError::AddressInUse`] with a port that is free, [`ConnectorError::Config`] otherwise.
    pub fn build(&self, context: AdminContext) -> Result<Option<Admin>, ConnectorError> {
        let key = self.checked_key()?;
        let Some(listen) = &self.listen else {
            return Ok(None);
        };
        let listener = bind("admin.listen", listen)?;
        let address = listener
            .local_addr()
            .map_err(|error| wrong("admin.listen", error.to_string()))?;
        // A socket of the service manager's may stand on another address than the one that was written.
        if !address.ip().to_canonical().is_loopback() {
            if key.is_none() {
                return Err(key_needed(listen));
            }
            tracing::warn!(
                listen,
                "The admin key travels to this listener without TLS: put a proxy with TLS before it."
            );
        }
        Ok(Some(Admin::new(self, context, key, listener, address)))
    }

    /// Checks the keys, without taking the port.
    ///
    /// # Errors
    /// [`ConnectorError::Config`] with the key at fault.
    pub fn check(&self) -> Result<(), ConnectorError> {
        self.checked_key().map(drop)
    }

    fn checked_key(&self) -> Result<Option<AccessKey>, ConnectorError> {
        let key = AccessKey::read("admin", self.key.as_ref(), self.key_file.as_deref())?;
        let Some(listen) = &self.listen else {
            return Ok(key);
        };
        let addresses = listen.to_socket_addrs().map_err(|_| {
            let reason = format!("{listen:?} is not address:port, e.g. 127.0.0.1:9464");
            wrong("admin.listen", reason)
        })?;
        let mut outside = addresses.filter(|it| !it.ip().to_canonical().is_loopback());
        if key.is_none() && outside.next().is_some() {
            return Err(key_needed(listen));
        }
        Ok(key)
    }
}

fn key_needed(listen: &str) -> ConnectorError {
    let reason = format!(
        "needed, since other machines can reach {listen} (admin.listen): make one with openssl rand -hex 32, or listen \
         on 127.0.0.1"
    );
    wrong("admin.key_file", reason)
}

#[cfg(test)]
mod tests {
    use super::AdminConfig;

    #[test]
    fn keys_and_addresses_are_checked_and_named() {
        let check = |json: &str, expect: Option<&str>| {
            let config: AdminConfig = serde_json::from_str(json).unwrap();
            let problem = config.check().err().map(|it| it.to_string());
            match (&problem, expect) {
                (None, None) => {}
                (Some(problem), Some(expect)) => {
                    assert!(problem.starts_with(expect), "{json}: {problem}");
                    assert!(!problem.contains("Hush"), "{problem}");
                }
                _ => panic!("{json}: {problem:?}"),
            }
        };
        let long = r#""key": "Hush-0123456789abcdef""#;
        check("{}", None);
        check(r#"{"listen": "127.0.0.1:9464"}"#, None);
        check(r#"{"listen": "[::1]:9464"}"#, None);
        check(r#"{"listen": "[::ffff:127.0.0.1]:9464"}"#, None);
        for address in [
            "0.0.0.0:9464",
            "[::]:9464",
            "10.0.0.7:9464",
            "[::ffff:10.0.0.7]:9464",
        ] {
            check(
                &format!(r#"{{"listen": "{address}"}}"#),
                Some("admin.key_file: needed"),
            );
            let open = format!(r#"{{"listen": "{address}", "metrics_open": true}}"#);
            check(&open, Some("admin.key_file: needed"));
            check(&format!(r#"{{"listen": "{address}", {long}}}"#), None);
        }
        check(
            r#"{"listen": "nonsense"}"#,
            Some("admin.listen: \"nonsense\" is not"),
        );
        check(r#"{"key": "Hush"}"#, Some("admin.key: is short enough"));
        check(
            r#"{"key_file": "/nowhere/key"}"#,
            Some("admin.key_file: cannot read"),
        );
        check(
            &format!(r#"{{{long}, "key_file": "/nowhere/key"}}"#),
            Some("admin.key_file: set it or"),
        );
        let config: AdminConfig = serde_json::from_str(&format!("{{{long}}}")).unwrap();
        assert!(!format!("{config:?}").contains("Hush"));
    }
}
