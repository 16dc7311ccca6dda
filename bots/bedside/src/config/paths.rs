//! Paths as people write them. No shell stands between the configuration and the bot: what only a shell would read is
//! read here or refused, never taken for a folder's name.

use std::path::PathBuf;

use serde_json::Value;

use super::Config;

/// A path that cannot be meant as it is written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) key: Vec<String>,
    pub(super) reason: String,
}

/// Puts the home directory in the place of a leading `~` in every key that holds a path.
pub(super) fn resolve(config: &mut Config, home: Option<&str>) -> Vec<Problem> {
    let mut paths = Paths {
        home,
        problems: Vec::new(),
    };
    paths.folder(&["data_dir"], &mut config.data_dir);
    paths.folder(&["model", "adapters_dir"], &mut config.model.adapters_dir);
    paths.folder(&["plugins", "dir"], &mut config.plugins.dir);

    let bot = &mut config.bot;
    paths.file(&["bot", "triage_additions"], &mut bot.triage_additions);
    paths.file(&["bot", "second_reader"], &mut bot.second_reader);
    paths.file(&["remote", "api_key_file"], &mut config.remote.api_key_file);
    paths.file(&["web", "api", "key_file"], &mut config.web.api.key_file);
    paths.file(&["telegram", "token_file"], &mut config.telegram.token_file);
    paths.file(&["discord", "token_file"], &mut config.discord.token_file);
    paths.file(&["admin", "key_file"], &mut config.admin.key_file);
    let wechat = &mut config.wechat;
    paths.file(&["wechat", "token_file"], &mut wechat.token_file);
    paths.file(
        &["wechat", "encoding_aes_key_file"],
        &mut wechat.encoding_aes_key_file,
    );
    paths.file(&["wechat", "secret_file"], &mut wechat.secret_file);
    let escalation = &mut config.escalation;
    paths.file(
        &["escalation", "webhook_key_file"],
        &mut escalation.webhook_key_file,
    );
    paths.file(
        &["escalation", "mail_password_file"],
        &mut escalation.mail_password_file,
    );
    for (name, adapter) in &mut config.model.adapters {
        paths.path(&["model", "adapters", name.as_str()], adapter);
    }

    // These may also be a name or an address, which never begins so.
    paths.source(&["model", "source"], &mut config.model.source);
    paths.source(&["embeddings", "source"], &mut config.embeddings.source);
    if let Some(format) = &mut config.model.prompt_format {
        paths.text(&["model", "prompt_format"], format);
    }
    for (plugin, settings) in &mut config.plugins.settings {
        paths.settings(&mut owned(&["plugins", "settings", plugin.as_str()]), settings);
    }
    paths.problems
}

/// The home directory, as a shell knows it.
pub(super) fn home() -> Option<String> {
    std::env::var("HOME").ok().filter(|it| it.starts_with('/'))
}

struct Paths<'a> {
    home: Option<&'a str>,
    problems: Vec<Problem>,
}

impl Paths<'_> {
    /// An empty one would be the folder that the bot happens to be started in.
    fn folder(&mut self, key: &[&str], path: &mut Option<PathBuf>) {
        if path.as_ref().is_some_and(|it| it.as_os_str().is_empty()) {
            let reason = "is empty: name a folder, or leave the key out".to_owned();
            self.problem(owned(key), reason);
            return;
        }
        self.file(key, path);
    }

    fn file(&mut self, key: &[&str], path: &mut Option<PathBuf>) {
        if let Some(path) = path {
            self.path(key, path);
        }
    }

    fn path(&mut self, key: &[&str], path: &mut PathBuf) {
        let Some(written) = path.to_str() else { return };
        let mut text = written.to_owned();
        self.text(key, &mut text);
        *path = PathBuf::from(text);
    }

    /// `file:` may stand before the path.
    fn source(&mut self, key: &[&str], source: &mut String) {
        let path = source.trim_start().strip_prefix("file:").map(str::to_owned);
        match path {
            Some(mut path) => {
                self.text(key, &mut path);
                *source = format!("file:{path}");
            }
            None => self.text(key, source),
        }
    }

    fn text(&mut self, key: &[&str], text: &mut String) {
        match resolved(text, self.home) {
            Ok(Some(path)) => *text = path,
            Ok(None) => {}
            Err(reason) => self.problem(owned(key), reason),
        }
    }

    /// What is a path here only the plugin knows, but `~/` begins nothing else.
    fn settings(&mut self, key: &mut Vec<String>, value: &mut Value) {
        match value {
            Value::String(text) if text.starts_with("~/") => match resolved(text, self.home) {
                Ok(Some(path)) => *text = path,
                Ok(None) => {}
                Err(reason) => self.problem(key.clone(), reason),
            },
            Value::Array(values) => {
                for (number, value) in values.iter_mut().enumerate() {
                    key.push(number.to_string());
                    self.settings(key, value);
                    key.pop();
                }
            }
            Value::Object(values) => {
                for (name, value) in values.iter_mut() {
                    key.push(name.clone());
                    self.settings(key, value);
                    key.pop();
                }
            }
            _ => {}
        }
    }

    fn problem(&mut self, key: Vec<String>, reason: String) {
        self.problems.push(Problem { key, reason });
    }
}

