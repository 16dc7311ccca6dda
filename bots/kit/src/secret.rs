use std::{os::unix::fs::PermissionsExt, path::Path};

use bedside_contract::ConnectorError;
use secrecy::{ExposeSecret, SecretString};

use crate::wrong;

/// A secret and the key that it came from, to be blamed if it is malformed.
#[derive(Debug)]
pub struct Secret {
    pub key: String,
    pub text: SecretString,
}

/// The secret `section.key`, given as a value or as the name of a file (`section.key_file`) that holds it and nothing
/// else; blanks around it do not count. `None` if neither is set.
///
/// # Errors
/// [`ConnectorError::Config`] if both are set, or if the file cannot be read.
pub fn read_secret(
    section: &str,
    key: &str,
    value: Option<&SecretString>,
    file: Option<&Path>,
) -> Result<Option<Secret>, ConnectorError> {
    let (value_key, file_key) = (format!("{section}.{key}"), format!("{section}.{key}_file"));
    let secret = |key: String, text: &str| Secret {
        key,
        text: text.trim().to_owned().into(),
    };
    match (value, file) {
        (Some(_), Some(_)) => Err(wrong(file_key, format!("set it or {value_key}, not both"))),
        (Some(value), None) => Ok(Some(secret(value_key, value.expose_secret()))),
        (None, Some(path)) => {
            let text = std::fs::read_to_string(path)
                .map_err(|error| wrong(&file_key, format!("cannot read {}: {error}", path.display())))?;
            warn_of_readers(&file_key, path);
            Ok(Some(secret(file_key, &text)))
        }
        (None, None) => Ok(None),
    }
}

/// Containers mount secrets readable for everybody inside, so it is no error.
fn warn_of_readers(key: &str, path: &Path) {
    if std::fs::metadata(path).is_ok_and(|it| it.permissions().mode() & 0o007 != 0) {
        tracing::warn!(
            key,
            path = %path.display(),
            "Every user of this machine can read a secret file: chmod 600 and chown it to the bot's user."
        );
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use secrecy::ExposeSecret;

    use super::read_secret;

    #[test]
    fn a_secret_comes_from_one_place() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b" from-file\n").unwrap();
        let value = "value\n".to_owned().into();
        let read = |value, file| read_secret("ward", "token", value, file);
        let found = |value, file| {
            let secret = read(value, file).unwrap()?;
            Some((secret.key, secret.text.expose_secret().to_owned()))
        };
        let pair = |key: &str, text: &str| Some((key.to_owned(), text.to_owned()));
        assert_eq!(found(None, None), None);
        assert_eq!(found(Some(&value), None), pair("ward.token", "value"));
        assert_eq!(
            found(None, Some(file.path())),
            pair("ward.token_file", "from-file")
        );
        let problem = |value, file| read(value, file).unwrap_err().to_string();
        assert_eq!(
            problem(Some(&value), Some(file.path())),
            "ward.token_file: set it or ward.token, not both"
        );
        let missing = problem(None, Some("/nowhere/token".as_ref()));
        assert!(missing.starts_with("ward.token_file: cannot read /nowhere/token: "));
    }
}
