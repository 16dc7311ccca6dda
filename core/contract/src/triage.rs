//! How urgently and where to seek care.

use serde::{Deserialize, Serialize};

/// Ordered by urgency: a greater disposition is a more urgent one, so raising is `max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Disposition {
    /// Care at home, with what to watch for.
    SelfCare,
    /// An appointment within days.
    OutPatient,
    /// To be seen today, within 24 hours.
    SameDay,
    /// Call the emergency number now.
    Emergency,
}

impl Disposition {
    /// `emergency`, `same-day`, `out-patient` or `self-care`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Emergency => "emergency",
            Self::SameDay => "same-day",
            Self::OutPatient => "out-patient",
            Self::SelfCare => "self-care",
        }
    }

    /// The reverse of [`Disposition::name`].
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Emergency, Self::SameDay, Self::OutPatient, Self::SelfCare]
            .into_iter()
            .find(|it| it.name() == name)
    }

    /// The more urgent of the two: urgency is only ever raised.
    #[must_use]
    pub fn raised_to(self, other: Option<Self>) -> Self {
        other.map_or(self, |other| self.max(other))
    }
}

/// What the third reader, the served model itself, made of a message that rules and second reader call no emergency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThirdReading {
    /// The model's name.
    pub model: String,
    pub verdict: ThirdVerdict,
}

/// Only the first changes anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ThirdVerdict {
    Emergency,
    NoEmergency,
    /// It answered neither yes nor no.
    Unclear,
    /// No answer came before the deadline.
    Late,
    /// It could not be asked.
    Failed,
}

impl ThirdVerdict {
    /// `emergency`, `no-emergency`, `unclear`, `late` or `failed`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Emergency => "emergency",
            Self::NoEmergency => "no-emergency",
            Self::Unclear => "unclear",
            Self::Late => "late",
            Self::Failed => "failed",
        }
    }
}
