//! That latency is measured at all. How large it is depends on the machine and the build, and is no test.

use benchmarks::{LatencyOptions, latency};

#[tokio::test]
async fn orders_are_placed_and_followed_to_their_end() {
    let options = LatencyOptions { warm_up: 2, requests: 20, followed: 5, goods: 20, rate: 10, binary: None };
    let report = latency(options).await.unwrap();
    assert_eq!((report.place.samples, report.completed.samples), (20, 5));
    assert_eq!(report.place_at_rest.samples, 5);
    assert!(report.place.min_us > 0 && report.place.min_us <= report.place.median_us);
    assert!(report.place.median_us <= report.place.p99_us && report.place.p99_us <= report.place.max_us);
    assert_eq!((report.goods.completed.samples, report.goods.rate), (20, 10));
    assert_eq!(report.to_json()["place"]["samples"], 20);
    assert!(report.to_string().contains("POST /orders"), "{report}");
}
