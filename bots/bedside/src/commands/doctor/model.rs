//! The model's file, its checksum and the memory that it needs; the embedding model's file.

use std::path::Path;

use bedside_engine::memory_need;
use bedside_model::{
    ModelSource,
    memory::{Free, Need, free},
    pull::{Noted, noted, place_of, wanted_sha256},
    source::{DEFAULT_MODEL, Place},
};

use super::finding::Finding;
use crate::{
    config::Config,
    wiring::{embeddings, models_dir},
};

const CHECK: &str = "model";

pub(super) fn look(config: &Config, data_dir: &Path, is_running: bool) -> Vec<Finding> {
    let mut findings = if config.remote.is_on() {
        let text = "a server answers ([remote]); `bedside doctor --online` connects to it";
        vec![Finding::ok(CHECK, text)]
    } else {
        in_this_process(config, data_dir, is_running)
    };
    if config.embeddings.enabled
        && let Ok(embeddings) = embeddings(config, data_dir)
    {
        findings.push(match embeddings.warning() {
            Some(warning) => Finding::note("embeddings", warning, "bedside model pull"),
            None => Finding::ok("embeddings", "the file is there"),
        });
    }
    findings
}

fn in_this_process(config: &Config, data_dir: &Path, is_running: bool) -> Vec<Finding> {
    let source: ModelSource = match config.model.source.parse() {
        Ok(source) => source,
        Err(error) => {
            let text = format!("model.source: {error}");
            return vec![Finding::problem(
                CHECK,
                text,
                "mend it; until then no model answers",
            )];
        }
    };
    let path = place_of(&source, &DEFAULT_MODEL, &models_dir(data_dir));
    let file = File {
        is_there: path.is_file(),
        is_own: matches!(source.place, Place::File(_)),
        wanted: wanted_sha256(&source, &DEFAULT_MODEL).map(str::to_owned),
        noted: noted(&path),
    };
    let mut findings = vec![judge_file(&path.display().to_string(), &file)];
    if file.is_there {
        let need = memory_need(&path, &config.model, &config.engine);
        // What a running bot has taken is not free any more.
        let free = free().filter(|_| !is_running);
        findings.push(judge_memory(need, free));
    }
    findings
}

struct File {
    is_there: bool,
    /// The operator's own, not one that is fetched.
    is_own: bool,
    wanted: Option<String>,
    noted: Option<Noted>,
}

fn judge_file(place: &str, file: &File) -> Finding {
    let verify = "bedside model verify";
    if !file.is_there {
        let text = format!("{place} is not there: answers are passages of the knowledge base");
        return if file.is_own {
            Finding::problem(CHECK, text, "put it there, or set model.source to another")
        } else {
            Finding::note(CHECK, text, "bedside model pull")
        };
    }
    let Some(noted) = &file.noted else {
        let text = format!("{place} was never compared with a checksum");
        return Finding::note(CHECK, text, verify);
    };
    if !noted.is_current {
        let text = format!("{place} has changed since its checksum was noted");
        return if noted.source.is_some() || file.wanted.is_some() {
            Finding::problem(CHECK, text, format!("{verify}; if it is wrong, fetch it anew"))
        } else {
            Finding::note(CHECK, text, verify)
        };
    }
    match &file.wanted {
        Some(wanted) if *wanted != noted.sha256 => Finding::problem(
            CHECK,
            format!("{place} has the sha256 {}, {wanted} is wanted", noted.sha256),
            "take the file away and `bedside model pull`, or mend #sha256= in model.source",
        ),
        _ => Finding::ok(CHECK, format!("{place}, sha256 {}", noted.sha256)),
    }
}

