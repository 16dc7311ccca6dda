//! Keeps a session with the gateway: resumes it, or begins a new one, until the operator is needed.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bedside_contract::{ConnectorError, Intake, StoreError};
use bedside_kit::{Backoff, is_loopback};
use reqwest::Url;
use tokio::sync::{mpsc, watch};

use crate::{
    PLATFORM, commands,
    connection::{self, End, Opening},
    connector::Shared,
    events::Snowflake,
    failure::RestFailure,
    inbound::Inbound,
    session::Progress,
};

/// Events that wait to be stored, before the connection is cut and they are replayed later.
const MOST_WAITING: usize = 4096;

/// Discord lets a bot identify once in five seconds.
const BETWEEN_SESSIONS: Duration = Duration::from_secs(5);

/// A connection that held this long was a good one.
const HELD: Duration = Duration::from_secs(30);

const SHORTEST_WAIT: Duration = Duration::from_millis(300);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Failures in a row after which the address for resuming is no longer tried.
const RESUME_ADDRESS_TRIES: u32 = 3;

pub(crate) struct Gateway<'a> {
    shared: &'a Arc<Shared>,
    intake: &'a dyn Intake,
    gateway_url: Option<&'a Url>,
    register_commands: bool,
    backoff: Backoff,
    last_identify: Option<Instant>,
}

impl<'a> Gateway<'a> {
    pub(crate) fn new(
        shared: &'a Arc<Shared>,
        intake: &'a dyn Intake,
        gateway_url: Option<&'a Url>,
        register_commands: bool,
    ) -> Self {
        Self {
            shared,
            intake,
            gateway_url,
            register_commands,
            backoff: Backoff::new(SHORTEST_WAIT, LONGEST_WAIT),
            last_identify: None,
        }
    }

    /// Runs until it is dropped.
    ///
    /// # Errors
    /// When Discord refuses the token or the intents, or the store is broken.
    pub(crate) async fn run(mut self) -> Result<(), ConnectorError> {
        let (application, own_user) = self.identity().await?;
        tracing::info!(%application, "Discord knows the bot.");
        if self.register_commands {
            let shared = Arc::clone(self.shared);
            tokio::spawn(async move { commands::register(&shared.rest, application).await });
        }
        let stored = self.intake.cursor(PLATFORM, &application.to_string()).await?;
        let progress = Progress::from_stored(stored.as_deref());
        let mut inbound = Inbound::new(self.shared, self.intake, application, own_user, progress);
        loop {
            let address = self.address(&inbound.progress).await?;
            if inbound.progress.session.is_none() {
                self.last_identify = Some(Instant::now());
            }
            let began = Instant::now();
            let (end, stored) = self.connect(&address, own_user, &mut inbound).await;
            if began.elapsed() > HELD {
                self.backoff.reset();
            }
            self.after_store(stored)?;
            if let Some(end) = end {
                self.after_end(&end, &mut inbound.progress)?;
            }
            self.backoff.wait().await;
        }
    }

    /// One connection, and all that it brought put into the store. No end means that storing ended it.
    async fn connect(
        &self,
        address: &str,
        own_user: Snowflake,
        inbound: &mut Inbound<'_>,
    ) -> (Option<End>, Result<(), StoreError>) {
        let session = inbound.progress.session.clone();
        let (events, waiting) = mpsc::channel(MOST_WAITING);
        let (done, far) = watch::channel(session.as_ref().map(|it| it.seq));
        let opening = Opening {
            address,
            token: self.shared.rest.token(),
            own_user,
            session: session.as_ref(),
        };
        let mut reading = std::pin::pin!(connection::run(opening, events, far));
        let mut storing = std::pin::pin!(inbound.run(waiting, &done));
        tokio::select! {
            biased;
            stored = &mut storing => (None, stored),
            end = &mut reading => (Some(end), storing.await),
        }
    }

