//! What is measured beside what the services measure by themselves: a line each, in CloudWatch's embedded metric format,
//! which it reads out of the log. So nobody is called for it, and nobody waits.

use std::io::Write as _;
use std::sync::Arc;

use domain::Timestamp;
use serde_json::{Map, Value, json};

const NAMESPACE: &str = "Paidonce";
/// Tells the stacks of an account apart.
const TABLE: &str = "Table";

/// Where the lines go.
#[derive(Clone)]
pub struct Metrics(Arc<dyn Fn(&str) + Send + Sync>);

impl Metrics {
    pub fn to(write: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(write))
    }

    /// As on a machine where nobody watches.
    pub fn to_nobody() -> Self {
        Self::to(|_| {})
    }

    /// As a Lambda's log has it.
    pub fn to_stdout() -> Self {
        Self::to(|line| {
            // Of a log that takes nothing any more nobody could be told.
            let _ = writeln!(std::io::stdout().lock(), "{line}");
        })
    }

    /// So many of something, of this stack; and, if it is of one, of that too.
    pub fn count(&self, name: &str, value: u64, table: &str, of: Option<(&str, &str)>, at: Timestamp) {
        let mut dimensions = vec![vec![TABLE]];
        let mut line = Map::from_iter([(TABLE.to_owned(), json!(table)), (name.to_owned(), json!(value))]);
        if let Some((dimension, which)) = of {
            dimensions.push(vec![TABLE, dimension]);
            line.insert(dimension.to_owned(), json!(which));
        }
        let metrics = json!([{ "Name": name, "Unit": "Count" }]);
        let directive = json!({ "Namespace": NAMESPACE, "Dimensions": dimensions, "Metrics": metrics });
        line.insert("_aws".to_owned(), json!({ "Timestamp": at.as_millis(), "CloudWatchMetrics": [directive] }));
        (self.0)(&Value::Object(line).to_string());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// As the specification of the format has it: the names in the directive are those of members beside it.
    #[test]
    fn a_line_says_what_it_measures() {
        let lines: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = Arc::clone(&lines);
        let metrics = Metrics::to(move |line| kept.lock().unwrap().push(line.to_owned()));
        let at = Timestamp::from_millis(1_795_240_383_000);
        metrics.count("BreakerOpen", 1, "shop-table", Some(("Gateway", "plain")), at);
        metrics.count("ForAPerson", 2, "shop-table", None, at);
        let lines: Vec<Value> = lines.lock().unwrap().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        let directive = |dimensions: Value, name: &str| {
            json!({
                "Timestamp": 1_795_240_383_000_i64,
                "CloudWatchMetrics": [{
                    "Namespace": "Paidonce", "Dimensions": dimensions, "Metrics": [{ "Name": name, "Unit": "Count" }],
                }],
            })
        };
        let first = json!({
            "_aws": directive(json!([["Table"], ["Table", "Gateway"]]), "BreakerOpen"),
            "Table": "shop-table", "Gateway": "plain", "BreakerOpen": 1,
        });
        let second =
            json!({ "_aws": directive(json!([["Table"]]), "ForAPerson"), "Table": "shop-table", "ForAPerson": 2 });
        assert_eq!(lines, [first, second]);
        assert!(lines.iter().all(|line| !line.to_string().contains('\n')));
    }
}
