use std::io::{self, Write};

use bedside_contract::{Disposition, InboxSeq, Language, Part, PartKind, QuickReply, UpdateKind};

use crate::{config::Look, words::words};

const RED: &str = "\x1b[1;31m";
const ORANGE: &str = "\x1b[33m";
const BLUE: &str = "\x1b[34m";
const GREEN: &str = "\x1b[32m";
const DIM: &str = "\x1b[2m";
const RESET: &str = "\x1b[0m";
const CLEAR_LINE: &str = "\r\x1b[2K";

/// All that is printed goes through here.
pub(crate) struct Screen {
    out: Box<dyn Write + Send>,
    look: Look,
    language: Language,
    shown: Shown,
    at_line_start: bool,
    /// "…" stands in this line and goes away with the next word.
    waiting_mark: bool,
    replies: Vec<QuickReply>,
}

/// How much of an answer that is being written stands on the screen.
enum Shown {
    Nothing,
    Beginning {
        seq: InboxSeq,
        printed: String,
    },
    /// What stands there is not the beginning of the answer any more: the whole comes at the end.
    Outdated {
        seq: InboxSeq,
    },
}

impl Screen {
    pub(crate) fn new(out: Box<dyn Write + Send>, look: Look, language: Language) -> Self {
        Self {
            out,
            look,
            language,
            shown: Shown::Nothing,
            at_line_start: true,
            waiting_mark: false,
            replies: Vec::new(),
        }
    }

    /// Words of the terminal itself, for who sits there.
    pub(crate) fn hint(&mut self, text: &str) -> io::Result<()> {
        if !self.look.live {
            return Ok(());
        }
        self.end_line()?;
        self.colored(DIM, text)?;
        self.newline()?;
        self.out.flush()
    }

    pub(crate) fn typing(&mut self) -> io::Result<()> {
        if self.look.live && self.look.color && self.at_line_start && !self.waiting_mark {
            self.waiting_mark = true;
            write!(self.out, "{DIM}…{RESET}")?;
        }
        self.out.flush()
    }

    /// Somebody ended a line of their own with Enter, in the middle of ours.
    pub(crate) fn typed(&mut self) {
        self.waiting_mark = false;
        self.at_line_start = true;
    }

    /// Prints what is new in `text`, the whole answer so far.
    pub(crate) fn preview(&mut self, seq: InboxSeq, text: &str) -> io::Result<()> {
        if !self.look.live {
            return Ok(());
        }
        // Space at the end may be gone in the finished answer, and what is printed cannot be taken back.
        let text = harmless(text);
        let text = text.trim_end();
        let printed = match &self.shown {
            Shown::Outdated { seq: outdated } if *outdated == seq => return Ok(()),
            Shown::Beginning { seq: begun, printed } if *begun == seq => printed.as_str(),
            _ => {
                self.end_line()?;
                ""
            }
        };
        match text.strip_prefix(printed).map(str::to_owned) {
            Some(more) => {
                self.write(&more)?;
                self.shown = Shown::Beginning {
                    seq,
                    printed: text.to_owned(),
                };
            }
            None => self.shown = Shown::Outdated { seq },
        }
        self.out.flush()
    }

    /// Prints a part, or what of it does not stand there yet, with all that belongs to it.
    pub(crate) fn part(&mut self, seq: InboxSeq, part: &Part) -> io::Result<()> {
        let text = harmless(&part.text);
        let text = text.trim_end();
        if part.kind == PartKind::Emergency {
            self.interrupt()?;
            self.framed(part.language, text)?;
        } else {
            self.finish_text(seq, text, part.language)?;
        }
        self.footer(part)?;
        if !part.quick_replies.is_empty() {
            self.choices(part)?;
        }
        self.newline()?;
        self.out.flush()
    }

    /// What the patient means by a line: the number or the words of a quick reply choose it.
    pub(crate) fn read(&mut self, line: &str) -> UpdateKind {
        let replies = std::mem::take(&mut self.replies);
        let number = line.parse::<usize>().ok().and_then(|it| it.checked_sub(1));
        let chosen = number.and_then(|it| replies.get(it)).or_else(|| {
            replies
                .iter()
                .find(|it| it.label.to_lowercase() == line.to_lowercase())
        });
        match chosen {
            Some(reply) => UpdateKind::Choice {
                data: reply.data.clone(),
            },
            None => UpdateKind::Text {
                text: line.to_owned(),
            },
        }
    }

