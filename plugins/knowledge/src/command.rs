//! The command `knowledge`: search, stats, lint, import.

use std::{fs, path::Path};

use bedside_plugin_api::{
    Error,
    msg::{Command, CommandReply},
};
use serde_json::json;

use crate::{
    library::{FileRead, citation, read_folder},
    lint::{Finding, Numbers, Severity, missing_twins},
    plugin::{Knowledge, language_of, to_passage},
    section::Language,
};

pub(crate) const NAME: &str = "knowledge";

/// Runs the command.
pub(crate) fn run(knowledge: &mut Knowledge, command: &Command) -> Result<CommandReply, Error> {
    if command.name != NAME {
        return Err(Error::new(format!("there is no command {}", command.name)));
    }
    let arguments = command.arguments.trim();
    let (word, rest) = arguments
        .split_once(char::is_whitespace)
        .unwrap_or((arguments, ""));
    let rest = rest.trim();
    // Operators write in the language of their bot; what they search for does not tell.
    let spoken = Language::parse(&command.message.language).unwrap_or(Language::En);
    match word {
        "search" => search(knowledge, command, rest, spoken),
        "stats" => Ok(stats(knowledge, command.json, spoken)),
        "lint" => lint(knowledge, rest, command.json, spoken),
        "import" => import(knowledge, rest, command.json, spoken),
        _ => Ok(failed(usage(spoken))),
    }
}

fn usage(spoken: Language) -> &'static str {
    match spoken {
        Language::En => {
            "knowledge search TEXT [--lang en|zh]: what would be quoted\n\
             knowledge stats: what there is\n\
             knowledge lint [FOLDER]: check articles\n\
             knowledge import FOLDER: check articles and take them over"
        }
        Language::Zh => {
            "knowledge search 文字 [--lang en|zh]：会引用哪些内容\n\
             knowledge stats：知识库概况\n\
             knowledge lint [文件夹]：检查文章\n\
             knowledge import 文件夹：检查并导入文章"
        }
    }
}

fn search(
    knowledge: &Knowledge,
    command: &Command,
    rest: &str,
    spoken: Language,
) -> Result<CommandReply, Error> {
    let (text, asked) = match take_option(rest, "--lang") {
        Ok(found) => found,
        Err(()) => return Ok(failed(usage(spoken))),
    };
    let language = match asked.as_deref().map(|it| (it, Language::parse(it))) {
        Some((_, Some(language))) => Some(language),
        Some((other, None)) => return Ok(failed(&format!("--lang {other}: en | zh"))),
        None => Language::detect(&text).or_else(|| language_of(&command.message)),
    };
    let Some(language) = language.filter(|_| !text.is_empty()) else {
        return Ok(failed(usage(spoken)));
    };
    let found = knowledge.library().search(language, &text, &[]);
    if command.json {
        // The usual urgency is a fact of the article here, whoever asks.
        let passages: Vec<_> = found.hits.iter().map(|it| to_passage(it, true)).collect();
        return Ok(done(
            json!({ "language": language, "reports": found.reports, "passages": passages }).to_string(),
        ));
    }
    if found.hits.is_empty() {
        return Ok(done(match spoken {
            Language::En => "Nothing in the knowledge base answers this.".to_owned(),
            Language::Zh => "知识库中没有能回答这个问题的内容。".to_owned(),
        }));
    }
    let blocks = found.hits.iter().map(|hit| {
        let (title, text, source) = (&hit.passage.title, &hit.passage.text, citation(hit.article));
        let (id, score) = (&hit.passage.id, hit.score);
        let departments = hit.article.departments.join(", ");
        format!(
            "{title}  [{id}, {score:.2}]\n{text}\n{source} · {departments} · {}",
            hit.disposition()
        )
    });
    Ok(done(blocks.collect::<Vec<_>>().join("\n\n")))
}

fn stats(knowledge: &Knowledge, json: bool, spoken: Language) -> CommandReply {
    let library = knowledge.library();
    let milliseconds = library.build_time().as_millis();
    let errors = library
        .findings()
        .iter()
        .filter(|it| it.severity == Severity::Error)
        .count();
    let folders: Vec<String> = knowledge
        .folders()
        .iter()
        .map(|it| it.path.display().to_string())
        .collect();
    if json {
        let languages = Language::ALL.map(|language| {
            let index = library.of(language);
            json!({
                "language": language,
                "articles": index.articles().count(),
                "passages": index.passage_count(),
                "terms": index.term_count(),
            })
        });
        let answer =
            json!({ "languages": languages, "errors": errors, "folders": folders, "build_ms": milliseconds });
        return done(answer.to_string());
    }
    let mut lines: Vec<String> = Vec::new();
    for language in Language::ALL {
        let index = library.of(language);
        let (articles, passages, terms) = (
            index.articles().count(),
            index.passage_count(),
            index.term_count(),
        );
        lines.push(match spoken {
            Language::En => {
                format!("{language}: {articles} articles, {passages} passages, {terms} names and signs")
            }
            Language::Zh => {
                format!("{language}：{articles} 篇文章，{passages} 个段落，{terms} 个名称与症状词")
            }
        });
    }
    lines.push(match spoken {
        Language::En => format!(
            "{errors} errors; read in {milliseconds} ms from {}",
            folders.join(", ")
        ),
        Language::Zh => format!(
            "{errors} 处错误；读取用时 {milliseconds} 毫秒，来自 {}",
            folders.join("，")
        ),
    });
    done(lines.join("\n"))
}

