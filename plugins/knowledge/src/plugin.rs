//! The plugin: adds passages to prompts and answers the command `knowledge`.

use std::path::{Path, PathBuf};

use bedside_plugin_api::{
    Error, Host, Plugin,
    msg::{
        Command, CommandReply, Description, Health, LogLevel, Message, Passage, PromptAdditions,
        PromptRequest,
    },
};
use serde::Deserialize;

use crate::{
    command,
    library::{Folder, Library, Origin, citation},
    lint::Severity,
    passage::length,
    search::{Found, Hit},
    section::Language,
};

/// The plugin's settings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The hospital's own folders of articles. Theirs replace starter articles of the same id and language,
    /// a later folder's those of an earlier one. Relative to the plugin's data folder, which is the only
    /// one besides its package that a sandboxed plugin can read.
    pub folders: Vec<PathBuf>,
}

/// The plugin.
pub struct Knowledge {
    host: Host,
    config: Config,
    library: Library,
}

impl Plugin for Knowledge {
    type Config = Config;

    fn new(host: Host, config: Config) -> Result<Self, Error> {
        let library = load(&host, &config)?;
        Ok(Self {
            host,
            config,
            library,
        })
    }

    fn describe(&mut self) -> Result<Description, Error> {
        let [hooks, commands] =
            [["augment_prompt"], [command::NAME]].map(|names| names.map(str::to_owned).to_vec());
        Ok(Description {
            hooks,
            commands,
            ..Description::default()
        })
    }

    fn augment_prompt(&mut self, request: &PromptRequest) -> Result<PromptAdditions, Error> {
        let message = &request.message;
        let Some(language) = language_of(message) else {
            return Ok(PromptAdditions::default());
        };
        let history = request.history.iter().rev().filter(|it| it.role == "patient");
        let earlier: Vec<&str> = history.map(|it| it.text.as_str()).collect();
        let found = self.library.search(language, &message.text, &earlier);
        let passages = fitting(&found, request.token_budget);
        let instructions = match (passages.is_empty(), language) {
            (true, _) => Vec::new(),
            (false, Language::En) => {
                vec!["Rest medical statements on the passages and name their titles.".to_owned()]
            }
            (false, Language::Zh) => vec!["医学内容以所附资料为准，并注明资料标题。".to_owned()],
        };
        Ok(PromptAdditions {
            instructions,
            passages,
        })
    }

    fn command(&mut self, command: &Command) -> Result<CommandReply, Error> {
        command::run(self, command)
    }

    fn health(&mut self) -> Result<Health, Error> {
        let passages: usize = Language::ALL
            .iter()
            .map(|it| self.library.of(*it).passage_count())
            .sum();
        let left_out = self
            .library
            .findings()
            .iter()
            .filter(|it| it.severity == Severity::Error)
            .count();
        Ok(Health {
            ok: passages > 0,
            reason: format!("{passages} passages, {left_out} errors in articles"),
        })
    }
}

impl Knowledge {
    pub(crate) fn library(&self) -> &Library {
        &self.library
    }

    pub(crate) fn host(&self) -> &Host {
        &self.host
    }

    /// Where imported articles lie, if the bot gave the plugin a place.
    pub(crate) fn import_folder(&self) -> Option<PathBuf> {
        self.host.data_dir().map(imported)
    }

    /// All folders that are read, in their order.
    pub(crate) fn folders(&self) -> Vec<Folder> {
        folders(&self.host, &self.config)
    }

    /// The path that a person gave, seen from the plugin's data folder.
    pub(crate) fn resolve(&self, path: &str) -> PathBuf {
        resolve(&self.host, Path::new(path))
    }

    pub(crate) fn reload(&mut self) -> Result<(), Error> {
        self.library = load(&self.host, &self.config)?;
        Ok(())
    }
}

/// The message's own language; told by its script if the bot does not say.
pub(crate) fn language_of(message: &Message) -> Option<Language> {
    Language::parse(&message.language).or_else(|| Language::detect(&message.text))
}

/// A passage as the bot takes it. A question after mere facts ("what causes a stroke?") is no emergency, so
/// the usual urgency goes along only if somebody's own trouble is told.
pub(crate) fn to_passage(hit: &Hit<'_>, reports: bool) -> Passage {
    Passage {
        id: hit.passage.id.clone(),
        title: hit.passage.title.clone(),
        text: hit.passage.text.clone(),
        language: hit.article.language.code().to_owned(),
        source: citation(hit.article),
        score: hit.score,
        departments: hit.article.departments.clone(),
        disposition: reports.then(|| hit.disposition().to_owned()),
    }
}

/// The first passage always (it can be quoted if it fits no prompt), further ones while they fit. Nothing of a
/// section stays without what stands before it there.
fn fitting(found: &Found<'_>, token_budget: usize) -> Vec<Passage> {
    let mut left = token_budget;
    let mut passages = Vec::new();
    let mut cut = Vec::new();
    for hit in &found.hits {
        let tokens = estimated_tokens(hit);
        let section = (&hit.article.id, hit.passage.section);
        if passages.is_empty() || (tokens <= left && !cut.contains(&section)) {
            passages.push(to_passage(hit, found.reports));
            left = left.saturating_sub(tokens);
        } else {
            cut.push(section);
        }
    }
    passages
}

/// About how many tokens a passage takes: on the safe side for vocabularies made for its language.
fn estimated_tokens(hit: &Hit<'_>) -> usize {
    let language = hit.article.language;
    let words = length(&hit.passage.title, language) + length(&hit.passage.text, language);
    words + words / 2
}

fn load(host: &Host, config: &Config) -> Result<Library, Error> {
    let library = Library::load(&folders(host, config), host.contacts()).map_err(Error::new)?;
    for finding in library
        .findings()
        .iter()
        .filter(|it| it.severity == Severity::Error)
    {
        host.log(LogLevel::Error, &finding.to_string());
    }
    let [english, chinese] = Language::ALL.map(|it| library.of(it).articles().count());
    let milliseconds = library.build_time().as_millis();
    host.log(
        LogLevel::Info,
        &format!("{english} articles in English, {chinese} in Chinese, read in {milliseconds} ms"),
    );
    Ok(library)
}

fn folders(host: &Host, config: &Config) -> Vec<Folder> {
    let starter = Folder {
        path: host.package_dir().join("data/conditions"),
        origin: Origin::Starter,
    };
    let own = config.folders.iter().map(|it| resolve(host, it));
    let own = own.chain(host.data_dir().map(imported).filter(|it| it.is_dir()));
    std::iter::once(starter)
        .chain(own.map(|path| Folder {
            path,
            origin: Origin::Hospital,
        }))
        .collect()
}

fn imported(data_dir: &Path) -> PathBuf {
    data_dir.join("articles")
}

fn resolve(host: &Host, path: &Path) -> PathBuf {
    // Joining an absolute path gives that path.
    host.data_dir()
        .map_or_else(|| path.to_owned(), |it| it.join(path))
}
