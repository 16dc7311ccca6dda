//! One hospital on every platform.

use anyhow::{Result, ensure};

use crate::{
    Bot, BotOptions, DiscordFake, Patient, Replies, TelegramFake, WechatFake,
    patients::{TerminalPatient, WebPatient, WechatPatient},
};

/// The same question gets the same answer everywhere, and a short one.
const CONFIG: &str = "[bot]\nanswer_tokens = 60\n[model.sampling]\ntemperature = 0.0\n";

/// The platforms and the bots behind them.
pub struct Hospital {
    pub bots: Bots,
    pub platforms: Platforms,
}

/// Where patients come from.
pub struct Platforms {
    pub telegram: TelegramFake,
    pub discord: DiscordFake,
    pub wechat: WechatFake,
    pub wechat_service: WechatFake,
    /// The page's address.
    web: String,
    /// For the terminal's own bot.
    config: String,
}

/// One bot serves the web, Telegram, Discord and WeChat; a second one WeChat by customer-service messages,
/// since an account has either.
pub struct Bots {
    pub all: Bot,
    pub service: Bot,
}

impl Hospital {
    /// Starts the fakes and the bots, with more configuration for all.
    ///
    /// # Errors
    /// When one of them does not start.
    pub async fn open(config: &str) -> Result<Self> {
        Self::start(config, false).await
    }

    /// The same without a model file.
    ///
    /// # Errors
    /// When one of them does not start.
    pub async fn open_without_model() -> Result<Self> {
        Self::start("[model]\nsource = \"file:/nowhere/model.gguf\"", true).await
    }

    async fn start(config: &str, without_model: bool) -> Result<Self> {
        let config = merged(config)?;
        let (telegram, discord, wechat, wechat_service) = futures::try_join!(
            TelegramFake::start(),
            DiscordFake::start(),
            WechatFake::start(Replies::Passive),
            WechatFake::start(Replies::CustomerService),
        )?;
        let all = BotOptions {
            telegram: telegram.access(),
            discord: Some(discord.access()),
            wechat: Some(wechat.access()),
            without_model,
            config: config.clone(),
            ..BotOptions::default()
        };
        let service = BotOptions {
            wechat: Some(wechat_service.access()),
            without_model,
            config: config.clone(),
            ..BotOptions::default()
        };
        let (all, service) = futures::try_join!(Bot::start(all), Bot::start(service))?;
        discord.connected().await?;
        let web = all.url();
        let platforms = Platforms {
            telegram,
            discord,
            wechat,
            wechat_service,
            web,
            config,
        };
        let bots = Bots { all, service };
        Ok(Self { bots, platforms })
    }
}

impl Platforms {
    /// One patient on each platform; the number tells them from others.
    ///
    /// # Errors
    /// When a platform or a bot is gone.
    pub async fn patients(&self, number: u32) -> Result<Vec<Patient<'_>>> {
        let mut patients = self.remote_patients(number).await?;
        patients.push(Patient::Terminal(Box::new(TerminalPatient::open(&self.config)?)));
        Ok(patients)
    }

    /// Without the terminal, whose patient has a bot of their own.
    ///
    /// # Errors
    /// As [`Platforms::patients`].
    pub async fn remote_patients(&self, number: u32) -> Result<Vec<Patient<'_>>> {
        let name = format!("patient-{number}");
        Ok(vec![
            Patient::Web(WebPatient::open(&self.web).await?),
            Patient::Telegram(self.telegram.user(i64::from(number))),
            Patient::Discord(self.discord.user(&name).await?),
            Patient::Wechat(WechatPatient::new(&self.wechat, &name)),
            Patient::Wechat(WechatPatient::new(&self.wechat_service, &name)),
        ])
    }
}

impl Bots {
    /// As a power cut would end them.
    ///
    /// # Errors
    /// When they do not run.
    pub async fn kill9(&mut self) -> Result<()> {
        futures::try_join!(self.all.kill9(), self.service.kill9()).map(drop)
    }

    /// Asks them to stop and waits until they have.
    ///
    /// # Errors
    /// When they do not end well.
    pub async fn stop(&mut self) -> Result<()> {
        let (all, service) = futures::try_join!(self.all.stop(), self.service.stop())?;
        ensure!(all.success() && service.success(), "{}", self.log());
        Ok(())
    }

    /// Starts them again on the same data and the same ports.
    ///
    /// # Errors
    /// When they do not start.
    pub async fn restart(&mut self) -> Result<()> {
        futures::try_join!(self.all.restart(), self.service.restart()).map(drop)
    }

    /// What both wrote.
    #[must_use]
    pub fn log(&self) -> String {
        format!("{}{}", self.all.log(), self.service.log())
    }
}

fn merged(more: &str) -> Result<String> {
    let mut config: toml::Table = CONFIG.parse()?;
    crate::bot::merge(&mut config, more.parse()?);
    Ok(toml::to_string(&config)?)
}