fn lint(knowledge: &Knowledge, path: &str, json: bool, spoken: Language) -> Result<CommandReply, Error> {
    let paths = match path {
        "" => knowledge.folders().into_iter().map(|it| it.path).collect(),
        path => vec![knowledge.resolve(path)],
    };
    let mut files = Vec::new();
    for path in paths {
        files.extend(read_folder(&path, Numbers::Refused).map_err(Error::new)?);
    }
    let findings = check(&files);
    let failed = findings.iter().any(|it| it.severity == Severity::Error);
    if json {
        let text = json!({ "files": files.len(), "findings": findings }).to_string();
        return Ok(CommandReply { text, failed });
    }
    let (count, errors) = (
        files.len(),
        findings
            .iter()
            .filter(|it| it.severity == Severity::Error)
            .count(),
    );
    let warnings = findings.len() - errors;
    let summary = match spoken {
        Language::En => format!("{count} files, {errors} errors, {warnings} warnings"),
        Language::Zh => format!("{count} 个文件，{errors} 处错误，{warnings} 处警告"),
    };
    Ok(CommandReply {
        text: listed(&findings, summary),
        failed,
    })
}

/// Takes all of a folder's articles or none.
fn import(
    knowledge: &mut Knowledge,
    path: &str,
    json: bool,
    spoken: Language,
) -> Result<CommandReply, Error> {
    if path.is_empty() {
        return Ok(failed(usage(spoken)));
    }
    let Some(folder) = knowledge.import_folder() else {
        return Ok(failed(match spoken {
            Language::En => {
                "the bot gives this plugin no data folder: list the folder under `folders` in its settings"
            }
            Language::Zh => "机器人没有给本插件数据目录：请把该文件夹写入本插件设置的 `folders`",
        }));
    };
    let files = read_folder(&knowledge.resolve(path), Numbers::Refused).map_err(Error::new)?;
    let findings = check(&files);
    let refused = findings.iter().any(|it| it.severity == Severity::Error);
    let mut imported = Vec::new();
    if !refused {
        fs::create_dir_all(&folder).map_err(|error| Error::new(format!("{}: {error}", folder.display())))?;
        for (file, article) in files
            .iter()
            .filter_map(|file| Some((file, file.article.as_ref()?)))
        {
            let name = format!("{}.{}.md", article.id, article.language);
            place(&folder, &name, &file.text)?;
            imported.push(name);
        }
        knowledge.reload()?;
        // The operator's record; imported articles are effective even if the bot keeps no audit log.
        let detail = format!("{} articles", imported.len());
        if let Err(error) = knowledge.host().audit_note("knowledge.import", path, &detail) {
            knowledge.host().log(
                bedside_plugin_api::msg::LogLevel::Warn,
                &format!("no audit line: {error}"),
            );
        }
    }
    if json {
        let text =
            json!({ "imported": imported, "folder": folder.display().to_string(), "findings": findings });
        return Ok(CommandReply {
            text: text.to_string(),
            failed: refused,
        });
    }
    let summary = match (refused, spoken) {
        (true, Language::En) => "Nothing was imported: correct the errors and try again.".to_owned(),
        (true, Language::Zh) => "没有导入任何文章：请改正错误后重试。".to_owned(),
        (false, Language::En) => format!("{} articles imported.", imported.len()),
        (false, Language::Zh) => format!("已导入 {} 篇文章。", imported.len()),
    };
    Ok(CommandReply {
        text: listed(&findings, summary),
        failed: refused,
    })
}

/// Writes a file so that a reader sees the old or the new one, never half of one.
fn place(folder: &Path, name: &str, text: &str) -> Result<(), Error> {
    let (unfinished, path) = (folder.join(format!(".{name}.part")), folder.join(name));
    let placed = fs::write(&unfinished, text).and_then(|()| fs::rename(&unfinished, &path));
    placed.map_err(|error| {
        Error::new(format!(
            "{}: {error}: check space and permissions",
            path.display()
        ))
    })
}

fn check(files: &[FileRead]) -> Vec<Finding> {
    let articles = files
        .iter()
        .filter_map(|file| Some((file.path.to_str()?, file.article.as_ref()?)));
    let mut findings: Vec<Finding> = files.iter().flat_map(|it| it.findings.clone()).collect();
    findings.extend(missing_twins(articles));
    findings
}

fn listed(findings: &[Finding], summary: String) -> String {
    findings
        .iter()
        .map(Finding::to_string)
        .chain([summary])
        .collect::<Vec<_>>()
        .join("\n")
}

/// Takes `--name value` out of a line.
fn take_option(line: &str, name: &str) -> Result<(String, Option<String>), ()> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let Some(at) = words.iter().position(|it| *it == name) else {
        return Ok((line.to_owned(), None));
    };
    let value = words.get(at + 1).ok_or(())?;
    let others = words
        .iter()
        .enumerate()
        .filter(|it| it.0 != at && it.0 != at + 1)
        .map(|it| *it.1);
    Ok((others.collect::<Vec<_>>().join(" "), Some((*value).to_owned())))
}

fn done(text: String) -> CommandReply {
    CommandReply { text, failed: false }
}

fn failed(text: &str) -> CommandReply {
    CommandReply {
        text: text.to_owned(),
        failed: true,
    }
}
