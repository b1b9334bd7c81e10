//! `verify --table`: over a stand-in for the service that keeps nothing and makes up a sound table as it is asked.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{paidonce, rest, stderr, stdout};

const ITEMS_OF_ONE: usize = 7;

type Answers = Arc<dyn Fn(&str, &Value) -> (u16, Value) + Send + Sync>;

/// Which items of the made up table are not there.
type IsGone = fn(usize) -> bool;

/// DynamoDB's protocol on a port of this machine, answered by `answers`; what was asked is kept.
struct StandIn {
    url: String,
    asked: Arc<Mutex<BTreeSet<String>>>,
}

impl StandIn {
    fn start(answers: impl Fn(&str, &Value) -> (u16, Value) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked: Arc<Mutex<BTreeSet<String>>> = Arc::default();
        let (answers, hears): (Answers, _) = (Arc::new(answers), Arc::clone(&asked));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (answers, hears) = (Arc::clone(&answers), Arc::clone(&hears));
                std::thread::spawn(move || serve(stream, &answers, &hears));
            }
        });
        Self { url, asked }
    }

    fn verify(&self, more: &[&str]) -> Output {
        let mut command = paidonce(["verify", "--table", "t", "--endpoint-url", &self.url]);
        command.args(more).output().unwrap()
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().iter().cloned().collect()
    }
}