fn judge_memory(need: Result<Need, String>, free: Option<Free>) -> Finding {
    let need = match need {
        Ok(need) => need,
        Err(error) => {
            return Finding::problem(CHECK, error, "fetch it anew, or set model.source to another");
        }
    };
    let mib = |blocks: u64| {
        let all = need.weights.saturating_add(need.work);
        all.saturating_add(blocks.saturating_mul(need.block)) >> 20
    };
    match need.blocks_that_fit(free) {
        Ok(blocks) if blocks < need.blocks => Finding::note(
            "memory",
            format!(
                "the model and fewer chats than wanted fit: {} of {} MiB",
                mib(blocks),
                mib(need.blocks)
            ),
            "more memory lets more patients be answered at once",
        ),
        Ok(blocks) => {
            let is = free.map_or(String::new(), |it| {
                format!(", {} MiB are free {}", it.bytes >> 20, it.bound)
            });
            Finding::ok("memory", format!("the model needs {} MiB{is}", mib(blocks)))
        }
        Err(too_large) => Finding::problem(
            "memory",
            too_large.to_string(),
            "until then no model answers, and patients get passages of the knowledge base",
        ),
    }
}

#[cfg(test)]
mod tests {
    use bedside_model::{
        memory::{Bound, Free, Need},
        pull::Noted,
    };

    use super::{super::finding::Verdict, File, judge_file, judge_memory};

    fn file() -> File {
        File {
            is_there: true,
            is_own: false,
            wanted: Some("ab".to_owned()),
            noted: Some(Noted {
                sha256: "ab".to_owned(),
                source: Some("hf:a/b/c.gguf".to_owned()),
                is_current: true,
            }),
        }
    }

    #[test]
    fn files_that_are_missing_or_changed() {
        let check = |change: &dyn Fn(&mut File), expect: Verdict, words: &str| {
            let mut file = file();
            change(&mut file);
            let found = judge_file("/models/a.gguf", &file);
            assert_eq!(found.verdict, expect, "{found:?}");
            assert!(
                found.text.contains(words) && found.text.contains("/models/a.gguf"),
                "{found:?}"
            );
        };
        let noted = |current, source: Option<&str>| {
            Some(Noted {
                sha256: "ab".to_owned(),
                source: source.map(str::to_owned),
                is_current: current,
            })
        };
        check(&|_| {}, Verdict::Ok, "sha256 ab");
        check(&|it| it.is_there = false, Verdict::Note, "not there");
        check(
            &|it| (it.is_there, it.is_own) = (false, true),
            Verdict::Problem,
            "not there",
        );
        check(&|it| it.noted = None, Verdict::Note, "never compared");
        check(
            &|it| it.noted = noted(false, Some("x")),
            Verdict::Problem,
            "has changed",
        );
        check(
            &|it| (it.noted, it.wanted) = (noted(false, None), None),
            Verdict::Note,
            "has changed",
        );
        check(
            &|it| it.wanted = Some("cd".to_owned()),
            Verdict::Problem,
            "cd is wanted",
        );
    }

    #[test]
    fn a_model_that_does_not_fit_is_a_problem() {
        let need = Need {
            weights: 500 << 20,
            work: 100 << 20,
            block: 1 << 20,
            chat_blocks: 10,
            blocks: 40,
            may_have_fewer: true,
        };
        let check = |free_mib: Option<u64>, expect: Verdict, words: &str| {
            let free = free_mib.map(|it| Free {
                bytes: it << 20,
                bound: Bound::ControlGroup,
            });
            let found = judge_memory(Ok(need), free);
            assert_eq!(found.verdict, expect, "{found:?}");
            assert!(found.text.contains(words), "{found:?}");
        };
        check(Some(640), Verdict::Ok, "needs 640 MiB, 640 MiB are free");
        check(Some(620), Verdict::Note, "620 of 640");
        check(Some(609), Verdict::Problem, "does not fit");
        check(Some(1), Verdict::Problem, "smaller model");
        check(None, Verdict::Ok, "needs 640 MiB");
        let broken = judge_memory(Err("a.gguf: no GGUF".to_owned()), None);
        assert_eq!(broken.verdict, Verdict::Problem);
    }
}
