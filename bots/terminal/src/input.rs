use std::{
    fs::{self, OpenOptions},
    io::{self, BufRead},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
};

use rustyline::{Config, DefaultEditor, error::ReadlineError};
use tokio::sync::oneshot;

/// What the person at the prompt did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    Line(String),
    /// Ctrl-C.
    Interrupted,
    /// Ctrl-D, or the end of the pipe.
    End,
}

/// Gives one line after the other; may block.
pub trait LineSource: Send {
    fn next_line(&mut self, prompt: &str) -> Input;

    /// What is typed without a prompt while an answer is being written, looked for as long as `wanted` says.
    /// A pipe is not read ahead: its next line belongs to the next prompt.
    fn line_meanwhile(&mut self, _wanted: &dyn Fn() -> bool) -> Option<Input> {
        None
    }

    /// The conversation was deleted: the lines of before are no longer kept. A pipe keeps none.
    fn forget(&mut self) {}
}

/// Lines from a pipe or a file, without a prompt.
pub(crate) struct PipedLines<R> {
    reader: R,
}

impl<R: BufRead> PipedLines<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self { reader }
    }
}

impl<R: BufRead + Send> LineSource for PipedLines<R> {
    fn next_line(&mut self, _prompt: &str) -> Input {
        let mut bytes = Vec::new();
        match self.reader.read_until(b'\n', &mut bytes) {
            Ok(0) => Input::End,
            Ok(_) => Input::Line(
                String::from_utf8_lossy(&bytes)
                    .trim_end_matches(['\r', '\n'])
                    .to_owned(),
            ),
            Err(error) => {
                tracing::error!(%error, "standard input cannot be read");
                Input::End
            }
        }
    }
}

/// A prompt that can be edited, with the lines typed before.
pub(crate) struct PromptedLines {
    editor: DefaultEditor,
    history: Option<PathBuf>,
}

impl PromptedLines {
    pub(crate) fn new(history: Option<PathBuf>) -> Result<Self, ReadlineError> {
        let config = Config::builder()
            .history_ignore_space(true)
            .auto_add_history(true)
            .build();
        let mut editor = DefaultEditor::with_config(config)?;
        let history = history.filter(|path| match open_history(path, &mut editor) {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "the history cannot be kept, going on without");
                false
            }
        });
        Ok(Self { editor, history })
    }
}

impl LineSource for PromptedLines {
    fn next_line(&mut self, prompt: &str) -> Input {
        loop {
            match self.editor.readline(prompt) {
                Ok(line) => {
                    if let Some(path) = &self.history
                        && let Err(error) = self.editor.append_history(path)
                    {
                        tracing::warn!(path = %path.display(), %error, "the history was not written");
                    }
                    return Input::Line(line);
                }
                Err(ReadlineError::Interrupted) => return Input::Interrupted,
                Err(ReadlineError::Eof) => return Input::End,
                Err(ReadlineError::Signal(_)) => {}
                Err(error) => {
                    tracing::error!(%error, "the terminal cannot be read");
                    return Input::End;
                }
            }
        }
    }

    fn line_meanwhile(&mut self, wanted: &dyn Fn() -> bool) -> Option<Input> {
        typed_line(wanted).unwrap_or_else(|error| {
            tracing::debug!(%error, "what is typed meanwhile cannot be read");
            None
        })
    }

    fn forget(&mut self) {
        if let Err(error) = self.editor.clear_history() {
            tracing::warn!(%error, "the history of this chat could not be cleared");
        }
        if let Some(path) = &self.history
            && let Err(error) = empty(path)
        {
            tracing::warn!(path = %path.display(), %error, "the history could not be emptied: remove the file");
        }
    }
}

/// Between the prompts the terminal gives whole lines, one for each read, and echoes them itself.
#[cfg(unix)]
fn typed_line(wanted: &dyn Fn() -> bool) -> io::Result<Option<Input>> {
    use nix::{
        poll::{PollFd, PollFlags, PollTimeout, poll},
        unistd::read,
    };
    const LOOK_EVERY_MS: u8 = 100;
    let stdin = io::stdin();
    while wanted() {
        let mut asked = [PollFd::new(std::os::fd::AsFd::as_fd(&stdin), PollFlags::POLLIN)];
        match poll(&mut asked, PollTimeout::from(LOOK_EVERY_MS)) {
            Ok(0) | Err(nix::errno::Errno::EINTR) => continue,
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        let mut bytes = [0; 4096];
        let length = read(&stdin, &mut bytes)?;
        let typed = String::from_utf8_lossy(bytes.get(..length).unwrap_or_default());
        return Ok(Some(match length {
            0 => Input::End,
            _ => Input::Line(typed.trim_end_matches(['\r', '\n']).to_owned()),
        }));
    }
    Ok(None)
}

#[cfg(not(unix))]
fn typed_line(_wanted: &dyn Fn() -> bool) -> io::Result<Option<Input>> {
    Ok(None)
}

fn open_history(path: &Path, editor: &mut DefaultEditor) -> Result<(), ReadlineError> {
    create_private(path)?;
    editor.load_history(path)
}

/// Patients' words may stand in it: nobody but the owner reads it, whatever the umask and whoever made it.
fn create_private(path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent().filter(|it| !it.as_os_str().is_empty()) {
        fs::create_dir_all(folder)?;
    }
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
        let file = options.mode(0o600).open(path)?;
        file.set_permissions(fs::Permissions::from_mode(0o600))
    }
    #[cfg(not(unix))]
    options.open(path).map(drop)
}

