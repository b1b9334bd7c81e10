//! The one step: the function as it is deployed, over the services, with everything noted that passes between them.

use std::sync::Arc;
use std::time::Duration;

use benchmarks::{Calls, Meter};
use domain::{Millis, Timestamp};
use local_cloud::stack::{Function, Stack};
use local_system::panics;
use platform::chance::Chance;
use platform::runtime::Invocation;
use platform::{App, Clock};
use serde::Serialize;
use serde_json::Value;

use super::services::Services;
use crate::failure::Failure;

pub(super) struct Step<'a> {
    pub(super) services: &'a Services,
    pub(super) stack: &'a Stack,
    pub(super) function: &'a Function,
    pub(super) clock: Option<Timestamp>,
    pub(super) seed: Option<u64>,
}

/// What came of it.
pub(super) struct Done {
    pub(super) answer: Result<Value, LambdaError>,
    pub(super) calls: Calls,
}

/// A failure as Lambda returns it.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LambdaError {
    pub(super) error_type: &'static str,
    pub(super) error_message: String,
}

impl Step<'_> {
    pub(super) async fn take(self, event: Value) -> Result<Done, Failure> {
        let handler = &self.function.handler;
        let function = functions::by_handler(handler).ok_or_else(|| {
            let id = &self.function.logical_id;
            Failure::Failed(format!("the template's function {id} names a handler {handler:?}, which is none of ours"))
        })?;
        self.through(*function, event).await
    }

    async fn through(self, function: platform::Function, event: Value) -> Result<Done, Failure> {
        let config = self.services.reached_by(local_system::config_of(self.stack, self.function)?);
        let clock = self.clock.map_or_else(Clock::wall, |moment| Clock::new(move || moment));
        let network = self.services.network();
        let seed = match self.seed {
            None => fastrand::u64(..),
            Some(seed) => {
                fastrand::seed(seed);
                let reader = App::new(config.clone(), network.clone(), clock.clone(), seed);
                of_this_state(seed, &reader).await?
            }
        };
        let meter = Meter::default();
        let app = App::new(config, meter.before(network), clock, seed);
        let app = Arc::new(app.with_chance(self.seed.map_or_else(Chance::of_the_system, Chance::seeded)));
        let limit = self.function.timeout_seconds;
        let deadline = app.now().after(Millis::seconds(limit.into()));
        let work = panics::caught(function.invoke(app, event, Invocation { deadline }));
        let failed = |error_type, error_message| Err(LambdaError { error_type, error_message });
        let answer = match tokio::time::timeout(Duration::from_secs(limit.into()), work).await {
            Ok(Ok(Ok(answer))) => Ok(answer),
            Ok(Ok(Err(platform::runtime::Failed(why)))) => failed("Failed", why),
            Ok(Err(panicked)) => failed("Runtime.Panic", panicked.to_string()),
            Err(_) => failed("Sandbox.Timedout", format!("Task timed out after {limit}.00 seconds")),
        };
        Ok(Done { answer, calls: meter.take() })
    }
}

/// A seed for this state alone. A function knows its own tries by the ids that it gives them: over a state that has
/// gone on, the same seed must not give an id again that stands there already.
async fn of_this_state(seed: u64, reader: &App) -> Result<u64, Failure> {
    let state = platform::verify::fingerprint(reader.store.table()).await.map_err(platform::Failure::from)?;
    let mix = |mixed: u64, byte: u8| (mixed ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    Ok(state.to_string().bytes().fold(seed, mix))
}

#[cfg(test)]
mod tests {
    use local_cloud::{Cloud, Options, Storage};
    use platform::Handler;

    use super::*;

    async fn failure_of(handler: Handler) -> LambdaError {
        let stack = local_system::stack(local_system::TEMPLATE, local_system::STACK_NAME, Default::default()).unwrap();
        let cloud = Cloud::open(stack.clone(), Options::new(Storage::Memory, local_cloud::Clock::wall(), 1)).unwrap();
        let function = stack.functions.iter().find(|function| function.handler == "sweep").unwrap();
        let services = Services::Here(cloud);
        let step = Step { services: &services, stack: &stack, function, clock: None, seed: None };
        let done = step.through(platform::Function { name: "sweep", handler }, Value::Null).await.unwrap();
        done.answer.unwrap_err()
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_limit_of_the_template_is_kept() {
        let error = failure_of(Handler::Event(|_, _, _| Box::pin(std::future::pending()))).await;
        assert_eq!(error.error_type, "Sandbox.Timedout");
        assert_eq!(error.error_message, "Task timed out after 60.00 seconds");
    }

    #[tokio::test]
    async fn a_panic_is_a_failure_with_its_place() {
        panics::remember_places();
        let error = failure_of(Handler::Event(|_, _, _| Box::pin(async { panic!("no broom") }))).await;
        assert_eq!(error.error_type, "Runtime.Panic");
        let place = error.error_message.strip_prefix("no broom, at ");
        assert!(place.is_some_and(|place| place.contains("step.rs:")), "{}", error.error_message);
    }
}
