//! What is counted of the bot's work.

use std::time::Duration;

/// Hears what happens. It is called in the middle of a patient's turn, so it neither waits nor fails.
pub trait Observer: Send + Sync {
    fn observe(&self, observation: &Observation<'_>);
}

/// Counts nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn observe(&self, _: &Observation<'_>) {}
}

/// One thing that happened. It holds no words of a patient's and nothing that tells one patient from another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Observation<'a> {
    /// A message is in the store; `durable_after` is the time since the bot got it.
    MessageTaken {
        platform: &'a str,
        durable_after: Duration,
    },
    /// The platform sent a message again that is in the store already.
    Duplicate { platform: &'a str },
    /// A connector turned a message away, since its sender writes too fast.
    RateLimited { platform: &'a str },
    /// An answer waited before its work began, or not at all.
    Queued { stage: QueueStage, waited: Duration },
    /// The model said its first word; since the work on the answer began.
    FirstWords { after: Duration },
    /// A word of the model's followed the one before, on average over an answer.
    InterToken { mean: Duration },
    /// What the gates made of the sentences of an answer.
    Sentences {
        kept: usize,
        /// No passage supports them, or they were said before.
        dropped: usize,
        /// The output gate held them back.
        withheld: usize,
    },
    /// The work on a message ended, for now or for good.
    TurnFinished { took: Duration, outcome: TurnOutcome },
    /// A notice of an emergency was written for a patient.
    EmergencyNotice { platform: &'a str },
    /// One attempt to deliver a part.
    PartSent { platform: &'a str, result: SendResult },
    /// Something was given up for good.
    DeadLetter { platform: &'a str, what: GivenUp },
    /// An emergency notice has not arrived in time.
    Escalation { result: EscalationResult },
    /// A plugin's hook failed.
    PluginProblem { plugin: &'a str, hook: &'a str },
    /// Somebody sent a wrong key to the part of the bot that `place` names in the configuration.
    WrongKey { place: &'a str },
}

/// Where an answer waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueStage {
    /// For one of the places that `bot.answers_at_once` counts.
    Admission,
    /// In the model's own queue.
    Model,
}

impl QueueStage {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Admission => "admission",
            Self::Model => "model",
        }
    }
}

/// How the work on a message ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TurnOutcome {
    /// With an answer, or whatever else the bot says.
    Answered,
    /// With the notice of an emergency.
    Emergency,
    /// After too many attempts, with an apology.
    Apology,
    /// The bot is being stopped: the message waits for the next start.
    GivenBack,
    /// The store failed; it is tried again.
    StoreFailed,
    /// With a fault of ours, and an apology.
    Panicked,
}

impl TurnOutcome {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Emergency => "emergency",
            Self::Apology => "apology",
            Self::GivenBack => "given-back",
            Self::StoreFailed => "store-failed",
            Self::Panicked => "panicked",
        }
    }
}

/// What became of one attempt to deliver a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendResult {
    Sent,
    /// The platform asked for a pause, or is switched off.
    Later,
    /// The patient has to write first.
    Parked,
    /// It certainly did not arrive; it is tried again.
    NotSent,
    /// It may have arrived; it is tried again.
    Unknown,
    /// Given up.
    Dead,
}

impl SendResult {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Later => "later",
            Self::Parked => "parked",
            Self::NotSent => "not-sent",
            Self::Unknown => "unknown",
            Self::Dead => "dead",
        }
    }
}

/// What was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GivenUp {
    /// A patient's message, answered with an apology.
    Message,
    /// A part of an answer.
    Part,
}

impl GivenUp {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Part => "part",
        }
    }
}

/// Whether staff know of an emergency notice that has not arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EscalationResult {
    Alerted,
    /// Nobody could be reached; it is tried again.
    Failed,
    /// Nobody is configured: the log alone says so.
    Nobody,
}

impl EscalationResult {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Alerted => "alerted",
            Self::Failed => "failed",
            Self::Nobody => "nobody",
        }
    }
}