/// Of a file that was removed meanwhile there is nothing to empty.
fn empty(path: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).truncate(true).open(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Reads lines on a thread of its own, one at a time and only when asked.
pub(crate) struct LineReader {
    ask: mpsc::Sender<Request>,
}

enum Request {
    Prompt {
        prompt: String,
        reply: oneshot::Sender<Input>,
    },
    Meanwhile {
        wanted: Arc<AtomicBool>,
        reply: oneshot::Sender<Option<Input>>,
    },
    Forget,
}

/// A line that may be typed while an answer is being written.
pub(crate) struct Meanwhile {
    wanted: Arc<AtomicBool>,
    answer: Option<oneshot::Receiver<Option<Input>>>,
}

impl LineReader {
    pub(crate) fn start(mut source: Box<dyn LineSource>) -> io::Result<Self> {
        let (ask, asked) = mpsc::channel();
        thread::Builder::new()
            .name("terminal-input".to_owned())
            .spawn(move || {
                for request in asked {
                    let taken = match request {
                        Request::Prompt { prompt, reply } => reply.send(source.next_line(&prompt)).is_ok(),
                        Request::Meanwhile { wanted, reply } => {
                            let line = source.line_meanwhile(&|| wanted.load(Ordering::SeqCst));
                            reply.send(line).is_ok()
                        }
                        Request::Forget => {
                            source.forget();
                            true
                        }
                    };
                    if !taken {
                        break;
                    }
                }
            })?;
        Ok(Self { ask })
    }

    pub(crate) async fn next(&self, prompt: &str) -> Input {
        let (reply, answer) = oneshot::channel();
        let prompt = prompt.to_owned();
        if self.ask.send(Request::Prompt { prompt, reply }).is_err() {
            return Input::End;
        }
        answer.await.unwrap_or(Input::End)
    }

    /// Before the next line is read, those of before are forgotten.
    pub(crate) fn forget(&self) {
        // A thread that has ended asks for no more lines.
        let _ended = self.ask.send(Request::Forget);
    }

    /// Begins to look for a line without a prompt.
    pub(crate) fn meanwhile(&self) -> Meanwhile {
        let wanted = Arc::new(AtomicBool::new(true));
        let (reply, answer) = oneshot::channel();
        let request = Request::Meanwhile {
            wanted: Arc::clone(&wanted),
            reply,
        };
        // If the thread is gone, nothing is typed any more; the next prompt finds the end.
        let _ended = self.ask.send(request);
        Meanwhile {
            wanted,
            answer: Some(answer),
        }
    }
}

impl Meanwhile {
    /// A typed line; never if the source gives none without a prompt.
    pub(crate) async fn line(&mut self) -> Input {
        if let Some(answer) = &mut self.answer {
            let line = answer.await;
            self.answer = None;
            if let Ok(Some(line)) = line {
                return line;
            }
        }
        std::future::pending().await
    }

    /// Stops looking; what was typed at the last moment is not lost.
    pub(crate) async fn end(self) -> Option<Input> {
        self.wanted.store(false, Ordering::SeqCst);
        self.answer?.await.ok().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::{Input, LineSource, PipedLines, create_private, empty};

    #[test]
    fn a_pipe_is_read_line_by_line_to_its_end() {
        let mut lines = PipedLines::new("我头疼\r\n\nlast \u{fffd}".as_bytes());
        for expect in ["我头疼", "", "last \u{fffd}"] {
            assert_eq!(lines.next_line("> "), Input::Line(expect.to_owned()));
        }
        assert_eq!(lines.next_line("> "), Input::End);

        let mut broken = PipedLines::new(&b"caf\xe9\n"[..]);
        assert_eq!(
            broken.next_line("> "),
            Input::Line("caf\u{fffd}".to_owned()),
            "no line is lost to its bytes"
        );
    }

    #[cfg(unix)]
    #[test]
    fn the_history_is_private_even_if_it_was_not() {
        use std::{fs, os::unix::fs::PermissionsExt};

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deeper/history");
        create_private(&path).unwrap();
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(), 0o600);
        fs::write(&path, "kept").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        create_private(&path).unwrap();
        assert_eq!(
            (mode(), fs::read_to_string(&path).unwrap().as_str()),
            (0o600, "kept")
        );
    }

    #[test]
    fn a_history_is_emptied_where_it_is_and_missed_by_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history");
        empty(&path).unwrap();
        assert!(!path.exists(), "none is made");
        std::fs::write(&path, "my chest hurts").unwrap();
        empty(&path).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"");
    }
}