/// The requests of one connection, one after the other, until it is closed.
fn serve(stream: TcpStream, answers: &Answers, hears: &Mutex<BTreeSet<String>>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut stream = stream;
    loop {
        let (mut length, mut operation) = (0, String::new());
        let mut line = String::new();
        while reader.read_line(&mut line).ok()? > 2 {
            if let Some((name, value)) = line.split_once(':') {
                match name.to_ascii_lowercase().as_str() {
                    "content-length" => length = value.trim().parse().ok()?,
                    "x-amz-target" => operation = value.trim().rsplit_once('.')?.1.to_owned(),
                    _ => {}
                }
            }
            line.clear();
        }
        if operation.is_empty() {
            return None;
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        hears.lock().unwrap().insert(operation.clone());
        let (status, answer) = answers(&operation, &serde_json::from_slice(&body).ok()?);
        let answer = answer.to_string();
        let head = format!(
            "HTTP/1.1 {status} x\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: {}\r\n\r\n",
            answer.len()
        );
        stream.write_all(head.as_bytes()).ok()?;
        stream.write_all(answer.as_bytes()).ok()?;
    }
}

fn text(text: &str) -> Value {
    json!({ "S": text })
}

fn number(number: i64) -> Value {
    json!({ "N": number.to_string() })
}

const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// An id like any other, of a customer's thing; its end tells which customer's.
fn id(kind: char, customer: usize) -> String {
    let letters = |number: u64, count: u32| -> String {
        (0..count)
            .rev()
            .map(|place| char::from(LETTERS[usize::try_from(number.checked_shr(place * 5).unwrap_or(0) & 31).unwrap()]))
            .collect()
    };
    let number = customer as u64;
    format!("{}{kind}{}", letters(number.wrapping_mul(0x9e37_79b9_7f4a_7c15), 13), letters(number, 18))
}

fn customer_of(pk: &Value) -> usize {
    let tail = pk["S"].as_str().unwrap().bytes().rev().take(18).collect::<Vec<_>>();
    tail.iter().rev().fold(0, |sum, letter| sum * 32 + LETTERS.iter().position(|known| known == letter).unwrap())
}

/// One of the seven items of a customer who deposited 500 and paid an order of 300.
fn item(place: usize) -> Value {
    const AT: i64 = 1_700_000_000_000;
    let (customer, part) = (place / ITEMS_OF_ONE, place % ITEMS_OF_ONE);
    let (owner, order, deposit) = (id('c', customer), id('o', customer), id('d', customer));
    let entry = |entry: i64, moved: i64, balance: i64, counter: &str, cause: Value| {
        json!({
            "pk": text(&format!("account#{owner}")), "sk": text(&format!("entry#{entry:012}")),
            "customer": text(&owner), "number": number(entry), "amount": number(moved), "currency": text("EUR"),
            "counter": text(counter), "cause": { "M": cause }, "balance": number(balance), "at": number(AT),
        })
    };
    let told = |index: i64, transition: &str| {
        let event = format!("order.{order}.2.{index}");
        json!({
            "pk": text(&format!("inbox#{owner}")), "sk": text(&format!("{AT:013}#{event}")),
            "customer": text(&owner), "at": number(AT), "event": text(&event), "order": text(&order),
            "transition": text(transition), "text": text("…"),
        })
    };
    let passage = |version: i64, index: i64, told: &str| {
        let passage = json!({ "at": number(AT), "version": number(version), "index": number(index),
                              "told": text(told), "balance": number(200) });
        json!({ "M": passage })
    };
    let mut item = match part {
        0 => json!({
            "pk": text(&format!("account#{owner}")), "sk": text("account"), "customer": text(&owner),
            "currency": text("EUR"), "balance": number(200), "entries": number(2), "opened_at": number(AT),
            "renderer": number(1),
        }),
        1 => entry(1, 500, 500, "system#deposits", json!({ "deposit": text(&deposit) })),
        2 => entry(2, -300, 200, "system#revenue", json!({ "order": text(&order) })),
        3 => json!({
            "pk": text(&format!("deposit#{deposit}")), "sk": text(&format!("deposit#{deposit}")), "id": text(&deposit),
            "customer": text(&owner), "amount": number(500), "currency": text("EUR"), "entry": number(1),
            "balance_after": number(500), "created_at": number(AT), "fingerprint": text(&deposit),
            "renderer": number(1),
        }),
        4 => json!({
            "pk": text(&format!("order#{order}")), "sk": text("order"), "id": text(&order), "owner": text(&owner),
            "amount": number(300), "currency": text("EUR"), "if_unpaid": text("wait"), "created_at": number(AT),
            "fingerprint": text(&order), "renderer": number(1), "plan": { "L": [text("payment")] },
            "state": text("completed"), "charged": number(300),
            "timeline": { "L": [passage(1, 0, "order_placed"), passage(2, 0, "order_paid"),
                                passage(2, 1, "order_completed")] },
        }),
        5 => told(0, "paid"),
        _ => told(1, "completed"),
    };
    for (name, value) in [("version", number(2)), ("commit", text("c")), ("format", number(1))] {
        item[name] = value;
    }
    item
}

/// A sound table of so many items, but for those that are gone.
fn table(count: usize, is_gone: IsGone) -> StandIn {
    let there = move |places: std::ops::Range<usize>| places.filter(move |place| !is_gone(*place)).map(item);
    let of_customer = move |pk: &Value| {
        let from = customer_of(pk) * ITEMS_OF_ONE;
        let pk = pk.clone();
        there(from..from + ITEMS_OF_ONE).filter(move |item| item["pk"] == pk)
    };
    let one = move |key: &Value| of_customer(&key["pk"]).find(|item| item["sk"] == key["sk"]);
    StandIn::start(move |operation, request| {
        let answer = match operation {
            "DescribeTable" => json!({ "Table": { "TableName": "t", "ItemCount": count } }),
            "Scan" => {
                let from: usize = request["ExclusiveStartKey"]["pk"]["S"].as_str().map_or(0, |at| at.parse().unwrap());
                let limit: usize = request["Limit"].as_u64().unwrap().try_into().unwrap();
                let to = count.min(from + limit);
                let mut answer = json!({ "Items": there(from..to).collect::<Vec<_>>() });
                if to < count {
                    answer["LastEvaluatedKey"] = json!({ "pk": text(&to.to_string()), "sk": text("x") });
                }
                answer
            }
            "GetItem" => one(&request["Key"]).map_or(json!({}), |item| json!({ "Item": item })),
            "Query" => {
                let items: Vec<Value> = of_customer(&request["ExpressionAttributeValues"][":pk"]).collect();
                json!({ "Items": items })
            }
            "BatchGetItem" => {
                let keys = request["RequestItems"]["t"]["Keys"].as_array().unwrap();
                json!({ "Responses": { "t": keys.iter().filter_map(one).collect::<Vec<_>>() } })
            }
            other => panic!("{other} was asked for"),
        };
        (200, answer)
    })
}

#[test]
fn a_deployed_table_is_verified_and_only_read() {
    let sound = table(700, |_| false);
    let output = sound.verify(&[]);
    assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
    let said = stdout(&output);
    for part in ["table t at http://127.0.0.1:", "entries        200", "200.00 EUR", "300.00 EUR", "holds"] {
        assert!(said.contains(part), "{part:?} is not in:\n{said}");
    }
    assert_eq!(sound.asked(), ["DescribeTable", "Scan"], "what is sound takes no further look");

    let broken = table(700, |place| [2, 6].contains(&place));
    let output = broken.verify(&["--json", "--segments", "1"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["holds"], &report["table"]["name"]), (&json!(false), &json!("t")));
    let findings: Vec<&Value> = report["promises"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|promise| promise["findings"].as_array().unwrap())
        .collect();
    let says = findings.iter().map(|finding| finding["says"].to_string()).collect::<Vec<_>>().join("\n");
    for part in ["it counts 2 entries; the last is 1", "the entries say 0", "was not told"] {
        assert!(says.contains(part), "{part:?} is not in:\n{says}");
    }
    assert_eq!(broken.asked(), ["BatchGetItem", "DescribeTable", "GetItem", "Query", "Scan"]);
}

#[test]
fn what_the_service_refuses_is_said_plainly() {
    for (kind, part) in [
        ("ResourceNotFoundException", "there is no table t"),
        ("AccessDeniedException", "this takes dynamodb:DescribeTable"),
        ("ExpiredTokenException", "aws configure export-credentials"),
    ] {
        let refusing = StandIn::start(move |_, _| (400, json!({ "__type": kind, "message": "no" })));
        let output = refusing.verify(&[]);
        assert_eq!((output.status.code(), stdout(&output)), (Some(1), String::new()));
        assert!(stderr(&output).contains(part), "{}", stderr(&output));
    }
    let state = paidonce(["verify", "--table", "t", "--state", "x"]).output().unwrap();
    assert_eq!(state.status.code(), Some(2), "{}", stderr(&state));
    let alone = paidonce(["verify", "--segments", "2"]).output().unwrap();
    assert_eq!(alone.status.code(), Some(2), "{}", stderr(&alone));
}

/// The most memory that it held, in kilobytes.
fn peak_of(count: usize, is_gone: IsGone) -> u64 {
    let table = table(count, is_gone);
    let mut command = paidonce(["verify", "--table", "t", "--endpoint-url", &table.url]);
    let mut child = command.stdout(Stdio::null()).spawn().unwrap();
    let mut peak = 0;
    loop {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let high = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = high.and_then(|high| high.split_whitespace().next()?.parse().ok());
        peak = peak.max(kilobytes.unwrap_or_default());
        if let Some(status) = child.try_wait().unwrap() {
            assert_eq!(status.code(), Some(i32::from((0..count).any(is_gone))));
            return peak;
        }
        rest(Duration::from_millis(2));
    }
}

/// What allocators keep differs from run to run by a few pages.
const GIVE_KB: u64 = 4_096;

#[test]
fn memory_does_not_grow_with_the_table() {
    let (few, many) = (peak_of(3_000, |_| false), peak_of(12_000, |_| false));
    assert!(few > 1_000 && many < few + GIVE_KB, "{few} KB became {many} KB");
}

/// `cargo test -p paidonce --test command -- --ignored --nocapture memory`
#[test]
#[ignore = "it takes a quarter of an hour"]
fn memory_does_not_grow_with_a_table_of_300_000() {
    // Sound; and with every second notification gone, so that everything is suspect and the second pass is as full as
    // it may be.
    let cases: [(&str, IsGone); 2] = [("sound", |_| false), ("all suspect", |place| place % ITEMS_OF_ONE == 6)];
    for (what, is_gone) in cases {
        let [few, some, many] = [30_000, 100_000, 300_000].map(|count| peak_of(count, is_gone));
        println!("{what}: 30,000 items {few} KB, 100,000 items {some} KB, 300,000 items {many} KB at most");
        // Thirty thousand do not fill the second pass.
        assert!(many < some + GIVE_KB, "{what}");
        assert!(what != "sound" || many < few + GIVE_KB, "{what}");
    }
}
