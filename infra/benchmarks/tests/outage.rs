//! The outage, small enough for a test. `paidonce bench outage` plays the whole of it.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::time::Duration;

use benchmarks::{OutageOptions, outage};

#[tokio::test]
async fn a_small_outage_is_as_a_large_one_should_be() {
    // Longer than the longest pause of what was put off, which two outages are measured against.
    let options = OutageOptions { per_second: 1, outage: Duration::from_secs(300), ..OutageOptions::default() };
    let report = outage(options).await.unwrap();
    assert_eq!((report.payments, report.charges, report.findings), (330, 330, 0), "{report}");
    assert!(report.calls > 0 && report.within_target(), "{report}");
    assert_eq!(report.to_json()["within_target"], true);
}
