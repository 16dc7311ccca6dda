//! What a patient has deleted is in no file any more, and a question from the shell is in none at all.
#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use bedside_tests::{
    Bot, BotOptions, Entry, WebClient, eventually, places, run_bedside,
    staged_plugins::{add_evil, staged},
};
use serde_json::Value;
use uuid::Uuid;

const WORDS: &str = "canary-7391-kingfisher";
const EVIL: &str = "org.example.evil";
const WAIT: Duration = Duration::from_secs(60);

/// With the test plugin, which has time to write to a slow disk.
fn plugins() -> tempfile::TempDir {
    let plugins = staged().unwrap();
    let manifest = add_evil(plugins.path()).unwrap().join("plugin.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    assert!(text.contains("{ priority = 1 }"), "{text}");
    let slow = text.replace("{ priority = 1 }", "{ priority = 1, deadline_ms = 5000 }");
    fs::write(&manifest, slow).unwrap();
    plugins
}

/// With the plugin that keeps notes, once it is ready.
async fn start(plugins: &Path) -> Bot {
    let config = format!(
        "[plugins]\ndir = {:?}\n[bot]\nbackup_days = 30\n",
        plugins.display().to_string()
    );
    let options = BotOptions {
        without_model: true,
        config,
        ..BotOptions::default()
    };
    let bot = Bot::start(options).await.unwrap();
    plugin_is_ready(&bot).await;
    bot
}

async fn plugin_is_ready(bot: &Bot) {
    let told = format!("plugin is ready plugin=\"{EVIL}\"");
    eventually("the plugin is ready", WAIT, async || {
        bot.log().contains(&told).then_some(())
    })
    .await;
}

/// All bytes in all files below a folder.
fn bytes_below(folder: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            all.extend(bytes_below(&path));
        } else {
            all.extend(fs::read(&path).unwrap_or_default());
        }
    }
    all
}

fn holds(bot: &Bot, canary: &str) -> bool {
    let bytes = bytes_below(&bot.data_directory());
    bytes.windows(canary.len()).any(|it| it == canary.as_bytes())
}

async fn is_gone(bot: &Bot, canary: &str) {
    let what = format!("{canary} is in no file");
    eventually(&what, WAIT, async || (!holds(bot, canary)).then_some(())).await;
}

fn plugin_folder(bot: &Bot) -> PathBuf {
    bot.data_directory().join("plugins").join(EVIL)
}

/// Has the plugin note the words and asks with them; gives the id by which the plugin knows the conversation, and that
/// of a message.
async fn talk(bot: &Bot, page: &WebClient) -> (String, String) {
    let message = Uuid::new_v4();
    let taken = page
        .say_as(message, &format!("evil: note {WORDS}"))
        .await
        .unwrap();
    page.answer_to(taken.seq, WAIT).await;
    page.ask(&format!("What is a {WORDS}?")).await.unwrap();
    let note = fs::read_dir(plugin_folder(bot)).unwrap().next().unwrap().unwrap();
    assert_eq!(fs::read_to_string(note.path()).unwrap(), WORDS);
    (note.file_name().to_str().unwrap().to_owned(), message.to_string())
}

fn text(said: &[Entry]) -> String {
    said[0].part.as_ref().unwrap().text.clone()
}

