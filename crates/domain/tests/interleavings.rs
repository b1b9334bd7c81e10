//! Every order in which what happens can meet two orders that want the same (see `support/interleavings.rs`): the promises
//! hold after each commit and wherever nothing is left to do, and the ends that there should be can all be reached.
//! `functions/tests/every_state.rs` takes the real system to each of these states.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod support;

use domain::orders::OrderState;
use support::interleavings::{Explored, Setting, beginning, explore, piece_by_piece, scarce, stalling, two_lines};

#[expect(clippy::print_stdout, reason = "how much was walked is worth knowing")]
fn explored(setting: &Setting) -> Explored {
    let explored = explore(setting);
    let Explored { states, at_rest, ends, .. } = &explored;
    println!("{}: {states} states, {at_rest} of them at rest, in {} ways", setting.name, ends.len());
    explored
}

fn reaches(setting: &Setting, end: [OrderState; 2]) {
    let ends = explored(setting).ends;
    assert!(ends.contains(&end), "{}: never {end:?}, but {ends:?}", setting.name);
}

fn reach_either_completed_alone(settings: &[Setting]) {
    for setting in settings {
        let ends = explored(setting).ends;
        for end in [[OrderState::Completed, OrderState::Cancelled], [OrderState::Cancelled, OrderState::Completed]] {
            assert!(ends.contains(&end), "{}: never {end:?}, but {ends:?}", setting.name);
        }
    }
}

#[test]
fn the_promises_hold_in_every_interleaving_where_money_comes_first() {
    reach_either_completed_alone(&scarce(false));
}

#[test]
fn the_promises_hold_in_every_interleaving_where_stock_comes_first() {
    reach_either_completed_alone(&scarce(true));
}

/// There is enough for both in the end.
#[test]
fn the_promises_hold_where_enough_comes_piece_by_piece() {
    for setting in piece_by_piece() {
        reaches(&setting, [OrderState::Completed, OrderState::Completed]);
    }
}

/// What stalls keeps its place, and is looked at again.
#[test]
fn the_promises_hold_where_orders_stall() {
    reaches(&stalling(), [OrderState::Cancelled, OrderState::Completed]);
}

/// Where a slot begins, whoever is not booked by then is cancelled, however it came to wait.
#[test]
fn the_promises_hold_where_the_slot_begins() {
    for setting in beginning() {
        reaches(&setting, [OrderState::Completed, OrderState::Cancelled]);
    }
}

/// Who moves from one queue to another leaves what it does not take to others.
#[test]
fn the_promises_hold_where_an_order_lacks_several_things_at_once() {
    for setting in two_lines() {
        reaches(&setting, [OrderState::Completed, OrderState::AwaitingStock]);
    }
}