    fn after_store(&mut self, stored: Result<(), StoreError>) -> Result<(), ConnectorError> {
        match stored {
            Err(broken @ StoreError::Broken(_)) => Err(broken.into()),
            Err(error) => {
                tracing::error!(%error, "Events were not stored; discord is asked to send them again.");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    fn after_end(&mut self, end: &End, progress: &mut Progress) -> Result<(), ConnectorError> {
        match end {
            End::Dropped(reason) => tracing::info!(reason, "The connection to discord ended."),
            End::Unreachable(problem) => tracing::warn!(problem, "Discord's gateway cannot be reached."),
            End::Overwhelmed => tracing::warn!("Events come faster than they are stored."),
            End::SessionGone => {
                tracing::info!(
                    "Discord has forgotten the session; missed messages are read from the history."
                );
                progress.session = None;
            }
            End::Closed(code) => {
                if let Some(reason) = fatal(*code) {
                    return Err(refused(reason));
                }
                tracing::info!(code, "Discord closed the connection.");
                if ends_session(*code) {
                    progress.session = None;
                }
            }
        }
        Ok(())
    }

    async fn identity(&mut self) -> Result<(Snowflake, Snowflake), ConnectorError> {
        let own_user = loop {
            match self.shared.rest.own_user().await {
                Ok(id) => break id,
                Err(failure) => self.after_failed_call(&failure).await?,
            }
        };
        let application = loop {
            match self.shared.rest.own_application().await {
                Ok(id) => break id,
                // A relay that does not know the call; of all but the oldest bots both ids are the same.
                Err(RestFailure::NotDiscord { status: 404 } | RestFailure::Refused { status: 404, .. }) => {
                    break own_user;
                }
                Err(failure) => self.after_failed_call(&failure).await?,
            }
        };
        self.backoff.reset();
        Ok((application, own_user))
    }

    /// Where to connect to; for a new session as soon as Discord allows one.
    async fn address(&mut self, progress: &Progress) -> Result<String, ConnectorError> {
        if let Some(session) = &progress.session
            && self.gateway_url.is_none()
            && self.backoff.failures() < RESUME_ADDRESS_TRIES
            && let Some(address) = safe_address(&session.resume_gateway_url)
        {
            return Ok(address);
        }
        if progress.session.is_none()
            && let Some(wait) = self
                .last_identify
                .and_then(|last| BETWEEN_SESSIONS.checked_sub(last.elapsed()))
        {
            tokio::time::sleep(wait).await;
        }
        if let Some(url) = self.gateway_url {
            return Ok(with_version(url.clone()));
        }
        loop {
            match self.shared.rest.gateway().await {
                Ok(gateway) => {
                    let limit = gateway.session_start_limit.filter(|it| it.remaining == 0);
                    if let (Some(limit), None) = (limit, &progress.session) {
                        let wait = Duration::from_millis(limit.reset_after).min(Duration::from_secs(3600));
                        tracing::error!(
                            ?wait,
                            "Discord allows no new session today; is the bot restarted in a loop?"
                        );
                        tokio::time::sleep(wait.max(SHORTEST_WAIT)).await;
                        continue;
                    }
                    match safe_address(&gateway.url) {
                        Some(address) => return Ok(address),
                        None => {
                            tracing::error!("The gateway's address is not safe: check discord.api_url.");
                            self.backoff.wait().await;
                        }
                    }
                }
                Err(failure) => self.after_failed_call(&failure).await?,
            }
        }
    }

    async fn after_failed_call(&mut self, failure: &RestFailure) -> Result<(), ConnectorError> {
        if failure.is_bad_token() {
            return Err(refused(BAD_TOKEN));
        }
        tracing::warn!(problem = %failure, "Discord cannot be asked, trying again.");
        match failure {
            RestFailure::TooMany { wait, .. } => tokio::time::sleep(*wait).await,
            _ => self.backoff.wait().await,
        }
        Ok(())
    }
}

const BAD_TOKEN: &str = "discord refused the token: check discord.token; the page \"Bot\" of the application in \
                         the developer portal makes a new one";

/// What the operator has to do about a close code after which no new try succeeds.
fn fatal(code: u16) -> Option<&'static str> {
    match code {
        4004 => Some(BAD_TOKEN),
        4010 | 4011 => Some(
            "discord wants the bot's servers to be spread over several connections: take it out of servers, \
             patients need only direct messages",
        ),
        4012 => Some("discord no longer speaks version 10 of its gateway: a newer bedside is needed"),
        4013 | 4014 => Some(
            "discord does not allow the bot to receive messages: open the application in the developer portal, \
             page \"Bot\"; no privileged intent is needed, but the application must not be suspended or under review",
        ),
        _ => None,
    }
}

/// Not authenticated, wrong sequence number, session timed out.
fn ends_session(code: u16) -> bool {
    matches!(code, 4003 | 4007 | 4009)
}

fn refused(reason: &str) -> ConnectorError {
    ConnectorError::Refused {
        platform: PLATFORM.to_owned(),
        reason: reason.to_owned(),
    }
}

/// An address that Discord named, if the token may be sent there.
fn safe_address(address: &str) -> Option<String> {
    let url = Url::parse(address).ok()?;
    let is_safe = url.scheme() == "wss" || url.scheme() == "ws" && is_loopback(&url);
    is_safe.then(|| with_version(url))
}

fn with_version(mut url: Url) -> String {
    url.set_query(Some("v=10&encoding=json"));
    url.into()
}

#[cfg(test)]
mod tests {
    use super::{ends_session, fatal, safe_address};

    #[test]
    fn close_codes_are_classed() {
        let classes = |code| (fatal(code).is_some(), ends_session(code));
        for code in [4004, 4010, 4011, 4012, 4013, 4014] {
            assert_eq!(classes(code), (true, false), "{code}");
        }
        for code in [4003, 4007, 4009] {
            assert_eq!(classes(code), (false, true), "{code}");
        }
        for code in [1000, 1001, 1006, 4000, 4001, 4002, 4005, 4008] {
            assert_eq!(classes(code), (false, false), "{code}");
        }
        assert!(fatal(4004).is_some_and(|it| it.contains("discord.token")));
        assert!(fatal(4014).is_some_and(|it| it.contains("developer portal")));
    }

    #[test]
    fn the_token_goes_to_safe_addresses_only() {
        let check =
            |address: &str, expect: Option<&str>| assert_eq!(safe_address(address).as_deref(), expect);
        check(
            "wss://gateway.discord.gg",
            Some("wss://gateway.discord.gg/?v=10&encoding=json"),
        );
        check(
            "ws://127.0.0.1:9/gateway",
            Some("ws://127.0.0.1:9/gateway?v=10&encoding=json"),
        );
        check("ws://gateway.discord.gg", None);
        check("https://discord.com", None);
        check("nonsense", None);
    }
}
