//! `[escalation]`: alerts staff to emergency notices that do not reach their patient.

use std::{path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use bedside_contract::{Escalation, EscalationError, UndeliveredNotice};
use lettre::{
    AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    message::{Mailbox, header::ContentType},
    transport::smtp::authentication::Credentials,
};
use reqwest::{Client, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::config::ConfigError;

/// `[escalation]`: whom to tell when an emergency notice does not reach its patient, because a platform is down, the
/// patient has blocked the bot or has to write first. Nobody by default: then only the log says so.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct EscalationConfig {
    /// Minutes after which an undelivered notice is escalated; one that is given up is escalated at once.
    pub after_minutes: u64,
    /// An address that gets a POST with JSON: `text` for people, and `event`, `part`, `platform`, `conversation`,
    /// `waiting_seconds`, `given_up`. Any 2xx counts as delivered.
    pub webhook: Option<String>,
    /// What the webhook gets as `Authorization: Bearer …`, in a file of its own.
    pub webhook_key_file: Option<PathBuf>,
    /// A mail server: `smtp://relay.hospital.example` (STARTTLS where offered) or `smtps://mail.hospital.example`.
    pub mail_server: Option<String>,
    /// Who the mail is from: "Bedside <bedside@hospital.example>".
    pub mail_from: Option<String>,
    /// Who gets it.
    pub mail_to: Vec<String>,
    /// The user name at the mail server, if it wants one.
    pub mail_user: Option<String>,
    /// A file that holds this user's password and nothing else.
    pub mail_password_file: Option<PathBuf>,
}

impl Default for EscalationConfig {
    fn default() -> Self {
        Self {
            after_minutes: 5,
            webhook: None,
            webhook_key_file: None,
            mail_server: None,
            mail_from: None,
            mail_to: Vec::new(),
            mail_user: None,
            mail_password_file: None,
        }
    }
}

/// All configured ways; one of them is enough.
struct Staff {
    webhook: Option<Webhook>,
    mail: Option<Mail>,
}

struct Webhook {
    client: Client,
    address: Url,
    key: Option<SecretString>,
}

struct Mail {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    to: Vec<Mailbox>,
}

const SLOWEST: Duration = Duration::from_secs(20);

impl EscalationConfig {
    pub(crate) fn after(&self) -> Duration {
        Duration::from_secs(self.after_minutes.saturating_mul(60))
    }

    /// The ways by name, for `check-config`.
    pub(crate) fn ways(&self) -> Vec<&'static str> {
        let webhook = self.webhook.as_ref().map(|_| "webhook");
        let mail = self.mail_server.as_ref().map(|_| "mail");
        webhook.into_iter().chain(mail).collect()
    }

    /// Checks all keys and reads the secrets; nothing is sent. Nothing where nobody is to be alerted.
    ///
    /// # Errors
    /// [`ConfigError`] with the key at fault.
    pub(crate) fn build(&self) -> Result<Option<Arc<dyn Escalation>>, ConfigError> {
        let staff = Staff {
            webhook: self.webhook()?,
            mail: self.mail()?,
        };
        let nobody = staff.webhook.is_none() && staff.mail.is_none();
        Ok((!nobody).then(|| Arc::new(staff) as Arc<dyn Escalation>))
    }

    fn webhook(&self) -> Result<Option<Webhook>, ConfigError> {
        let Some(address) = &self.webhook else {
            return match self.webhook_key_file {
                Some(_) => Err(wrong("webhook", "missing: webhook_key_file is set")),
                None => Ok(None),
            };
        };
        let address = Url::parse(address)
            .ok()
            .filter(|it| matches!(it.scheme(), "http" | "https") && it.has_host())
            .ok_or_else(|| wrong("webhook", "not an http or https address"))?;
        let key = read_secret("webhook_key_file", self.webhook_key_file.as_ref())?;
        let client = Client::builder()
            .timeout(SLOWEST)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| wrong("webhook", &error.to_string()))?;
        Ok(Some(Webhook { client, address, key }))
    }

    fn mail(&self) -> Result<Option<Mail>, ConfigError> {
        let Some(server) = &self.mail_server else {
            let rest = self.mail_from.is_some() || !self.mail_to.is_empty() || self.mail_user.is_some();
            return if rest {
                Err(wrong("mail_server", "missing: other mail keys are set"))
            } else {
                Ok(None)
            };
        };
        // Its errors would repeat a password in the address.
        let address = Url::parse(server).map_err(|_| wrong("mail_server", "not an smtp or smtps address"))?;
        if address.password().is_some() || !address.username().is_empty() {
            return Err(wrong(
                "mail_server",
                "put the user into mail_user and the password into mail_password_file",
            ));
        }
        let mut address = address;
        if address.scheme() == "smtp" && address.query().is_none() {
            address.set_query(Some("tls=opportunistic"));
        }
        let mut transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(address.as_str())
            .map_err(|_| wrong("mail_server", "not an smtp or smtps address"))?
            .timeout(Some(SLOWEST));
        match (
            &self.mail_user,
            read_secret("mail_password_file", self.mail_password_file.as_ref())?,
        ) {
            (Some(user), Some(password)) => {
                let password = password.expose_secret().to_owned();
                transport = transport.credentials(Credentials::new(user.clone(), password));
            }
            (None, None) => {}
            (Some(_), None) => return Err(wrong("mail_password_file", "missing: mail_user is set")),
            (None, Some(_)) => return Err(wrong("mail_user", "missing: mail_password_file is set")),
        }
        let mailbox = |key, it: &String| {
            it.parse::<Mailbox>()
                .map_err(|error| wrong(key, &format!("{it:?} is no mail address: {error}")))
        };
        let from = self
            .mail_from
            .as_ref()
            .ok_or_else(|| wrong("mail_from", "missing"))?;
        let from = mailbox("mail_from", from)?;
        let to = self.mail_to.iter().map(|it| mailbox("mail_to", it));
        let to = to.collect::<Result<Vec<_>, _>>()?;
        if to.is_empty() {
            return Err(wrong("mail_to", "missing: nobody would get the mail"));
        }
        Ok(Some(Mail {
            transport: transport.build(),
            from,
            to,
        }))
    }
}

