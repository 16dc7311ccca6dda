//! `bedside chat`, typed into a real terminal.
#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

use std::{process::Command, time::Duration};

use bedside_tests::{eventually, patients::TALKATIVE, places};

/// A tmux server of its own, ended when dropped.
struct Terminal {
    socket: String,
}

impl Terminal {
    fn open(command: &str) -> Self {
        let terminal = Self {
            socket: format!("bedside-test-{}", uuid::Uuid::new_v4()),
        };
        terminal.tmux(&["new-session", "-d", "-x", "100", "-y", "50", command]);
        terminal
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let output = Command::new("tmux")
            .args(["-L", &self.socket, "-f", "/dev/null", "-u"])
            .args(arguments)
            .env_remove("TMUX")
            .env("LC_ALL", "C.UTF-8")
            .output()
            .expect("tmux is installed");
        assert!(
            output.status.success(),
            "tmux {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    async fn prompt(&self) {
        eventually("a prompt", Duration::from_secs(120), async || {
            self.screen().trim_end().ends_with("you>").then_some(())
        })
        .await;
    }

    /// Types at the next prompt, as a person would.
    async fn type_line(&self, line: &str) {
        self.prompt().await;
        self.tmux(&["send-keys", "-l", line]);
        self.tmux(&["send-keys", "Enter"]);
    }

    /// What was ever on the screen, wrapped lines joined.
    fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p", "-J", "-S", "-500"])
    }

    async fn shows(&self, what: &str) {
        eventually(
            &format!("{what:?} in the terminal"),
            Duration::from_secs(120),
            async || self.screen().contains(what).then_some(()),
        )
        .await;
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ended_already = Command::new("tmux")
            .args(["-L", &self.socket, "kill-server"])
            .output();
    }
}

/// `bedside chat` in a directory of its own, up to the first question after consent.
async fn chat(directory: &std::path::Path, config: &str) -> Terminal {
    let file = directory.join("bedside.toml");
    let model = places::model().unwrap();
    std::fs::write(
        &file,
        format!("model.source = \"file:{}\"\n{config}", model.display()),
    )
    .unwrap();
    let command = format!(
        "env BEDSIDE_DATA_DIR='{}' '{}' --config '{}' chat 2> '{}'; echo ended with $?; sleep 100",
        directory.join("data").display(),
        places::bedside().unwrap().display(),
        file.display(),
        // A warning behind the prompt would hide it: the model is loaded meanwhile.
        directory.join("log").display(),
    );
    let terminal = Terminal::open(&command);
    terminal.shows("Do you agree?").await;
    terminal.type_line("yes").await;
    terminal.shows("What would you like to know?").await;
    terminal
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_in_the_terminal() {
    let directory = tempfile::tempdir().unwrap();
    let terminal = chat(directory.path(), "").await;
    assert!(
        !terminal.screen().contains("operator of this chat app"),
        "nobody else reads a terminal"
    );
    terminal.type_line("How is gout treated?").await;
    terminal.shows("Written by AI").await;
    assert!(terminal.screen().contains("Sources"), "{}", terminal.screen());
    terminal.type_line("我胸口剧痛，喘不上气").await;
    terminal.shows("紧急").await;
    terminal.type_line("/help").await;
    terminal.shows("/privacy").await;
    terminal.prompt().await;
    terminal.tmux(&["send-keys", "C-d"]);
    terminal.shows("ended with 0").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_typed_while_an_answer_is_written_is_taken_at_once() {
    let directory = tempfile::tempdir().unwrap();
    // Long enough that the answer still runs when the typing is done, however busy the machine is.
    let config = TALKATIVE.replace("answer_tokens = 400", "answer_tokens = 2000");
    let terminal = chat(directory.path(), &config).await;
    for (typed, answered) in [("/stop", "(stopped)"), ("我胸口剧痛，喘不上气", "紧急")] {
        terminal.type_line("How is gout treated?").await;
        eventually("a sign of work", Duration::from_secs(60), async || {
            let screen = terminal.screen();
            let (_, after) = screen.rsplit_once("How is gout treated?")?;
            (!after.trim().is_empty()).then_some(())
        })
        .await;
        terminal.tmux(&["send-keys", "-l", typed]);
        terminal.tmux(&["send-keys", "Enter"]);
        terminal.shows(answered).await;
        terminal.prompt().await;
    }
}
