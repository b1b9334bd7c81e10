//! Event patterns: the language of rules on a bus and of filters on a mapping.
//!
//! A pattern is read once, when the cloud opens, and an operator that is not known here is an error then, never a
//! filter that silently lets everything or nothing through. Left out: `cidr`, which nothing but network events needs.

use serde_json::{Map, Value};

/// A pattern that has been read.
#[derive(Clone, Debug)]
pub(crate) struct Pattern(Node);

#[derive(Clone, Debug)]
enum Node {
    /// Every field has to match, and one of the alternatives of each `$or`.
    Object { fields: Vec<(String, Node)>, alternatives: Vec<Vec<Node>> },
    /// One of these has to.
    AnyOf(Vec<Matcher>),
}

#[derive(Clone, Debug)]
enum Matcher {
    Equals(Value),
    Exists(bool),
    Text(Text),
    Numeric(Vec<(Comparison, f64)>),
    AnythingBut(Vec<Value>),
    AnythingButText(Vec<Text>),
}

#[derive(Clone, Debug)]
enum Text {
    Prefix { text: String, ignore_case: bool },
    Suffix { text: String, ignore_case: bool },
    EqualsIgnoringCase(String),
    Wildcard(String),
}

#[derive(Clone, Copy, Debug)]
enum Comparison {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Pattern {
    pub(crate) fn read(pattern: &Value) -> Result<Self, String> {
        let fields = pattern.as_object().ok_or("a pattern is a JSON object")?;
        object(fields).map(Self)
    }

