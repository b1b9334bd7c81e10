//! What came of it, for eyes and for machines.

use benchmarks::Calls;
use serde_json::{Value, json};

use super::step::{Done, LambdaError};
use super::traffic;
use crate::failure::Failure;
use crate::terminal::{Paint, say};

/// The Lambda's answer, to the byte: what it would return, on one line.
pub(super) fn answer(done: &Done) {
    say(match &done.answer {
        Ok(answer) => answer.to_string(),
        Err(error) => in_json(error),
    });
}

pub(super) fn for_machines(done: &Done) -> Result<(), Failure> {
    let (counted, unaccounted) = done.calls.counted_as_far_as_known();
    let mut units = json!({
        "write": counted.write_units,
        "read": counted.read_units,
        "round_trips": counted.round_trips,
    });
    if let Some(call) = unaccounted {
        units["unaccounted"] = call.into();
    }
    let mut all = json!({
        "told": traffic::told(&done.calls)?,
        "sent": traffic::sent(&done.calls),
        "units": units,
    });
    match &done.answer {
        Ok(answer) => all["answer"] = answer.clone(),
        Err(error) => all["error"] = json!(error),
    }
    say(format_args!("{all:#}"));
    Ok(())
}

pub(super) fn for_eyes(done: &Done) -> Result<(), Failure> {
    let paint = Paint::for_stdout();
    match &done.answer {
        Ok(answer) if answer["statusCode"].is_u64() => http(answer, paint),
        Ok(answer) => say(format_args!("{answer:#}")),
        Err(LambdaError { error_type, error_message }) => {
            say(format_args!("{} {error_type}: {error_message}", paint.red("failed")));
        }
    }
    say("");
    let told = traffic::told(&done.calls)?;
    say(if told.is_empty() { "told: nothing" } else { "told:" });
    for event in &told {
        let text = |name: &str| event[name].as_str().unwrap_or_default();
        let details = traffic::details(event);
        let details = if details.is_empty() { String::new() } else { format!("  {}", Value::Object(details)) };
        say(format_args!("  {}{details}  {}", paint.bold(text("told")), paint.faint(text("event"))));
    }
    let sent = traffic::sent(&done.calls);
    if !sent.is_empty() {
        say("sent:");
    }
    for message in &sent {
        let text = |name: &str| message[name].as_str().unwrap_or_default();
        let refused = if message["taken"] == true { String::new() } else { format!("  {}", paint.red("not taken")) };
        let (kind, body) = match message.get("type") {
            Some(_) => (format!("  {}", paint.bold(text("type"))), &message["detail"]),
            None => (String::new(), &message["body"]),
        };
        say(format_args!("  to {}{kind}{refused}  {}", text("to"), paint.faint(body)));
    }
    say(units(&done.calls));
    Ok(())
}

fn units(calls: &Calls) -> String {
    let (counted, unaccounted) = calls.counted_as_far_as_known();
    let trips = if counted.round_trips == 1 { "round trip" } else { "round trips" };
    let (write, read) = (counted.write_units, counted.read_units);
    let units = format!("units: {write} written, {read} read, in {} {trips} to the table", counted.round_trips);
    match unaccounted {
        None => units,
        Some(call) => format!("{units}\n       and more, since what this consumed is not known: {call}"),
    }
}

fn http(answer: &Value, paint: Paint) {
    let status = answer["statusCode"].as_u64().unwrap_or_default();
    let shown = match status {
        ..400 => paint.green(status),
        400..500 => paint.yellow(status),
        _ => paint.red(status),
    };
    say(format_args!("HTTP {shown}"));
    for headers in ["headers", "multiValueHeaders"] {
        for (name, value) in answer[headers].as_object().into_iter().flatten() {
            say(paint
                .faint(format_args!("{name}: {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned))));
        }
    }
    let body = answer["body"].as_str().unwrap_or_default();
    if !body.is_empty() {
        say("");
        say(indented(body));
    }
}

fn in_json(error: &LambdaError) -> String {
    serde_json::to_string(error).expect("two texts are JSON")
}

/// JSON on lines of its own, in the order and the digits in which it was written; anything else as it is.
fn indented(text: &str) -> String {
    if serde_json::from_str::<serde::de::IgnoredAny>(text).is_err() {
        return text.to_owned();
    }
    let mut lines = String::with_capacity(text.len() * 2);
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    let mut letters = text.chars().filter(|letter| *letter != '\r').peekable();
    while let Some(letter) = letters.next() {
        if in_string {
            lines.push(letter);
            in_string = escaped || letter != '"';
            escaped = !escaped && letter == '\\';
            continue;
        }
        match letter {
            '"' => {
                in_string = true;
                lines.push(letter);
            }
            '{' | '[' => {
                lines.push(letter);
                if letters.peek().is_some_and(|next| matches!(next, '}' | ']')) {
                    lines.extend(letters.next());
                } else {
                    depth += 1;
                    new_line(&mut lines, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut lines, depth);
                lines.push(letter);
            }
            ',' => {
                lines.push(letter);
                new_line(&mut lines, depth);
            }
            ':' => lines.push_str(": "),
            letter if letter.is_whitespace() => {}
            letter => lines.push(letter),
        }
    }
    lines
}

fn new_line(lines: &mut String, depth: usize) {
    lines.push('\n');
    lines.extend(std::iter::repeat_n("  ", depth));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_indented_in_its_own_order() {
        let text = r#"{"b":"1500.99","a":[],"c":[1.50,{"d":"x\",{\\"}]}"#;
        let expected = r#"{
  "b": "1500.99",
  "a": [],
  "c": [
    1.50,
    {
      "d": "x\",{\\"
    }
  ]
}"#;
        assert_eq!(indented(text), expected);
        assert_eq!(indented("no {json"), "no {json");
    }
}
