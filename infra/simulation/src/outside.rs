//! Everyone outside: answers what is sent to customers' endpoints, or does not, as the weather has it, and keeps a book
//! of its own of what came. What it takes it has taken, whether or not anybody hears that it did.

pub(crate) mod book;

use std::sync::Arc;
use std::time::Duration;

use domain::webhooks::{Answer, NoAnswer};
use platform::outside::{Call, Post};
use platform::runtime::BoxFuture;
use tokio::time::sleep;

use crate::fault::{Class, Fault};
use crate::plan::Point;
use crate::speaker::{Ending, Speaker};
use crate::telling::{Line, Mark};
use crate::world::World;
use book::Place;

/// What a url ends with that is gone for ever, and one where nobody ever is.
pub(crate) const GONE: &str = "/gone";
pub(crate) const DEAD: &str = "/dead";

#[derive(Clone)]
pub(crate) struct Receivers {
    world: Arc<World>,
}

impl Receivers {
    pub(crate) const fn new(world: Arc<World>) -> Self {
        Self { world }
    }

    async fn take(self, call: Call) -> Answer {
        let Some(speaker) = Speaker::current() else {
            self.world.find(format!("{} was called by nobody", call.url.as_str()));
            return Answer::Silence(NoAnswer::Unreachable);
        };
        let point = Point::new(&speaker.who, speaker.next_call());
        let url = call.url.as_str().to_owned();
        self.world.count_call();
        self.world.meet(&point, Class::Outside, speaker.is_asked, || format!("POST {url}"));
        self.note(&point, &call);
        let place = self.world.sent(&point, &call);
        let (there, back) = self.world.latency_ms(&point);
        sleep(Duration::from_millis(there)).await;
        let struck = self.world.strike(&point, Class::Outside, speaker.is_asked);
        if let Some((fault, _)) = &struck {
            self.world.say(|| Line::new(Mark::Struck, &point, format!("POST {url}")).to(fault.name().to_uppercase()));
        }
        let mut rng = self.world.numbers_outside(&point);
        let answer = match struck {
            None => {
                let answer = self.serve(&url, place.as_ref(), &mut rng);
                sleep(Duration::from_millis(back)).await;
                answer
            }
            Some((fault, mut numbers)) => {
                self.go_wrong(&speaker, &url, place.as_ref(), fault, &mut numbers, &mut rng).await
            }
        };
        self.world.note(&[b"outside", point.to_string().as_bytes(), format!("{answer:?}").as_bytes()]);
        self.world.say(|| Line::new(Mark::Plain, &point, format!("POST {url}")).to(in_words(answer)));
        if let Some(place) = &place {
            self.world.heard_outside(place, answer);
        }
        answer
    }

    fn note(&self, point: &Point, call: &Call) {
        let headers: Vec<String> = call.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        let (who, headers) = (point.to_string(), headers.join("\n"));
        self.world.note(&[
            b"outside",
            who.as_bytes(),
            call.url.as_str().as_bytes(),
            headers.as_bytes(),
            call.body.as_bytes(),
        ]);
    }

    /// What an endpoint does with which nothing is wrong.
    fn serve(&self, url: &str, place: Option<&Place>, rng: &mut fastrand::Rng) -> Answer {
        if url.ends_with(DEAD) {
            return Answer::Silence(NoAnswer::Unreachable);
        }
        if url.ends_with(GONE) {
            return status(410);
        }
        if let Some(place) = place {
            self.world.taken_outside(place);
        }
        status([200, 200, 202, 204][rng.usize(0..4)])
    }

    async fn go_wrong(
        &self,
        speaker: &Speaker,
        url: &str,
        place: Option<&Place>,
        fault: Fault,
        numbers: &mut fastrand::Rng,
        rng: &mut fastrand::Rng,
    ) -> Answer {
        const REFUSED: Answer = Answer::Silence(NoAnswer::Unreachable);
        match fault {
            Fault::LostBefore => REFUSED,
            Fault::LostAfter => {
                self.serve(url, place, rng);
                REFUSED
            }
            Fault::Late => {
                let (late_ms, is_silent) = (numbers.u64(50..12_000), numbers.bool());
                let (this, url, place, mut rng) = (self.clone(), url.to_owned(), place.cloned(), rng.clone());
                tokio::spawn(async move {
                    let _owed = this.world.owes();
                    sleep(Duration::from_millis(late_ms)).await;
                    this.serve(&url, place.as_ref(), &mut rng);
                });
                if is_silent { std::future::pending().await } else { REFUSED }
            }
            // Longer than anybody waits for it.
            Fault::SlowBefore => {
                sleep(Duration::from_millis(numbers.u64(10_500..15_000))).await;
                self.serve(url, place, rng)
            }
            Fault::SlowAfter => {
                let answer = self.serve(url, place, rng);
                sleep(Duration::from_millis(numbers.u64(10_500..15_000))).await;
                answer
            }
            Fault::Throttled => {
                let seconds = match numbers.u32(0..3) {
                    0 => None,
                    1 => Some(numbers.i64(0..400)),
                    _ => Some(numbers.i64(400..150_000)),
                };
                let status = [429, 503][numbers.usize(0..2)];
                Answer::Status { status, retry_after_ms: seconds.map(|seconds| seconds * 1_000) }
            }
            Fault::ErrorBefore => status([500, 502, 404, 302, 503][numbers.usize(0..5)]),
            Fault::ErrorAfter => {
                self.serve(url, place, rng);
                status(500)
            }
            Fault::Gone => status(410),
            // It serves others first, and is in time still.
            Fault::Rival => {
                sleep(Duration::from_millis(numbers.u64(200..9_500))).await;
                self.serve(url, place, rng)
            }
            Fault::Overtaken => {
                if let Some(again) = speaker.again()
                    && let Err(error) = tokio::spawn(again).await
                {
                    self.world.find(format!("what overtook {} ended badly: {error}", speaker.who));
                }
                self.serve(url, place, rng)
            }
            Fault::CrashBefore | Fault::HangBefore => {
                speaker.end(if fault == Fault::CrashBefore { Ending::Crashed } else { Ending::Hung });
                std::future::pending().await
            }
            Fault::CrashAfter | Fault::HangAfter => {
                self.serve(url, place, rng);
                speaker.end(if fault == Fault::CrashAfter { Ending::Crashed } else { Ending::Hung });
                std::future::pending().await
            }
            // These strike elsewhere.
            _ => self.serve(url, place, rng),
        }
    }
}

impl Post for Receivers {
    fn post(&self, call: Call) -> BoxFuture<'_, Answer> {
        Box::pin(self.clone().take(call))
    }
}

const fn status(status: u16) -> Answer {
    Answer::Status { status, retry_after_ms: None }
}

fn in_words(answer: Answer) -> String {
    match answer {
        Answer::Status { status, retry_after_ms: None } => status.to_string(),
        Answer::Status { status, retry_after_ms: Some(ms) } => format!("{status}, again in {} s", ms / 1_000),
        Answer::Silence(why) => format!("{why:?}"),
    }
}