    pub(crate) fn matches(&self, event: &Value) -> bool {
        node_matches(&self.0, Some(event))
    }
}

fn object(fields: &Map<String, Value>) -> Result<Node, String> {
    if fields.is_empty() {
        return Err("an empty object matches nothing".into());
    }
    let (mut named, mut alternatives) = (Vec::new(), Vec::new());
    for (name, value) in fields {
        match value {
            Value::Array(choices) if name == "$or" => {
                let choices: Result<Vec<_>, String> = choices
                    .iter()
                    .map(|choice| object(choice.as_object().ok_or("the elements of $or are objects")?))
                    .collect();
                let choices = choices?;
                if choices.len() < 2 {
                    return Err("$or needs two alternatives or more".into());
                }
                alternatives.push(choices);
            }
            Value::Array(matchers) if !matchers.is_empty() => {
                let matchers: Result<_, String> = matchers.iter().map(matcher).collect();
                named.push((name.clone(), Node::AnyOf(matchers.map_err(|reason| format!("{name}: {reason}"))?)));
            }
            Value::Array(_) => return Err(format!("{name}: an empty array matches nothing")),
            Value::Object(inner) => {
                named.push((name.clone(), object(inner).map_err(|reason| format!("{name}.{reason}"))?));
            }
            _ => return Err(format!("{name}: a value in a pattern is an array or an object")),
        }
    }
    Ok(Node::Object { fields: named, alternatives })
}

fn matcher(value: &Value) -> Result<Matcher, String> {
    let Value::Object(operator) = value else {
        return if value.is_array() {
            Err("an array within an array".into())
        } else {
            Ok(Matcher::Equals(value.clone()))
        };
    };
    let mut entries = operator.iter();
    let (Some((name, operand)), None) = (entries.next(), entries.next()) else {
        return Err("an operator is an object with one key".into());
    };
    match name.as_str() {
        "exists" => operand.as_bool().map(Matcher::Exists).ok_or_else(|| "exists is true or false".into()),
        "numeric" => numeric(operand).map(Matcher::Numeric),
        "anything-but" => anything_but(operand),
        _ => text_operator(name, operand).map(Matcher::Text),
    }
}

fn text_operator(name: &str, operand: &Value) -> Result<Text, String> {
    if let (Some(inner), "prefix" | "suffix") = (operand.as_object(), name) {
        let text = inner
            .get("equals-ignore-case")
            .and_then(Value::as_str)
            .filter(|_| inner.len() == 1)
            .ok_or_else(|| format!("{name} takes a string, or equals-ignore-case with one"))?
            .to_lowercase();
        return Ok(match name {
            "prefix" => Text::Prefix { text, ignore_case: true },
            _ => Text::Suffix { text, ignore_case: true },
        });
    }
    let text = || operand.as_str().map(ToOwned::to_owned).ok_or_else(|| format!("{name} takes a string"));
    match name {
        "prefix" => Ok(Text::Prefix { text: text()?, ignore_case: false }),
        "suffix" => Ok(Text::Suffix { text: text()?, ignore_case: false }),
        "equals-ignore-case" => Ok(Text::EqualsIgnoringCase(text()?.to_lowercase())),
        "wildcard" => Ok(Text::Wildcard(text()?)),
        _ => Err(format!("the operator {name:?} is not known")),
    }
}

fn anything_but(operand: &Value) -> Result<Matcher, String> {
    match operand {
        Value::Array(values) if !values.is_empty() && values.iter().all(|v| v.is_string() || v.is_number()) => {
            Ok(Matcher::AnythingBut(values.clone()))
        }
        Value::String(_) | Value::Number(_) => Ok(Matcher::AnythingBut(vec![operand.clone()])),
        Value::Object(inner) if inner.len() == 1 => {
            let texts: Result<Vec<_>, String> = inner
                .iter()
                .flat_map(|(name, operand)| {
                    let one = std::slice::from_ref(operand);
                    operand
                        .as_array()
                        .map_or(one, Vec::as_slice)
                        .iter()
                        .map(move |operand| text_operator(name, operand))
                })
                .collect();
            texts.map(Matcher::AnythingButText)
        }
        _ => Err("anything-but takes strings, numbers or one operator on strings".into()),
    }
}

fn numeric(operand: &Value) -> Result<Vec<(Comparison, f64)>, String> {
    let wrong = || "numeric takes one or two pairs of a comparison and a number".to_owned();
    let parts = operand.as_array().filter(|parts| matches!(parts.len(), 2 | 4)).ok_or_else(wrong)?;
    parts
        .chunks(2)
        .map(|pair| {
            let comparison = match pair[0].as_str() {
                Some("=") => Comparison::Equal,
                Some("<") => Comparison::Less,
                Some("<=") => Comparison::LessOrEqual,
                Some(">") => Comparison::Greater,
                Some(">=") => Comparison::GreaterOrEqual,
                _ => return Err(wrong()),
            };
            Ok((comparison, pair[1].as_f64().ok_or_else(wrong)?))
        })
        .collect()
}

fn node_matches(node: &Node, value: Option<&Value>) -> bool {
    match node {
        Node::Object { fields, alternatives } => {
            // An array of objects stands for each of them.
            if let Some(Value::Array(elements)) = value {
                return elements.iter().any(|element| element.is_object() && node_matches(node, Some(element)));
            }
            let field = |name: &str| value.and_then(|value| value.get(name));
            fields.iter().all(|(name, inner)| node_matches(inner, field(name)))
                && alternatives.iter().all(|choices| choices.iter().any(|choice| node_matches(choice, value)))
        }
        Node::AnyOf(matchers) => matchers.iter().any(|matcher| match matcher {
            Matcher::Exists(wanted) => *wanted == value.is_some_and(is_leaf),
            _ => match value {
                Some(Value::Array(elements)) => elements.iter().any(|element| leaf_matches(matcher, element)),
                Some(leaf) => leaf_matches(matcher, leaf),
                None => false,
            },
        }),
    }
}

/// Only leaves exist: an object in the middle of the path does not.
fn is_leaf(value: &Value) -> bool {
    match value {
        Value::Object(_) => false,
        Value::Array(elements) => elements.iter().any(is_leaf),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}

fn leaf_matches(matcher: &Matcher, value: &Value) -> bool {
    match matcher {
        // Numbers as they are written: 300 and 300.0 are two values. (3.0e2 is 300.0 once it is read.)
        Matcher::Equals(wanted) => wanted == value,
        Matcher::Exists(wanted) => *wanted,
        Matcher::Text(text) => value.as_str().is_some_and(|value| text_matches(text, value)),
        Matcher::Numeric(comparisons) => value.as_f64().is_some_and(|number| {
            comparisons.iter().all(|(comparison, limit)| match comparison {
                Comparison::Equal => number.total_cmp(limit).is_eq(),
                Comparison::Less => number < *limit,
                Comparison::LessOrEqual => number <= *limit,
                Comparison::Greater => number > *limit,
                Comparison::GreaterOrEqual => number >= *limit,
            })
        }),
        Matcher::AnythingBut(unwanted) => !value.is_object() && !unwanted.contains(value),
        Matcher::AnythingButText(unwanted) => {
            value.as_str().is_some_and(|value| !unwanted.iter().any(|text| text_matches(text, value)))
        }
    }
}

fn text_matches(text: &Text, value: &str) -> bool {
    let cased = |ignore_case: bool| if ignore_case { value.to_lowercase() } else { value.to_owned() };
    match text {
        Text::Prefix { text, ignore_case } => cased(*ignore_case).starts_with(text.as_str()),
        Text::Suffix { text, ignore_case } => cased(*ignore_case).ends_with(text.as_str()),
        Text::EqualsIgnoringCase(text) => value.to_lowercase() == *text,
        Text::Wildcard(pattern) => wildcard_matches(pattern, value),
    }
}

/// `*` stands for any run of characters; there is no escape here but `\*`.
fn wildcard_matches(pattern: &str, value: &str) -> bool {
    const ESCAPED_STAR: &str = "\u{0}";
    let pattern = pattern.replace("\\*", ESCAPED_STAR);
    let parts: Vec<String> = pattern.split('*').map(|part| part.replace(ESCAPED_STAR, "*")).collect();
    let [first, middle @ .., last] = parts.as_slice() else {
        return parts.first().is_some_and(|only| only == value);
    };
    let Some(mut rest) = value.strip_prefix(first.as_str()) else { return false };
    for part in middle {
        let Some(at) = rest.find(part.as_str()) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last.as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn matches(pattern: Value, event: Value) -> bool {
        Pattern::read(&pattern).unwrap().matches(&event)
    }

    #[test]
    fn every_field_has_to_match_and_any_value_of_it() {
        let pattern = json!({"source": ["a", "b"], "detail": {"state": ["done"]}});
        assert!(matches(pattern.clone(), json!({"source": "b", "detail": {"state": "done", "more": 1}})));
        assert!(!matches(pattern.clone(), json!({"source": "c", "detail": {"state": "done"}})));
        assert!(!matches(pattern, json!({"source": "a"})));
    }

    #[test]
    fn an_array_in_the_event_matches_by_any_of_its_elements() {
        assert!(matches(json!({"tags": ["x"]}), json!({"tags": ["w", "x"]})));
        assert!(!matches(json!({"tags": ["x"]}), json!({"tags": []})));
        assert!(matches(json!({"lines": {"sku": ["b"]}}), json!({"lines": [{"sku": "a"}, {"sku": "b"}]})));
    }

    #[test]
    fn exists_sees_leaves_only() {
        let pattern = json!({"image": {"tells": [{"exists": true}]}});
        assert!(!matches(pattern.clone(), json!({"image": {"tells": {"S": "yes"}}})));
        assert!(matches(pattern.clone(), json!({"image": {"tells": null}})));
        assert!(!matches(pattern, json!({"image": {}})));
        assert!(matches(json!({"image": {"tells": [{"exists": false}]}}), json!({"other": 1})));
    }

    #[test]
    fn operators_on_strings() {
        assert!(matches(json!({"a": [{"prefix": "ab"}]}), json!({"a": "abc"})));
        assert!(!matches(json!({"a": [{"prefix": "ab"}]}), json!({"a": "ABC"})));
        assert!(matches(json!({"a": [{"prefix": {"equals-ignore-case": "AB"}}]}), json!({"a": "abc"})));
        assert!(matches(json!({"a": [{"suffix": ".png"}]}), json!({"a": "x.png"})));
        assert!(matches(json!({"a": [{"equals-ignore-case": "YES"}]}), json!({"a": "yes"})));
        assert!(matches(json!({"a": [{"wildcard": "a*c*e"}]}), json!({"a": "abcde"})));
        assert!(!matches(json!({"a": [{"wildcard": "a*b"}]}), json!({"a": "abc"})));
        assert!(!matches(json!({"a": [{"prefix": "1"}]}), json!({"a": 1})));
    }

    #[test]
    fn anything_but_wants_a_value_that_is_another() {
        assert!(matches(json!({"a": [{"anything-but": ["x", "y"]}]}), json!({"a": "z"})));
        assert!(!matches(json!({"a": [{"anything-but": "x"}]}), json!({"a": "x"})));
        assert!(!matches(json!({"a": [{"anything-but": "x"}]}), json!({})));
        assert!(!matches(json!({"a": [{"anything-but": {"prefix": "x"}}]}), json!({"a": "xy"})));
        assert!(matches(json!({"a": [{"anything-but": {"prefix": "x"}}]}), json!({"a": "yx"})));
        assert!(!matches(json!({"a": [{"anything-but": [3]}]}), json!({"a": 3})));
    }

    #[test]
    fn numeric_compares_and_ranges() {
        assert!(matches(json!({"a": [{"numeric": ["=", 3.0]}]}), json!({"a": 3})));
        let range = json!({"a": [{"numeric": [">", 0, "<=", 5]}]});
        assert!(matches(range.clone(), json!({"a": 5})));
        assert!(!matches(range.clone(), json!({"a": 0})));
        assert!(!matches(range, json!({"a": "3"})));
    }

    #[test]
    fn or_takes_one_alternative_beside_the_other_fields() {
        let pattern = json!({"kind": ["k"], "$or": [{"a": [1]}, {"b": [2]}]});
        assert!(matches(pattern.clone(), json!({"kind": "k", "b": 2})));
        assert!(!matches(pattern.clone(), json!({"kind": "k", "b": 3})));
        assert!(!matches(pattern, json!({"a": 1})));
    }

    #[test]
    fn what_is_not_understood_is_refused_with_its_place() {
        let refused = |pattern: Value| Pattern::read(&pattern).unwrap_err();
        assert!(refused(json!({"detail": {"ip": [{"cidr": "10.0.0.0/8"}]}})).contains("\"cidr\" is not known"));
        assert!(refused(json!({"detail": {"ip": [{"cidr": "10.0.0.0/8"}]}})).starts_with("detail.ip"));
        assert!(refused(json!({"a": "b"})).contains("array"));
        assert!(refused(json!({"a": []})).contains("empty"));
        assert!(refused(json!({"a": [{"numeric": ["~", 1]}]})).contains("numeric"));
        assert!(refused(json!([])).contains("object"));
        assert!(refused(json!({"$or": [{"a": [1]}]})).contains("two"));
    }
}
