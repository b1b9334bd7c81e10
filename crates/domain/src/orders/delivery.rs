//! Handing an order over: booked in its slot, or taken by a courier where that has no room. Either completes it.

use super::{Delivery, Lack, Move, Order, OrderState};
use crate::books::{Draft, Halt, Key};
use crate::events::Told;
use crate::ids::{CustomerId, OrderId};
use crate::slots::Slot;
use crate::{Outcome, Refusal, Timestamp, planted};

/// Books the order in its slot, if that has room.
pub(super) fn book(draft: &mut Draft<'_>, order: &mut Order, now: Timestamp) -> Result<Result<(), Lack>, Halt> {
    let slot = draft.get::<Slot>(Key::Slot(order.slot()))?;
    let Some(slot) = slot.filter(|slot| slot.has_room(now)) else { return Ok(Err(Lack::Delivery)) };
    draft.put(Slot { booked: slot.booked + 1, changed_at: now, ..slot })?;
    hand_over(draft, order, Delivery::Booked, Told::OrderBooked, now)?;
    Ok(Ok(()))
}

/// A courier takes an order whose slot has no room. The same courier taking it again finds it taken.
pub fn accept(draft: &mut Draft<'_>, id: OrderId, courier: CustomerId, now: Timestamp) -> Result<Outcome<Order>, Halt> {
    let mut order = draft.get::<Order>(Key::Order(id))?.ok_or(Refusal::OrderNotFound)?;
    let accepted = Told::OrderAccepted { courier };
    if order.timeline.iter().any(|passage| passage.told == accepted) {
        return Ok(Outcome::AlreadyDone(order));
    }
    if order.state != OrderState::AwaitingDelivery {
        return Err(Refusal::NotAwaitingDelivery { state: order.state }.into());
    }
    draft.foresee(order.ahead())?;
    if !planted!(AcceptedUnseen) && draft.get::<Slot>(Key::Slot(order.slot()))?.is_some_and(|slot| slot.has_room(now)) {
        return Err(Refusal::SlotHasRoom.into());
    }
    hand_over(draft, &mut order, Delivery::Accepted, accepted, now)?;
    Ok(Outcome::Done(order))
}

fn hand_over(
    draft: &mut Draft<'_>,
    order: &mut Order,
    delivery: Delivery,
    told: Told,
    now: Timestamp,
) -> Result<(), Halt> {
    assert!(order.delivery.is_none(), "order {} is handed over once", order.id);
    order.leave_queue(draft)?;
    order.delivery = Some(delivery);
    order.moved(Move::HandOver);
    assert!(order.state == OrderState::Completed, "delivery is the last step of every plan that has it");
    order.look_at = None;
    order.pass(draft, told, now)?;
    order.pass(draft, Told::OrderCompleted, now)
}
