//! The way to everyone outside: a call is made once, for no longer than so long, follows no redirect, and what it brings
//! is a status. Whoever plays the outside in a test answers in its place.

mod network;

use std::sync::Arc;
use std::time::Duration;

use domain::Timestamp;
use domain::webhooks::{Answer, EndpointUrl, NoAnswer, Reach};

use crate::runtime::BoxFuture;

/// With connecting and all; well below the time limit of the function that calls.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is posted, once.
#[derive(Clone, Debug)]
pub struct Call {
    pub url: EndpointUrl,
    pub at: Timestamp,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
}

/// Whoever carries calls out.
pub trait Post: Send + Sync {
    fn post(&self, call: Call) -> BoxFuture<'_, Answer>;
}

/// Where calls go, and how far they may.
#[derive(Clone)]
pub struct Outside {
    post: Arc<dyn Post>,
    reach: Reach,
}

impl Outside {
    /// The real one. Nothing is made of it until it is called.
    pub fn network(reach: Reach) -> Self {
        Self::answered_by(network::Network::new(reach), reach)
    }

    pub fn answered_by(post: impl Post + 'static, reach: Reach) -> Self {
        Self { post: Arc::new(post), reach }
    }

    /// What is deployed, as if there were nobody outside: for systems that have nothing to say to anyone.
    pub fn nobody() -> Self {
        Self::answered_by(Nobody, Reach::Public)
    }

    pub const fn reach(&self) -> Reach {
        self.reach
    }

    pub async fn post(&self, call: Call) -> Answer {
        let answer = tokio::time::timeout(PATIENCE, self.post.post(call)).await;
        answer.unwrap_or(Answer::Silence(NoAnswer::TimedOut))
    }
}

struct Nobody;

impl Post for Nobody {
    fn post(&self, _: Call) -> BoxFuture<'_, Answer> {
        Box::pin(std::future::ready(Answer::Silence(NoAnswer::Unreachable)))
    }
}