#[async_trait]
impl Escalation for Staff {
    async fn escalate(&self, notice: &UndeliveredNotice) -> Result<(), EscalationError> {
        let webhook = async {
            match &self.webhook {
                Some(it) => Some(it.tell(notice).await),
                None => None,
            }
        };
        let mail = async {
            match &self.mail {
                Some(it) => Some(it.tell(notice).await),
                None => None,
            }
        };
        let (webhook, mail) = tokio::join!(webhook, mail);
        let tried: Vec<Result<(), String>> = webhook.into_iter().chain(mail).collect();
        let failed: Vec<&String> = tried.iter().filter_map(|it| it.as_ref().err()).collect();
        let reason = failed.iter().map(|it| it.as_str()).collect::<Vec<_>>().join("; ");
        if failed.len() == tried.len() {
            return Err(EscalationError(reason));
        }
        if !failed.is_empty() {
            tracing::warn!(
                reason,
                "Only one of the configured alerts about an undelivered emergency notice was delivered."
            );
        }
        Ok(())
    }
}

impl Webhook {
    async fn tell(&self, notice: &UndeliveredNotice) -> Result<(), String> {
        let body = serde_json::json!({
            "event": "undelivered-emergency-notice",
            "text": in_words(notice),
            "part": notice.part.0,
            "platform": notice.conversation.platform(),
            "conversation": notice.conversation.as_str(),
            "waiting_seconds": notice.waiting.as_secs(),
            "given_up": notice.given_up,
        });
        let mut request = self.client.post(self.address.clone()).json(&body);
        if let Some(key) = &self.key {
            request = request.bearer_auth(key.expose_secret());
        }
        let answer = request
            .send()
            .await
            .map_err(|error| format!("webhook: {}", error.without_url()))?;
        let status = answer.status();
        status
            .is_success()
            .then_some(())
            .ok_or_else(|| format!("webhook: {status}"))
    }
}

impl Mail {
    async fn tell(&self, notice: &UndeliveredNotice) -> Result<(), String> {
        let failed = |error: &dyn std::fmt::Display| format!("mail: {error}");
        let message = self.to.iter().cloned().fold(
            Message::builder()
                .from(self.from.clone())
                .subject("Bedside: an emergency notice has not arrived / 急症提示未送达")
                .header(ContentType::TEXT_PLAIN),
            lettre::message::MessageBuilder::to,
        );
        let message = message.body(in_words(notice)).map_err(|error| failed(&error))?;
        let sending = self.transport.send(message);
        match tokio::time::timeout(SLOWEST, sending).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(failed(&error)),
            Err(_) => Err(failed(&format!("no answer within {SLOWEST:?}"))),
        }
    }
}

/// What people read; nothing of what the patient wrote.
fn in_words(notice: &UndeliveredNotice) -> String {
    let (platform, conversation) = (notice.conversation.platform(), notice.conversation.as_str());
    let minutes = notice.waiting.as_secs() / 60;
    let (state, state_zh) = if notice.given_up {
        ("The bot has given up.", "机器人已放弃发送。")
    } else {
        ("The bot goes on trying.", "机器人会继续尝试。")
    };
    format!(
        "A patient on {platform} wrote of an emergency, and the notice to call for help has not arrived for {minutes} \
         minutes. {state} Conversation: {conversation}. Please try to reach the patient.\n\
         {platform} 上的一位患者描述了急症，但请其呼救的提示已有 {minutes} 分钟未能送达。{state_zh}会话：{conversation}。请设法联系患者。\n"
    )
}

fn read_secret(key: &str, file: Option<&PathBuf>) -> Result<Option<SecretString>, ConfigError> {
    let Some(path) = file else { return Ok(None) };
    let secret = std::fs::read_to_string(path)
        .map_err(|error| wrong(key, &format!("cannot read {}: {error}", path.display())))?;
    match secret.trim() {
        "" => Err(wrong(key, &format!("{} is empty", path.display()))),
        secret => Ok(Some(SecretString::from(secret.to_owned()))),
    }
}

fn wrong(key: &str, problem: &str) -> ConfigError {
    ConfigError::new(format!("escalation.{key}: {problem}"))
}