/// Deletes as a patient does, and gives the answer.
async fn delete(page: &WebClient) -> String {
    let asked = page.ask("/delete").await.unwrap();
    let replies = &asked[0].part.as_ref().unwrap().quick_replies;
    assert!(replies.iter().any(|it| it.data == "delete:yes"), "{asked:?}");
    let taken = page.choose("delete:yes").await.unwrap();
    text(&page.answer_to(taken.seq, WAIT).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_deleted_conversation_is_in_any_file() {
    let plugins = plugins();
    let bot = start(plugins.path()).await;
    let page = WebClient::open_with_consent(&bot.url()).await.unwrap();
    let other = WebClient::open_with_consent(&bot.url()).await.unwrap();
    let (conversation, message) = talk(&bot, &page).await;
    other.ask("canary-of-somebody-else").await.unwrap();
    for canary in [WORDS, &conversation, &message] {
        assert!(holds(&bot, canary), "{canary} was never there");
    }

    let said = delete(&page).await;
    for words in [
        "has been deleted here",
        "for 30 days at most",
        "without your words",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(!said.contains("as soon as it runs again"), "{said}");
    for canary in [WORDS, &conversation, &message] {
        is_gone(&bot, canary).await;
    }
    assert!(holds(&bot, "canary-of-somebody-else"));
    assert!(!bot.log().contains(WORDS));
    let shown = page.reload().await.unwrap();
    assert!(
        shown.len() <= 2 && !format!("{shown:?}").contains(WORDS),
        "only the deletion and the answer to it are shown"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_could_not_forget_is_told_again_after_a_restart() {
    let plugins = plugins();
    let mut bot = start(plugins.path()).await;
    let page = WebClient::open_with_consent(&bot.url()).await.unwrap();
    let (conversation, _) = talk(&bot, &page).await;
    let obstacle = plugin_folder(&bot).join("refuse");
    fs::write(&obstacle, "").unwrap();

    let said = delete(&page).await;
    assert!(said.contains("as soon as it runs again"), "{said}");
    let note = plugin_folder(&bot).join(&conversation);
    assert!(note.exists());

    bot.kill9().await.unwrap();
    fs::remove_file(&obstacle).unwrap();
    bot.restart().await.unwrap();
    for canary in [WORDS, &conversation] {
        is_gone(&bot, canary).await;
    }
    assert!(!note.exists());
}

#[tokio::test]
async fn a_question_can_be_asked_without_standing_in_the_list_of_processes() {
    let directory = tempfile::tempdir().unwrap();
    let question = "I have crushing chest pain and cannot breathe\n";
    let cases: [&[&str]; 2] = [&["ask", "--json"], &["ask", "--json", "-"]];
    for arguments in cases {
        let output = run_bedside(directory.path(), arguments, question).await.unwrap();
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(answer["disposition"], "emergency", "{arguments:?}");
        let silent = run_bedside(directory.path(), arguments, "\n").await.unwrap();
        let problem = String::from_utf8_lossy(&silent.stderr).into_owned();
        assert!(
            !silent.status.success() && problem.contains("there is no text"),
            "{arguments:?}: {problem}"
        );
    }
}

/// The store of a single question has no name: nothing is left of it, even if nobody can tidy up.
#[test]
fn a_question_that_is_killed_leaves_no_store() {
    let directory = tempfile::tempdir().unwrap();
    let temporary = directory.path().join("tmp");
    fs::create_dir(&temporary).unwrap();
    let mut child = Command::new(places::bedside().unwrap())
        .args(["ask", "what helps against a common cold?"])
        .env_clear()
        .env("HOME", directory.path())
        .env("BEDSIDE_DATA_DIR", directory.path().join("data"))
        .env("BEDSIDE_MODEL__SOURCE", "file:/nowhere/model.gguf")
        .env("TMPDIR", &temporary)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let files = PathBuf::from(format!("/proc/{}/fd", child.id()));
    let start = Instant::now();
    while !has_open_and_deleted(&files) {
        assert!(
            start.elapsed() < WAIT && child.try_wait().unwrap().is_none(),
            "its store was never seen"
        );
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let left: Vec<_> = fs::read_dir(&temporary).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

fn has_open_and_deleted(files: &Path) -> bool {
    let links = fs::read_dir(files).into_iter().flatten().flatten();
    let named: Vec<_> = links
        .filter_map(|it| fs::read_link(it.path()).ok())
        .map(|it| it.to_string_lossy().into_owned())
        .filter(|it| it.contains("bedside.sqlite3"))
        .collect();
    !named.is_empty() && named.iter().all(|it| it.ends_with(" (deleted)"))
}