/// The path that is meant, if it is not the one that is written. Errors do not repeat it: a secret may stand in the wrong
/// key.
fn resolved(written: &str, home: Option<&str>) -> Result<Option<String>, String> {
    let written = written.trim_start();
    if written.starts_with('$') || written.contains("${") {
        return Err(
            "variables are not read in paths: write the path out, or ~/ for the home directory".to_owned(),
        );
    }
    let Some(rest) = written.strip_prefix('~') else {
        return Ok(None);
    };
    if !rest.is_empty() && !rest.starts_with('/') {
        return Err(
            "only ~/ is read, for the home directory of the bot's own user: write the path out, with ./ before a name \
             that begins with ~"
                .to_owned(),
        );
    }
    let Some(home) = home else {
        return Err("there is no home directory, since HOME is not set: write the path out".to_owned());
    };
    Ok(Some(match rest.trim_start_matches('/') {
        "" => home.to_owned(),
        rest => format!("{}/{rest}", home.trim_end_matches('/')),
    }))
}

fn owned(key: &[&str]) -> Vec<String> {
    key.iter().map(|it| (*it).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::{Config, resolve, resolved};

    const HOME: Option<&str> = Some("/home/nurse");

    #[test]
    fn only_the_beginning_of_a_path_is_read() {
        let check = |written: &str, expect: Option<&str>| {
            assert_eq!(resolved(written, HOME).unwrap().as_deref(), expect, "{written}");
        };
        check("~", Some("/home/nurse"));
        check("~/", Some("/home/nurse"));
        check("~/bed", Some("/home/nurse/bed"));
        check("~//bed", Some("/home/nurse/bed"));
        check(" ~/床旁", Some("/home/nurse/床旁"));
        check("~/x.gguf#sha256=0", Some("/home/nurse/x.gguf#sha256=0"));
        for as_it_is in [
            "/srv/~/bed",
            "./~bed",
            "bed~",
            "bed",
            "default",
            "hf:a/b/c.gguf",
            "https://x/~y/z",
            "/srv/a$b",
        ] {
            check(as_it_is, None);
        }
        assert_eq!(resolved("~/bed", Some("/")).unwrap().as_deref(), Some("/bed"));
    }

    #[test]
    fn what_cannot_be_read_is_refused_with_its_key() {
        let check = |text: &str, home: Option<&str>, key: &str, reason: &str| {
            let mut config: Config = toml::from_str(text).unwrap();
            let problems = resolve(&mut config, home);
            assert_eq!(problems.len(), 1, "{text}");
            assert_eq!(problems[0].key.join("."), key);
            assert!(problems[0].reason.contains(reason), "{problems:?}");
        };
        check("data_dir = '~/bed'", None, "data_dir", "HOME");
        check("data_dir = '~nurse/bed'", HOME, "data_dir", "only ~/");
        check("data_dir = '$HOME/bed'", HOME, "data_dir", "variables");
        check("data_dir = '/srv/${WARD}/bed'", HOME, "data_dir", "variables");
        check("data_dir = ''", HOME, "data_dir", "empty");
        check("[plugins]\ndir = ''", HOME, "plugins.dir", "empty");
        check("[model]\nsource = '~x.gguf'", HOME, "model.source", "only ~/");
        check(
            "[model.adapters]\nheart = '$X/heart'",
            HOME,
            "model.adapters.heart",
            "variables",
        );
        check(
            "[plugins.settings.'a.b']\nfolders = ['/x', '~/y']",
            None,
            "plugins.settings.a.b.folders.1",
            "HOME",
        );
    }

    #[test]
    fn a_model_source_and_a_plugins_texts_are_left_alone_unless_they_are_paths() {
        let text = "[model]\nsource = 'file:~/x.gguf'\nprompt_format = '~/x.jinja'\n[embeddings]\nsource = '~/e.bin'\n\
                    [plugins.settings.'a.b']\nsign = '~'\nprice = '$5'\ninner = { folder = '~/y', many = 3 }";
        let mut config: Config = toml::from_str(text).unwrap();
        assert!(resolve(&mut config, HOME).is_empty());
        assert_eq!(config.model.source, "file:/home/nurse/x.gguf");
        assert_eq!(config.model.prompt_format.as_deref(), Some("/home/nurse/x.jinja"));
        assert_eq!(config.embeddings.source, "/home/nurse/e.bin");
        let settings = &config.plugins.settings["a.b"];
        assert_eq!(settings["sign"], "~");
        assert_eq!(settings["price"], "$5");
        assert_eq!(settings["inner"]["folder"], "/home/nurse/y");
    }

    /// The shipped configuration shows every key; those of paths stand in comments as `# key = "/…"`.
    #[test]
    fn no_key_of_a_path_is_forgotten() {
        let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../../configs/bedside.toml");
        let example = std::fs::read_to_string(example).unwrap();
        let (mut section, mut checked) = (String::new(), Vec::new());
        for line in example.lines() {
            let bare = line.trim_start_matches("# ");
            if bare.starts_with('[') && bare.ends_with(']') {
                section = bare.to_owned();
                continue;
            }
            let Some((key, value)) = line.strip_prefix("# ").and_then(|it| it.split_once(" = ")) else {
                continue;
            };
            let written = if value.starts_with("\"/") {
                "'~/x'"
            } else if value.starts_with("[\"/") {
                "['~/x']"
            } else {
                continue;
            };
            let text = format!("{section}\n{key} = {written}");
            let mut config: Config = toml::from_str(&text).unwrap();
            assert!(resolve(&mut config, HOME).is_empty(), "{text}");
            let settled = format!("{config:?} {:?}", config.plugins.settings);
            assert!(
                settled.contains("/home/nurse/x") && !settled.contains("~/"),
                "{text}"
            );
            checked.push(key.to_owned());
        }
        assert!(checked.len() >= 17, "{checked:?}");
    }
}
