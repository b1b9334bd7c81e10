//! What customers do and in which weather, told rather than drawn: a scenario, or a run that was kept. What is drawn from
//! a seed changes with the simulator; what is told stays as it is.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::fault::Swarm;
use crate::workload::Operation;

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// How long an order waits at most.
    pub(crate) hours: u32,
    #[serde(default, skip_serializing_if = "Jump::is_none")]
    pub(crate) jump: Jump,
    #[serde(default, skip_serializing_if = "Swarm::is_calm")]
    pub(crate) weather: Swarm,
    /// Cards are charged by Stripe's protocol, not by the plain one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) is_stripe: bool,
    pub(crate) customers: Vec<Vec<Step>>,
}

/// One thing after another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Step {
    /// The number names its key, and the numbers that it draws.
    Does {
        number: u64,
        what: Operation,
    },
    WaitsMs(u64),
    /// Time passes at once.
    JumpsMs(u64),
    /// What came before led up to it, and is swept where it is a story of its own.
    Begins,
}

/// How far time jumps once everything is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Jump {
    #[default]
    None,
    Minutes,
    Day,
    Month,
}

impl Jump {
    pub(crate) const ALL: [Self; 4] = [Self::None, Self::Minutes, Self::Day, Self::Month];

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
    pub(crate) const fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    pub(crate) const fn length(self) -> Duration {
        Duration::from_secs(match self {
            Self::None => 0,
            Self::Minutes => 11 * 60,
            Self::Day => 24 * 60 * 60,
            Self::Month => 30 * 24 * 60 * 60,
        })
    }

    pub(crate) const fn in_words(self) -> &'static str {
        match self {
            Self::None => "nothing",
            Self::Minutes => "eleven minutes",
            Self::Day => "a day",
            Self::Month => "a month",
        }
    }
}

impl Script {
    pub(crate) fn has_prelude(&self) -> bool {
        self.customers.iter().flatten().any(|step| matches!(step, Step::Begins))
    }

    /// Takes down what a customer did next.
    pub(crate) fn tell(&mut self, customer: usize, step: Step) {
        if self.customers.len() <= customer {
            self.customers.resize_with(customer + 1, Vec::new);
        }
        match (self.customers[customer].last_mut(), step) {
            (Some(Step::WaitsMs(waited)), Step::WaitsMs(more)) => *waited += more,
            (_, step) => self.customers[customer].push(step),
        }
    }
}
