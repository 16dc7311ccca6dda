//! `bedside model verify`.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use bedside_embeddings::DEFAULT_EMBEDDINGS;
use bedside_model::{
    ModelSource,
    pull::{PackagedFile, Verdict, model_files, place_of, verify as verify_file, wanted_sha256},
    source::DEFAULT_MODEL,
};
use serde::Serialize;

use super::{Bar, configured_source, embeddings_source};
use crate::{config::Config, output::say, wiring::models_dir};

/// A file, and the checksum that it must have where somebody has given one.
#[derive(Debug, PartialEq, Eq)]
struct Candidate {
    path: PathBuf,
    given: Option<String>,
}

/// What `--json` says of a file.
#[derive(Debug, Serialize)]
struct Row {
    path: PathBuf,
    /// `right`, `wrong`, `new` (there was nothing to compare with) or `unreadable`.
    result: &'static str,
    sha256: Option<String>,
    wanted: Option<String>,
    error: Option<String>,
}

/// Fails if a file is not what it should be, or not there.
pub(crate) fn verify(config: &Config, sources: &[ModelSource], json: bool) -> anyhow::Result<ExitCode> {
    let models = models_dir(&config.data_dir()?);
    let candidates = if sources.is_empty() {
        everything(config, &models)?
    } else {
        let of_source = |it| candidate(it, &DEFAULT_MODEL, &models);
        sources.iter().map(of_source).collect()
    };
    let bar = Bar::default();
    let rows: Vec<Row> = candidates.into_iter().map(|it| check(it, &bar)).collect();
    bar.finish();
    if json {
        say(&serde_json::to_string(&rows)?);
    } else if rows.is_empty() {
        say(&format!(
            "no models in {}; fetch one with `bedside model pull`",
            models.display()
        ));
    } else {
        rows.iter().for_each(|it| say(&it.line()));
    }
    let all_are_well = rows.iter().all(|it| ["right", "new"].contains(&it.result));
    Ok(if all_are_well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The files in the models folder, and those elsewhere that the configuration names.
fn everything(config: &Config, models: &Path) -> anyhow::Result<Vec<Candidate>> {
    let default = ModelSource {
        place: bedside_model::source::Place::Default,
        sha256: None,
    };
    // Whoever asks for a checksum comes first.
    let named = [
        candidate(&configured_source(config)?, &DEFAULT_MODEL, models),
        candidate(&embeddings_source(config)?, &DEFAULT_EMBEDDINGS, models),
        candidate(&default, &DEFAULT_MODEL, models),
        candidate(&default, &DEFAULT_EMBEDDINGS, models),
    ];
    Ok(with_named(model_files(models)?, named))
}

fn with_named(files: Vec<PathBuf>, named: [Candidate; 4]) -> Vec<Candidate> {
    let mut all: Vec<Candidate> = Vec::new();
    let unnamed = files.into_iter().map(|path| Candidate { path, given: None });
    for candidate in named.into_iter().filter(|it| it.path.is_file()).chain(unnamed) {
        if all.iter().all(|it| it.path != candidate.path) {
            all.push(candidate);
        }
    }
    all.sort_by(|one, other| one.path.cmp(&other.path));
    all
}

fn candidate(source: &ModelSource, default: &PackagedFile, models: &Path) -> Candidate {
    Candidate {
        path: place_of(source, default, models),
        given: wanted_sha256(source, default).map(str::to_owned),
    }
}

fn check(candidate: Candidate, bar: &Bar) -> Row {
    let Candidate { path, given } = candidate;
    match verify_file(&path, given.as_deref(), bar) {
        Ok(found) => {
            let (result, wanted) = match found.verdict {
                Verdict::Right => ("right", None),
                Verdict::New => ("new", None),
                Verdict::Wrong { wanted } => ("wrong", Some(wanted)),
            };
            Row {
                path,
                result,
                sha256: Some(found.sha256),
                wanted,
                error: None,
            }
        }
        Err(error) => Row {
            path,
            result: "unreadable",
            sha256: None,
            wanted: given,
            error: Some(error.to_string()),
        },
    }
}

impl Row {
    fn line(&self) -> String {
        let path = self.path.display();
        let sha256 = self.sha256.as_deref().unwrap_or_default();
        match (self.result, &self.wanted, &self.error) {
            (_, _, Some(error)) => error.clone(),
            (_, Some(wanted), None) => format!(
                "{path}: wrong: sha256 {sha256}, {wanted} is needed; delete it and fetch it again with \
                 `bedside model pull`"
            ),
            ("new", None, None) => format!(
                "{path}: there is nothing to compare with; sha256 {sha256} is noted and compared from the next time on"
            ),
            (_, None, None) => format!("{path}: right, sha256 {sha256}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, process::ExitCode};

    use bedside_model::ModelSource;

    use super::{check, everything, verify};
    use crate::{commands::model::Bar, config::Config};

    /// sha256 of `abc`, FIPS 180-2.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn config(folder: &std::path::Path) -> Config {
        Config {
            data_dir: Some(folder.to_owned()),
            ..Config::default()
        }
    }

    #[test]
    fn files_are_compared_with_what_was_given_or_noted() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(folder.path());
        let models = folder.path().join("models");
        fs::create_dir_all(models.join("source")).unwrap();
        let own = folder.path().join("own.gguf");
        for path in [
            own.clone(),
            models.join("source/a.gguf"),
            models.join("e5-small-q4.bin"),
        ] {
            fs::write(path, "abc").unwrap();
        }
        config.model.source = format!("{}#sha256={ABC}", own.display());
        let results = |config: &Config| -> Vec<&'static str> {
            let all = everything(config, &models).unwrap();
            all.into_iter()
                .map(|it| check(it, &Bar::default()).result)
                .collect()
        };
        // In the order of their paths: the default of the second kind, whose checksum is known; one that was never read;
        // the configured one.
        assert_eq!(results(&config), ["wrong", "new", "right"]);
        assert_eq!(results(&config), ["wrong", "right", "right"]);
        fs::write(&own, "abd").unwrap();
        assert_eq!(results(&config), ["wrong", "right", "wrong"]);
    }

    #[test]
    fn the_exit_code_tells() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        let own = folder.path().join("own.gguf");
        let code = |hash: &str| {
            let source: ModelSource = format!("{}#sha256={hash}", own.display()).parse().unwrap();
            format!("{:?}", verify(&config, &[source], true).unwrap())
        };
        let (done, failed) = (
            format!("{:?}", ExitCode::SUCCESS),
            format!("{:?}", ExitCode::FAILURE),
        );
        assert_eq!(code(ABC), failed, "it is not there");
        fs::write(&own, "abc").unwrap();
        assert_eq!(code(ABC), done);
        assert_eq!(code(&"0".repeat(64)), failed);
        assert_eq!(format!("{:?}", verify(&config, &[], false).unwrap()), done);
    }
}
