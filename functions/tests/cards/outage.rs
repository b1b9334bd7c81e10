//! A gateway that is down for minutes, while payments keep coming. `paidonce bench outage` plays it as large as it is meant:
//! this is the same, and small.

use std::time::Duration;

use domain::payments::{Limits, PaymentState};
use gateway::OutageKind;

use crate::world::World;

const BEFORE_S: u64 = 30;
const OUTAGE_S: u64 = 300;

#[tokio::test(start_paused = true)]
async fn all_that_comes_while_it_is_down_is_captured_once_and_it_is_hardly_called() {
    for protocol in ["plain", "stripe"] {
        let world = World::calm(protocol);
        let mut payments = Vec::new();
        for second in 0..BEFORE_S + OUTAGE_S {
            if second == BEFORE_S {
                world.stand_in.down_for(Duration::from_secs(OUTAGE_S), OutageKind::Errors);
            }
            payments.push(world.pay(&second.to_string(), "1").await);
            world.seconds(1).await;
        }
        let limits = Limits::default();
        let rounds = OUTAGE_S / u64::try_from(limits.open.in_seconds_at_least()).unwrap();
        let allowed = usize::try_from(rounds).unwrap() * limits.permits;
        let during = world.calls().iter().filter(|call| call.in_outage).count();
        assert!(during * 10 <= allowed * 11, "{protocol}: {during} calls, {allowed} probes");
        let waiting = payments.len() - world.stand_in.captured().0;
        assert!(waiting >= usize::try_from(OUTAGE_S).unwrap() - 5, "{waiting} wait");

        world.seconds(2 * OUTAGE_S).await;
        for payment in &payments {
            assert_eq!(world.state(*payment).await, PaymentState::Captured, "{protocol}");
        }
        assert_eq!(world.stand_in.captured(), (payments.len(), 100 * payments.len() as u64), "one charge each");
        world.all_is_well().await;
    }
}
