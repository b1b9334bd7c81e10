//! IAM policies as an authorizer answers them, judged for one route: an explicit deny wins over an allow, and what is
//! not allowed is denied.
//!
//! `Condition`, which would need the keys of IAM, is not understood: a policy with one is malformed here.

use serde_json::Value;

const INVOKE: &str = "execute-api:Invoke";

/// The statements that speak of invoking an API.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Policy(Vec<Statement>);

#[derive(Clone, Debug, PartialEq)]
struct Statement {
    allows: bool,
    /// `Resource`, or with `true` all but those, `NotResource`.
    resources: Vec<String>,
    all_but: bool,
}

impl Policy {
    /// The `policyDocument` of an answer; `Err` says what is wrong with it.
    pub(super) fn parse(document: &Value) -> Result<Self, &'static str> {
        let statements = match document.get("Statement") {
            Some(Value::Array(statements)) => statements.iter().collect(),
            Some(one @ Value::Object(_)) => vec![one],
            _ => return Err("policyDocument has no Statement"),
        };
        let mut of_invoking = Vec::new();
        for statement in statements {
            if statement.get("Condition").is_some() {
                return Err("a Statement has a Condition, which is not understood here");
            }
            let allows = match statement.get("Effect").and_then(Value::as_str) {
                Some("Allow") => true,
                Some("Deny") => false,
                _ => return Err("a Statement's Effect is neither Allow nor Deny"),
            };
            let (actions, all_actions_but) = either(statement, "Action", "NotAction")?;
            let (resources, all_but) = either(statement, "Resource", "NotResource")?;
            let speaks_of_it = actions.iter().any(|action| matches(&action.to_ascii_lowercase(), INVOKE, true));
            if speaks_of_it != all_actions_but {
                of_invoking.push(Statement { allows, resources, all_but });
            }
        }
        Ok(Self(of_invoking))
    }

    pub(super) fn allows(&self, arn: &str) -> bool {
        let matching: Vec<&Statement> = self.0.iter().filter(|statement| statement.is_of(arn)).collect();
        !matching.is_empty() && matching.iter().all(|statement| statement.allows)
    }
}

impl Statement {
    fn is_of(&self, arn: &str) -> bool {
        self.resources.iter().any(|pattern| matches(pattern, arn, false)) != self.all_but
    }
}

/// One text or several under a key, or under the other key that means all but those.
fn either(statement: &Value, key: &str, not_key: &str) -> Result<(Vec<String>, bool), &'static str> {
    let malformed = Err("a Statement has an Action or Resource that is no text");
    let (value, all_but) = match (statement.get(key), statement.get(not_key)) {
        (Some(value), None) => (value, false),
        (None, Some(value)) => (value, true),
        _ => return Err("a Statement needs one Action and one Resource"),
    };
    match value {
        Value::String(text) => Ok((vec![text.clone()], all_but)),
        Value::Array(texts) => {
            let texts: Option<Vec<_>> = texts.iter().map(|text| text.as_str().map(str::to_owned)).collect();
            texts.map_or(malformed, |texts| Ok((texts, all_but)))
        }
        _ => malformed,
    }
}

/// `*` is any number of characters, `?` is one.
fn matches(pattern: &str, text: &str, in_lower_case: bool) -> bool {
    let text: Vec<char> =
        if in_lower_case { text.to_ascii_lowercase().chars().collect() } else { text.chars().collect() };
    let pattern: Vec<char> = pattern.chars().collect();
    let (mut at, mut of_text, mut star) = (0, 0, None);
    while of_text < text.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, of_text));
                at += 1;
            }
            Some(letter) if *letter == '?' || *letter == text[of_text] => {
                at += 1;
                of_text += 1;
            }
            _ => match star {
                Some((star_at, taken)) => {
                    star = Some((star_at, taken + 1));
                    at = star_at + 1;
                    of_text = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|letter| *letter == '*')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ARN: &str = "arn:aws:execute-api:eu-central-1:000000000000:abc/$default/GET/things/5";

    fn says(statements: Value) -> bool {
        Policy::parse(&json!({"Version": "2012-10-17", "Statement": statements})).unwrap().allows(ARN)
    }

    fn statement(effect: &str, resource: &str) -> Value {
        json!({"Effect": effect, "Action": "execute-api:Invoke", "Resource": resource})
    }

    #[test]
    fn what_is_allowed_and_not_denied_is_allowed() {
        assert!(says(json!([statement("Allow", ARN)])));
        assert!(says(json!(statement("Allow", "*"))));
        assert!(says(json!([statement("Allow", "arn:aws:execute-api:*:*:abc/*/GET/things/?")])));
        assert!(says(json!([{"Effect": "Allow", "Action": ["s3:*", "execute-api:*"], "Resource": ["x", ARN]}])));
        assert!(says(json!([{"Effect": "Allow", "NotAction": "s3:*", "NotResource": "*/POST/*"}])));
        assert!(!says(json!([])));
        assert!(!says(json!([statement("Allow", "*/POST/*")])));
        assert!(!says(json!([statement("Allow", "*"), statement("Deny", "*/GET/*")])));
        assert!(!says(json!([{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}])));
        assert!(!says(json!([{"Effect": "Allow", "Action": "execute-api:Invoke", "NotResource": ARN}])));
    }

    #[test]
    fn what_is_no_policy_is_malformed() {
        for document in [
            json!(null),
            json!({}),
            json!({"Statement": "Allow"}),
            json!({"Statement": [{"Effect": "allow", "Action": "*", "Resource": "*"}]}),
            json!({"Statement": [{"Effect": "Allow", "Resource": "*"}]}),
            json!({"Statement": [{"Effect": "Allow", "Action": 1, "Resource": "*"}]}),
            json!({"Statement": [{"Effect": "Allow", "Action": "*", "Resource": [1]}]}),
            json!({"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {}}]}),
        ] {
            assert!(Policy::parse(&document).is_err(), "{document}");
        }
    }

    #[test]
    fn wildcards_match_as_they_do_in_iam() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("a*b*c", "aXXbYYc", true),
            ("a*b*c", "aXXbYY", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("**", "anything", true),
            ("*bab", "babbab", true),
        ] {
            assert_eq!(matches(pattern, text, false), expected, "{pattern} {text}");
        }
    }
}
