//! The budgets of the design, held against the functions as they are.

use benchmarks::{Report, Row};

async fn measured() -> Report {
    benchmarks::capacity().await.expect("every step can be measured")
}

#[tokio::test]
async fn every_step_is_within_its_budget_and_the_same_in_every_run() {
    let (report, again) = tokio::join!(measured(), measured());
    assert!(report.within_budget(), "over budget:\n{report}");
    assert_eq!(report, again, "two runs count the same");
    assert_eq!(report.to_string(), again.to_string());
    each_step_of_the_design_is_there(&report);
    each_number_is_one_that_was_counted(&report);
    hot_items_are_under_a_kilobyte(&report);
    what_is_told_agrees(&report);
}

fn row<'r>(report: &'r Report, what: &str) -> &'r Row {
    report.rows.iter().find(|row| row.what == what).unwrap_or_else(|| panic!("there is no row {what:?}:\n{report}"))
}

fn each_step_of_the_design_is_there(report: &Report) {
    let design = [
        ("place an order", 3.0, 1),
        ("replay of it", 1.0, 1),
        ("deposit", 6.0, 2),
        ("advance a plain order", 7.0, 2),
        ("the same, its account's hundredth", 7.0, 2),
        ("ten plain orders of one account in a batch", 52.0, 2),
        ("park", 8.0, 2),
        ("wake one waiter", 9.0, 3),
        ("wake that finds too little", 0.0, 2),
        ("a notification", 1.0, 2),
        ("ten notifications in a batch", 10.0, 11),
        ("place an order of goods", 3.0, 2),
        ("advance goods all the way", 11.0, 2),
        ("ten orders of goods, of one sku and slot, in a batch", 74.0, 2),
        ("park for stock", 8.0, 2),
        ("wake one waiter for stock, all the way", 13.0, 3),
    ];
    for (what, write_units, round_trips) in design {
        let budget = row(report, what).budget.unwrap_or_else(|| panic!("{what:?} has no budget"));
        assert_eq!((budget.write_units, budget.round_trips), (write_units, round_trips), "{what}");
    }
    let measured = [
        "open an account",
        "first deposit, which opens the account",
        "replay of a deposit",
        "cancel instead of parking",
        "a notification with its delivery",
        "a delivery that arrives",
        "sweep with nothing due",
        "sweep, one order whose message was lost",
        "sweep, one order past its deadline",
        "pay, and park for stock",
        "pay and reserve, and park for a courier",
        "wake one who has paid",
        "wake one for a courier",
        "wake for stock that finds too little",
        "cancel an order of goods that waits for money",
        "cancel one that has paid and waits for stock",
        "cancel one that waits for a courier",
        "a courier accepts an order",
        "put a product",
        "take stock in",
        "replay of a receipt",
        "open a slot",
        "read an order",
        "place an order by card",
        "call the gateway for it: captured, paid and completed",
        "make a payment",
        "call the gateway for it: captured",
        "ask for a refund",
        "call the gateway for it: given back",
    ];
    for what in measured {
        assert_eq!(row(report, what).budget, None, "{what}");
    }
}

/// A meter that has come loose counts nothing, and nothing is within every budget.
fn each_number_is_one_that_was_counted(report: &Report) {
    for row in &report.rows {
        assert!(row.counted.round_trips > 0, "{}", row.what);
        assert!(row.counted.write_units > 0.0 || row.counted.read_units > 0.0, "{}", row.what);
        if row.what.starts_with("read ") {
            assert_eq!(row.counted.write_units, 0.0, "{}", row.what);
        }
    }
    // These follow from what has to be written at the least; less is a mistake in the counting.
    assert_eq!(row(report, "place an order").counted.write_units, 3.0);
    assert_eq!(row(report, "advance a plain order").counted.write_units, 7.0);
    assert_eq!(row(report, "advance goods all the way").counted.write_units, 11.0);
}

fn hot_items_are_under_a_kilobyte(report: &Report) {
    for kind in [
        "account",
        "order, awaiting payment",
        "order, completed",
        "order of goods, awaiting stock",
        "order of goods, awaiting delivery",
        "order of goods, completed",
        "order of goods, cancelled",
        "entry",
        "waiting",
        "notification",
        "payment",
        "payment's entry",
    ] {
        let item = report.items.iter().find(|item| item.kind == kind);
        let item = item.unwrap_or_else(|| panic!("no {kind} was weighed:\n{report}"));
        assert!((100..1_024).contains(&item.bytes), "{kind}: {} bytes", item.bytes);
    }
}

fn what_is_told_agrees(report: &Report) {
    let json = report.to_json();
    assert_eq!(json["within_budget"], true);
    assert_eq!(json["rows"].as_array().map(Vec::len), Some(report.rows.len()));
    assert_eq!(json["rows"][0]["write_units"], 3.0);
    let text = report.to_string();
    assert!(text.contains("5.2 each"), "{text}");
    assert!(!text.contains("OVER"), "{text}");
    let mut dear = report.clone();
    dear.rows[0].counted.write_units = 3.5;
    assert!(!dear.within_budget());
    assert!(dear.to_string().contains("OVER"), "{dear}");
    assert_eq!(dear.to_json()["rows"][0]["within_budget"], false);
}
