//! What a customer was told of an endpoint, and what may still be said of it.

use serde_json::Value;

use crate::model::{Heard, Judged, must};

/// Within this everything has come that a customer has given up on.
const DOUBT_MS: i64 = 60_000;

/// What one customer knows of their endpoint.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hook {
    pub(crate) is_used: bool,
    /// The secret that was shown last, and the one before it.
    pub(crate) secret: Option<String>,
    pub(crate) former: Option<String>,
    /// Its url, if it was given up when it was shown last.
    pub(super) given_up: Option<String>,
    /// Its url and its secret, or that there is none; nothing while it is not known what became of a request.
    known: Option<Option<(String, String)>>,
    doubted_ms: Option<i64>,
}

impl Hook {
    /// Nobody knows what became of a request.
    pub(super) fn doubt(&mut self, now_ms: i64) {
        self.known = None;
        self.doubted_ms = Some(now_ms);
    }

    pub(super) fn learn(&mut self, heard: &Heard, asked_ms: i64) {
        let said = match heard.status {
            200 => text(&heard.json(), "url").zip(text(&heard.json(), "secret")),
            204 | 404 => None,
            _ => return,
        };
        if let Some((_, secret)) = &said
            && self.secret.as_ref() != Some(secret)
        {
            self.former = self.secret.replace(secret.clone());
        }
        let json = heard.json();
        self.given_up = text(&json, "url").filter(|_| json["state"] == "given_up");
        let is_sure = self.doubted_ms.is_none_or(|doubted_ms| doubted_ms + DOUBT_MS < asked_ms);
        self.known = is_sure.then_some(said);
    }

    pub(super) fn judge_put(&mut self, heard: &Heard, url: &str) -> Judged {
        let json = heard.json();
        let is_set = heard.status == 200 && json["url"] == url && json["state"] == "active";
        must(is_set, || format!("{url} was to be set"))?;
        if let Some(Some((_, secret))) = &self.known {
            must(json["secret"] == secret.as_str(), || "it is set, and its secret is another".to_owned())?;
        }
        if self.known == Some(None) && self.secret.is_some() {
            must(text(&json, "secret") != self.secret, || "what was removed has its secret again".to_owned())?;
        }
        Ok(())
    }

    pub(super) fn judge_replaced(&mut self, heard: &Heard, secret: &str) -> Judged {
        let json = heard.json();
        match (heard.status, heard.code().as_str()) {
            (200, _) => {
                must(json["secret"] != secret, || "a secret was replaced by itself".to_owned())?;
                must(json["former_secret_until"].is_string(), || "and nothing is said of the one before".to_owned())?;
                if let Some(Some((url, known))) = &self.known {
                    must(json["url"] == url.as_str(), || format!("it was at {url}"))?;
                    // A repeat changes nothing more.
                    must(secret == known || json["secret"] == known.as_str(), || {
                        "a secret that was replaced before was replaced again".to_owned()
                    })?;
                }
                Ok(())
            }
            (404, "webhook_not_found") => must(!matches!(self.known, Some(Some(_))), || "it is gone".to_owned()),
            (409, "webhook_secret_not_current") => {
                let is_current = self.known.iter().flatten().any(|(_, known)| known == secret);
                must(!is_current, || "the secret that was told is refused".to_owned())
            }
            _ => Err("nobody should say so".to_owned()),
        }
    }

    pub(super) fn judge_removed(&mut self, heard: &Heard) -> Judged {
        must(heard.status == 204 && heard.bytes.is_empty(), || "it was to be removed".to_owned())
    }

    pub(super) fn judge_read(&mut self, heard: &Heard) -> Judged {
        let json = heard.json();
        match (heard.status, &self.known) {
            (200, Some(Some((url, secret)))) => {
                must(json["url"] == url.as_str() && json["secret"] == secret.as_str(), || format!("it was at {url}"))
            }
            (200, None) => Ok(()),
            (404, None | Some(None)) if heard.code() == "webhook_not_found" => Ok(()),
            (404, Some(Some(_))) => Err("it is gone".to_owned()),
            (200, Some(None)) => Err("it was removed, or never set".to_owned()),
            _ => Err("nobody should say so".to_owned()),
        }
    }
}

/// An answer for people.
pub(super) fn without_secrets(json: &Value) -> Value {
    let mut json = json.clone();
    if json["secret"].is_string() {
        json["secret"] = "…".into();
    }
    json
}

fn text(json: &Value, name: &str) -> Option<String> {
    json[name].as_str().map(str::to_owned)
}
