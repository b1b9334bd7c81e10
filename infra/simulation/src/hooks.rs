//! What customers do about being told from outside: they set an endpoint, move it, replace its secret, look at it and
//! remove it, between whatever else they do. Whether a run has endpoints is drawn for all of its customers together.

pub(crate) mod told;

use domain::ids::CustomerId;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::chance;
use crate::coverage::Path;
use crate::model::Heard;
use crate::outside::{DEAD, GONE};
use crate::workload::{Customer, Letter, Operation};

/// Numbers of what is done about endpoints begin here, since it comes between what is drawn anyway.
pub(crate) const FIRST: u64 = 1_000;

/// What a customer does about an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Hook {
    Put(Where),
    /// The secret that was shown last is replaced.
    Rotate,
    /// The one before it, which may be too late.
    RotateFormer,
    Remove,
    Read,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Where {
    Here,
    There,
    /// It says that it is gone.
    Gone,
    /// Nobody is there, ever.
    Dead,
}

impl Where {
    const fn path(self) -> &'static str {
        match self {
            Self::Here => "/here",
            Self::There => "/there",
            Self::Gone => GONE,
            Self::Dead => DEAD,
        }
    }
}

impl Customer {
    /// What is done about the endpoint before something else is, if this run has endpoints.
    pub(crate) fn draw_hook(&self, number: u64) -> Option<Operation> {
        let hooks = self.world().hooks?;
        let mut rng = chance::at(hooks, &self.model.name, number);
        let has_dead = self.number() == 0 && chance::at(hooks, "dead", 0).u32(0..10) == 0;
        let which = match rng.u32(0..20) {
            _ if has_dead && number == 1 => Where::Dead,
            0..12 => Where::Here,
            12..17 => Where::There,
            _ => Where::Gone,
        };
        Some(Operation::Hook(match (number, rng.u32(0..100)) {
            (1, 0..80) => Hook::Put(which),
            (1, _) => return None,
            (_, 0..8) => Hook::Put(which),
            (_, 8..14) => Hook::Rotate,
            (_, 14..16) => Hook::RotateFormer,
            (_, 16..18) => Hook::Remove,
            (_, 18..21) => Hook::Read,
            _ => return None,
        }))
    }

    pub(crate) fn hook_in_words(hook: Hook) -> String {
        match hook {
            Hook::Put(which) => format!("sets the endpoint {}", which.path()),
            Hook::Rotate => "replaces the secret".to_owned(),
            Hook::RotateFormer => "replaces the secret before".to_owned(),
            Hook::Remove => "removes the endpoint".to_owned(),
            Hook::Read => "reads the endpoint".to_owned(),
        }
    }

    pub(crate) async fn hooks(&mut self, hook: Hook) {
        self.model.hook.is_used = true;
        match hook {
            Hook::Put(which) => self.put_hook(format!("https://{}.example{}", self.model.name, which.path())).await,
            Hook::Rotate => self.replace(self.model.hook.secret.clone()).await,
            Hook::RotateFormer => self.replace(self.model.hook.former.clone()).await,
            Hook::Remove => self.remove_hook().await,
            Hook::Read => self.read_hook().await,
        }
    }

    /// In the calm: what was given up is set again.
    pub(crate) async fn set_again(&mut self) {
        if self.model.hook.is_used {
            self.read_hook().await;
        }
        if let Some(url) = self.model.hook.given_up.clone() {
            self.put_hook(url).await;
        }
    }

    async fn put_hook(&mut self, url: String) {
        let asked_ms = self.world().now_ms();
        let heard = self.send(&Letter::put("/webhook".to_owned(), &json!({ "url": url }))).await;
        self.learn("PUT /webhook", asked_ms, &heard, |hook, heard| hook.judge_put(heard, &url));
    }

    async fn replace(&mut self, secret: Option<String>) {
        let Some(secret) = secret else { return };
        let (asked_ms, customer) = (self.world().now_ms(), self.customer());
        let body = json!({ "replaces": secret }).to_string();
        let heard = self.send(&Letter::post("/webhook/secret", None, &body)).await;
        let heard_ms = self.world().now_ms();
        if heard.iter().any(|heard| heard.code() == "webhook_secret_not_current") {
            self.world().reached(Path::SecretNotCurrent);
            if !self.world().state().book.is_replaced(customer, &secret, asked_ms, heard_ms) {
                let says = "a secret that is current, or was until now, was refused".to_owned();
                self.judged("POST /webhook/secret", Err(says));
            }
        }
        self.learn("POST /webhook/secret", asked_ms, &heard, |hook, heard| hook.judge_replaced(heard, &secret));
    }

    async fn remove_hook(&mut self) {
        let asked_ms = self.world().now_ms();
        let heard = self.send(&Letter::delete("/webhook")).await;
        self.learn("DELETE /webhook", asked_ms, &heard, told::Hook::judge_removed);
    }

    pub(crate) async fn read_hook(&mut self) {
        let asked_ms = self.world().now_ms();
        let heard = self.send(&Letter::get("/webhook")).await;
        self.learn("GET /webhook", asked_ms, &heard, told::Hook::judge_read);
    }

    pub(crate) fn customer(&self) -> CustomerId {
        CustomerId::of(self.issuer(), &self.model.name)
    }

    /// Judges each answer by what was told before, and by what was there while it was waited for.
    fn learn(
        &mut self,
        what: &str,
        asked_ms: i64,
        heard: &[Heard],
        judge: impl Fn(&mut told::Hook, &Heard) -> crate::model::Judged,
    ) {
        let (customer, now_ms, is_calm) = (self.customer(), self.world().now_ms(), self.world().is_calm());
        if heard.is_empty() {
            self.model.hook.doubt(now_ms);
        }
        for heard in heard {
            if heard.is_unknown() {
                self.model.hook.doubt(now_ms);
                self.judged(what, crate::model::Model::judge_error(heard, is_calm));
                continue;
            }
            let judged = {
                let book = &self.world().state().book;
                match heard.status {
                    200 => book.shown(customer, &heard.json(), asked_ms, now_ms),
                    204 | 404 if book.is_absent(customer, asked_ms, now_ms) => Ok(()),
                    204 | 404 => Err(format!("{}, and it was set all the time", heard.status)),
                    _ => Ok(()),
                }
            };
            let judged = judged.and_then(|()| {
                let judged = judge(&mut self.model.hook, heard);
                self.model.hook.learn(heard, asked_ms);
                judged
            });
            let says = |says| format!("{says}: {} {}", heard.status, told::without_secrets(&heard.json()));
            self.judged(what, judged.map_err(says));
        }
    }
}
