//! The same patient on every platform: what a dialogue says and hears, without the platform's own frame.

mod terminal;
mod web;
mod wechat;
mod words;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

pub use terminal::TerminalPatient;
pub use web::WebPatient;
pub use wechat::WechatPatient;
pub use words::words;

use crate::{DiscordUser, TelegramUser};

/// What stands in a patient's chat: one message of the bot, as it is now.
#[derive(Debug, Clone)]
pub struct Heard {
    /// As the platform shows it; see [`words()`].
    pub text: String,
    /// What each quick reply sends. Empty where they are numbered in the text.
    pub buttons: Vec<String>,
}

/// A patient on one platform.
pub enum Patient<'a> {
    Web(WebPatient),
    Telegram(TelegramUser<'a>),
    Discord(DiscordUser<'a>),
    /// Answered within WeChat's own request or by customer-service messages.
    Wechat(WechatPatient),
    Terminal(Box<TerminalPatient>),
}

/// What a patient takes to read a message before they go on. Shorter than the pace in one chat, an answer would
/// be shown only when it is complete.
pub const READING: Duration = Duration::from_millis(1300);
const PATIENCE: Duration = Duration::from_secs(60);

impl Patient<'_> {
    #[must_use]
    pub fn platform(&self) -> &'static str {
        match self {
            Self::Web(_) => "web",
            Self::Telegram(_) => "telegram",
            Self::Discord(_) => "discord",
            Self::Wechat(it) if it.is_passive() => "wechat, passive",
            Self::Wechat(_) => "wechat, customer service",
            Self::Terminal(_) => "terminal",
        }
    }

    /// What one message may hold there.
    #[must_use]
    pub fn fits(&self, text: &str) -> bool {
        match self {
            Self::Web(_) | Self::Terminal(_) => true,
            Self::Telegram(_) => text.encode_utf16().count() <= 4096,
            Self::Discord(_) => text.chars().count() <= 2000,
            Self::Wechat(_) => text.len() <= 2048,
        }
    }

    /// Writes a message and does not wait for what comes of it.
    ///
    /// # Errors
    /// When the platform does not take it.
    pub async fn say(&self, text: &str) -> Result<()> {
        match self {
            Self::Web(it) => it.say(text).await,
            Self::Telegram(it) => it.say(text).await,
            Self::Discord(it) => it.say(text).await,
            Self::Wechat(it) => it.say(text),
            Self::Terminal(it) => it.say(text).await,
        }
        .with_context(|| self.platform())
    }

    /// Takes a quick reply of the newest message that offers any, counted from 1: the button, or its number
    /// where there are none.
    ///
    /// # Errors
    /// When there is no such button.
    pub async fn choose(&self, number: usize) -> Result<()> {
        let heard = self.heard();
        let button = || {
            let offers = heard.iter().rev().find(|it| !it.buttons.is_empty());
            let button = offers.and_then(|it| it.buttons.get(number - 1)).cloned();
            button.with_context(|| format!("no button {number} on {}: {heard:?}", self.platform()))
        };
        match self {
            Self::Web(it) => it.press(&button()?).await,
            Self::Telegram(it) => it.press(&button()?).await,
            Self::Discord(it) => it.press(&button()?).await,
            Self::Wechat(it) if it.is_passive() => it.say(&number.to_string()),
            Self::Wechat(it) => it.click(number),
            Self::Terminal(it) => it.say(&number.to_string()).await,
        }
    }

    /// The bot's messages, oldest first, as they stand now. A long text is several messages; only the
    /// terminal shows no borders: what came between two lines of the patient is one.
    #[must_use]
    pub fn heard(&self) -> Vec<Heard> {
        match self {
            Self::Web(it) => it.heard(),
            Self::Telegram(it) => {
                let messages = it.messages().into_iter();
                messages.map(|it| heard(it.text, it.buttons)).collect()
            }
            Self::Discord(it) => {
                let messages = it.messages().into_iter();
                let data = |buttons: Vec<crate::discord_fake::Button>| {
                    let usable = buttons.into_iter().filter(|it| !it.disabled);
                    usable.map(|it| it.data).collect()
                };
                messages.map(|it| heard(it.text, data(it.buttons))).collect()
            }
            Self::Wechat(it) => it.heard(),
            Self::Terminal(it) => it.heard(),
        }
    }

    /// All that was heard as one text, without frames.
    #[must_use]
    pub fn story(&self) -> String {
        let all: Vec<String> = self.heard().iter().map(|it| words(&it.text)).collect();
        all.join("\n")
    }

    /// Waits until what was heard is so.
    ///
    /// # Panics
    /// When it does not become so; with all that was heard.
    pub async fn hears(&self, what: &str, is_so: impl Fn(&[Heard]) -> bool) -> Vec<Heard> {
        let start = Instant::now();
        loop {
            let heard = self.heard();
            if is_so(&heard) {
                return heard;
            }
            assert!(
                start.elapsed() < PATIENCE,
                "{}: {what} did not come; this was heard: {heard:#?}",
                self.platform()
            );
            if let Self::Wechat(it) = self {
                it.go_on_if_exhausted();
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }

    /// Waits for a message that is so and returns the newest such.
    pub async fn hears_one(&self, what: &str, is_it: impl Fn(&Heard) -> bool) -> Heard {
        let heard = self.hears(what, |all| all.iter().any(&is_it)).await;
        let found = heard.into_iter().rev().find(is_it);
        found.expect("it was heard just now")
    }

    /// Opens the chat, agrees to the consent question, and returns how many messages were heard so far.
    ///
    /// # Errors
    /// When the platform is gone.
    pub async fn consent(&self) -> Result<usize> {
        if !matches!(self, Self::Web(_) | Self::Terminal(_)) {
            self.say("/start").await?;
        }
        self.hears_one("the consent question", |it| asks_for_consent(&it.text))
            .await;
        self.choose(1).await?;
        let thanked = |it: &Heard| it.text.contains("Thank you") || it.text.contains("谢谢");
        self.hears_one("the thanks", thanked).await;
        Ok(self.heard().len())
    }

    /// Waits for the first sign that the bot is at work after `before` messages. Where nothing shows it, none is
    /// waited for.
    pub async fn is_being_answered(&self, before: usize) {
        let has_sign = || match self {
            Self::Web(it) => it.saw_typing(),
            Self::Telegram(it) => it.saw_typing(),
            Self::Discord(it) => it.saw_typing(),
            Self::Wechat(it) => it.saw_typing(),
            Self::Terminal(it) => it.is_taken(),
        };
        self.hears("a sign of work", |all| all.len() > before || has_sign())
            .await;
    }

    /// The platform delivers this patient's last message again, so many times at once; `false` where it never
    /// does.
    ///
    /// # Errors
    /// When the platform is gone.
    pub async fn redeliver_last(&self, times: usize) -> Result<bool> {
        match self {
            Self::Web(it) => it.redeliver_last(times).await?,
            Self::Telegram(it) => it.redeliver_last(times)?,
            Self::Discord(it) => it.redeliver_last(times).await?,
            Self::Wechat(it) => it.redeliver_last(times)?,
            // A line is read once.
            Self::Terminal(_) => return Ok(false),
        }
        Ok(true)
    }

    /// Writes while the bot is away; `false` where the platform keeps nothing for it.
    ///
    /// # Errors
    /// When the platform is gone.
    pub async fn say_meanwhile(&self, text: &str) -> Result<bool> {
        match self {
            // A page says that the hospital cannot be reached, a closed terminal takes nothing, and WeChat tries
            // three times within 15 seconds.
            Self::Web(_) | Self::Terminal(_) | Self::Wechat(_) => Ok(false),
            Self::Telegram(_) | Self::Discord(_) => self.say(text).await.map(|()| true),
        }
    }
}

/// Whether a message asks for consent, in either language.
#[must_use]
pub fn asks_for_consent(text: &str) -> bool {
    text.contains("Do you agree?") || text.contains("您同意吗")
}

/// A configuration in which the model writes on and on.
pub const TALKATIVE: &str = "bot.answer_tokens = 400\nmodel.answer_mode = \"free\"\n\
    model.sampling = { temperature = 2.0, top_k = 0, top_p = 1.0 }\n";

/// Whether a message is an answer from the knowledge base.
#[must_use]
pub fn is_answer(text: &str) -> bool {
    text.contains("Sources:") && text.contains("Written by AI")
}

fn heard(text: String, buttons: Vec<String>) -> Heard {
    Heard { text, buttons }
}

/// For patients whose platform works in the background.
fn check(problems: &[String]) -> Result<()> {
    if problems.is_empty() {
        return Ok(());
    }
    bail!("{}", problems.join("; "))
}
