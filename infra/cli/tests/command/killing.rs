//! Killed at any moment: what was answered is kept, what was taken is finished, and nothing is done twice.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use serde_json::Value;

use crate::support::{Answer, Server, eventually, post, rest, run, stdout};

const KILLS: u64 = 20;
const CUSTOMERS: [&str; 4] = ["alice", "bob", "carol", "dave"];
/// Long enough under load to be killed in the middle of everything, short enough for twenty times.
const SHORTEST_MS: u64 = 20;
const LONGEST_MS: u64 = 900;
/// A work of minutes on a slow machine is not a stuck one.
const FINISHES_WITHIN: Duration = Duration::from_secs(60);

/// A request, as it can be sent again.
#[derive(Clone)]
struct Sent {
    user: &'static str,
    path: &'static str,
    key: String,
    body: String,
}

impl Sent {
    /// Every fourth is a deposit; together the orders ask for a little more than comes in.
    fn new(round: u64, user: &'static str, number: u32, chance: &mut fastrand::Rng) -> Self {
        let key = format!("{round}-{number}");
        let (path, body) = if number.is_multiple_of(4) {
            ("/deposits", r#"{"amount": 20}"#.to_owned())
        } else {
            let if_unpaid = if chance.u32(..5) == 0 { "cancel" } else { "wait" };
            let (whole, cents) = (chance.u32(1..30), chance.u32(..100));
            ("/orders", format!(r#"{{"amount": {whole}.{cents:02}, "if_unpaid": "{if_unpaid}"}}"#))
        };
        Self { user, path, key, body }
    }

    fn send(&self, port: u16) -> std::io::Result<Answer> {
        post(port, self.user, self.path, &self.key, &self.body)
    }
}

#[derive(Default)]
struct Book {
    accepted: Vec<(Sent, Answer)>,
    /// Sent, and never answered or answered with an error of the server's.
    unknown: Vec<Sent>,
}

impl Book {
    fn note(&mut self, sent: Sent, answer: std::io::Result<Answer>) {
        match answer {
            Ok(answer) if answer.status == 201 => self.accepted.push((sent, answer)),
            Ok(answer) if answer.status < 500 => panic!("{} {}: {answer:?}", sent.path, sent.body),
            _ => self.unknown.push(sent),
        }
    }

    /// Whoever has no answer asks again, under the same key.
    fn ask_again(&mut self, server: &Server) {
        for sent in std::mem::take(&mut self.unknown) {
            let answer = eventually("an answer to what was sent before", FINISHES_WITHIN, || {
                sent.send(server.port).ok().filter(|answer| answer.status < 500)
            });
            self.note(sent, Ok(answer));
        }
    }

    fn orders(&self) -> impl Iterator<Item = (&'static str, String)> {
        self.accepted
            .iter()
            .filter(|(sent, _)| sent.path == "/orders")
            .map(|(sent, answer)| (sent.user, answer.text("id")))
    }
}

fn is_replayed(server: &Server, (sent, first): &(Sent, Answer)) {
    let again = sent.send(server.port).unwrap();
    assert!(again.is_replay(), "{} {} was taken anew: {again:?}", sent.path, sent.key);
    assert_eq!(again.body, first.body, "{} {} is answered otherwise", sent.path, sent.key);
}

fn verified(state: &Path, more: &[&str], when: &str) -> Value {
    let output = run(state, &[&["verify", "--json"], more].concat());
    assert!(output.status.success(), "{when}: {}{}", stdout(&output), crate::support::stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Customers send as fast as they are answered until the server is killed after `length`.
fn load_and_kill(server: Server, round: u64, length: Duration, book: &Mutex<Book>, seed: u64) {
    let port = server.port;
    std::thread::scope(|scope| {
        for (place, user) in (1..).zip(CUSTOMERS) {
            let mut chance = fastrand::Rng::with_seed(seed.wrapping_mul(31).wrapping_add(round * 8 + place));
            scope.spawn(move || {
                for number in 0.. {
                    let sent = Sent::new(round, user, number, &mut chance);
                    let answer = sent.send(port);
                    let is_gone = answer.is_err();
                    book.lock().unwrap().note(sent, answer);
                    if is_gone {
                        break;
                    }
                }
            });
        }
        rest(length);
        server.kill();
    });
}

/// How many minor units a decimal says.
fn minor(decimal: &str) -> u64 {
    decimal.replace('.', "").parse().unwrap()
}

#[test]
fn twenty_kills_under_load_lose_and_double_nothing() {
    let seed =
        std::env::var("PAIDONCE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    println!("PAIDONCE_SEED={seed} kills at the same moments");
    let mut chance = fastrand::Rng::with_seed(seed);
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path();
    let book = Mutex::new(Book::default());
    let mut were_on_their_way = 0;
    for round in 0..KILLS {
        let server = Server::start(state, &["--quiet"]);
        {
            let mut book = book.lock().unwrap();
            book.ask_again(&server);
            for _ in 0..book.accepted.len().min(5) {
                is_replayed(&server, &book.accepted[chance.usize(..book.accepted.len())]);
            }
        }
        let length = Duration::from_millis(chance.u64(SHORTEST_MS..LONGEST_MS));
        load_and_kill(server, round, length, &book, seed);
        let report = verified(state, &[], &format!("after kill {round}, {length:?} into its load"));
        let pending = &report["state"];
        were_on_their_way += u64::from(pending["queued_messages"] != 0 || pending["unrelayed_changes"] != 0);
    }
    println!("{} of {KILLS} kills left something on its way", were_on_their_way);
    assert!(were_on_their_way > 0, "no kill was in the middle of anything");

    let mut book = book.into_inner().unwrap();
    let server = Server::start(state, &["--quiet"]);
    book.ask_again(&server);
    book.accepted.iter().for_each(|accepted| is_replayed(&server, accepted));
    let (mut ended, mut waiting) = (0, BTreeMap::new());
    for (user, order) in book.orders() {
        let found = eventually(&format!("order {order} has ended or says what it waits for"), FINISHES_WITHIN, || {
            let found = server.get(user, &format!("/orders/{order}")).json();
            let is_settled = found["state"] != "awaiting_payment" || found["waiting_for"]["what"] == "money";
            is_settled.then_some(found)
        });
        if found["state"] == "awaiting_payment" {
            waiting.entry(user).or_insert_with(Vec::new).push(order);
        } else {
            ended += 1;
        }
    }
    println!(
        "{} requests taken; {ended} orders have ended, {} wait",
        book.accepted.len(),
        waiting.values().map(Vec::len).sum::<usize>()
    );
    assert!(ended > 0, "there was no load");
    for (user, orders) in &waiting {
        eventually(&format!("what {user}'s orders wait for is true"), FINISHES_WITHIN, || {
            let balance = minor(&server.get(user, "/account").text("balance"));
            let has_reason = |order: &String| {
                let found = server.get(user, &format!("/orders/{order}")).json();
                found["state"] != "awaiting_payment" || minor(found["amount"].as_str().unwrap()) > balance
            };
            orders.iter().all(has_reason).then_some(())
        });
    }
    verified(state, &[], "while it is served");
    eventually("nothing is on its way", FINISHES_WITHIN, || {
        let pending = verified(state, &[], "while it is served")["state"].clone();
        (pending["queued_messages"] == 0 && pending["unrelayed_changes"] == 0).then_some(())
    });
    assert!(server.stop().0.success());
    verified(state, &["--grace", "0"], "after it was stopped");
}