    fn finish_text(&mut self, seq: InboxSeq, text: &str, language: Language) -> io::Result<()> {
        match std::mem::replace(&mut self.shown, Shown::Nothing) {
            Shown::Beginning { seq: begun, printed } if begun == seq => {
                if let Some(rest) = text.strip_prefix(printed.as_str()) {
                    self.write(rest)?;
                    return self.end_line();
                }
                self.whole_again(text, language)
            }
            Shown::Outdated { seq: outdated } if outdated == seq => self.whole_again(text, language),
            // An answer to something else: the one that was being written is not on this line any more.
            Shown::Beginning { seq, .. } | Shown::Outdated { seq } => {
                self.shown = Shown::Outdated { seq };
                self.line(text)
            }
            Shown::Nothing => self.line(text),
        }
    }

    fn whole_again(&mut self, text: &str, language: Language) -> io::Result<()> {
        self.end_line()?;
        self.colored(DIM, words(language).changed)?;
        self.newline()?;
        self.line(text)
    }

    fn interrupt(&mut self) -> io::Result<()> {
        if let Shown::Beginning { seq, .. } = self.shown {
            self.shown = Shown::Outdated { seq };
        }
        self.end_line()
    }

    /// Open to the right, so that wide characters need no measuring.
    fn framed(&mut self, language: Language, text: &str) -> io::Result<()> {
        self.colored(
            RED,
            &format!("┏━━ {} ━━━━━━━━━━━━━━━━━━━━", words(language).emergency),
        )?;
        self.newline()?;
        for line in text.lines() {
            self.colored(RED, &format!("┃ {line}"))?;
            self.newline()?;
        }
        self.colored(RED, "┗━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━")?;
        self.newline()
    }

    fn footer(&mut self, part: &Part) -> io::Result<()> {
        let footer = harmless(&part.footer());
        for (index, line) in footer.lines().enumerate() {
            let color = match part.disposition {
                Some(disposition) if index == 0 && part.disposition_text.is_some() => color_of(disposition),
                _ => DIM,
            };
            self.colored(color, line)?;
            self.newline()?;
        }
        Ok(())
    }

    fn choices(&mut self, part: &Part) -> io::Result<()> {
        self.replies.clone_from(&part.quick_replies);
        for (index, reply) in part.quick_replies.iter().enumerate() {
            self.line(&format!("  {}) {}", index + 1, harmless(&reply.label)))?;
        }
        if self.look.live {
            self.colored(DIM, words(self.language).choose)?;
            self.newline()?;
        }
        Ok(())
    }

    fn line(&mut self, text: &str) -> io::Result<()> {
        self.end_line()?;
        self.write(text)?;
        self.newline()
    }

    fn colored(&mut self, color: &str, text: &str) -> io::Result<()> {
        if self.look.color {
            self.write(&format!("{color}{text}{RESET}"))
        } else {
            self.write(text)
        }
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        self.remove_waiting_mark()?;
        self.at_line_start = text.ends_with('\n');
        self.out.write_all(text.as_bytes())
    }

    fn newline(&mut self) -> io::Result<()> {
        self.remove_waiting_mark()?;
        self.at_line_start = true;
        self.out.write_all(b"\n")
    }

    fn end_line(&mut self) -> io::Result<()> {
        self.remove_waiting_mark()?;
        if self.at_line_start {
            Ok(())
        } else {
            self.newline()
        }
    }

    fn remove_waiting_mark(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.waiting_mark) {
            self.out.write_all(CLEAR_LINE.as_bytes())?;
        }
        Ok(())
    }
}

fn color_of(disposition: Disposition) -> &'static str {
    match disposition {
        Disposition::Emergency => RED,
        Disposition::SameDay => ORANGE,
        Disposition::OutPatient => BLUE,
        Disposition::SelfCare => GREEN,
    }
}

/// Without control characters: nothing that a model writes may command the terminal.
fn harmless(text: &str) -> String {
    text.chars()
        .filter(|it| !it.is_control() || matches!(it, '\n' | '\t'))
        .collect()
}

#[cfg(test)]
mod tests;
