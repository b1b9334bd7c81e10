//! Courier time slots: so many orders can be handed over in each, and none once it has begun.

use serde::{Deserialize, Serialize};

use crate::books::{Draft, Halt, Key};
use crate::events::Told;
use crate::ids::SlotId;
use crate::{Outcome, Refusal, Timestamp, planted};

/// A time at which couriers come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    pub id: SlotId,
    pub capacity: u32,
    /// How many orders are booked in it. They stay: booking hands an order over.
    pub booked: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Timestamp>,
    pub changed_at: Timestamp,
}

/// That there is a slot, for the list of them. Written when it is opened, and never again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedSlot {
    pub slot: SlotId,
}

impl Slot {
    /// When nobody can be booked in it any more, and waiting for it ends: when it begins, or where nothing says when
    /// that is, when it ends.
    pub fn closes_at(&self) -> Option<Timestamp> {
        self.from.or(self.to)
    }

    pub fn has_begun(&self, now: Timestamp) -> bool {
        self.closes_at().is_some_and(|closes| closes <= now)
    }

    /// A slot that has begun has none.
    pub fn has_room(&self, now: Timestamp) -> bool {
        (self.booked < self.capacity || planted!(SlotOverfull) && self.booked == self.capacity) && !self.has_begun(now)
    }
}

/// What a slot is to be.
#[derive(Clone, Copy, Debug)]
pub struct PutSlot {
    pub id: SlotId,
    pub capacity: u32,
    pub from: Option<Timestamp>,
    pub to: Option<Timestamp>,
}

/// Opens a slot, or changes it. Whoever is booked stays so. Where there may now be room, or the waiting ends at another
/// time, those who wait for it are told.
pub fn put(draft: &mut Draft<'_>, command: &PutSlot, now: Timestamp) -> Result<Outcome<Slot>, Halt> {
    let PutSlot { id, capacity, from, to } = *command;
    if let (Some(from), Some(to)) = (from, to)
        && from >= to
    {
        return Err(Refusal::SlotTimesReversed.into());
    }
    let key = Key::Slot(id);
    let found = draft.get::<Slot>(key)?;
    let booked = found.map_or(0, |slot| slot.booked);
    if capacity < booked {
        return Err(Refusal::CapacityBelowBooked { booked }.into());
    }
    let slot = Slot { id, capacity, booked, from, to, changed_at: now };
    if let Some(found) = found
        && (Slot { changed_at: now, ..found }) == slot
    {
        return Ok(Outcome::AlreadyDone(found));
    }
    draft.put(slot)?;
    if found.is_none() {
        draft.insert(ListedSlot { slot: id })?;
    }
    if found.is_none_or(|found| {
        (capacity > found.capacity && !planted!(RaiseUntold)) || slot.closes_at() != found.closes_at()
    }) {
        draft.tell(key, Told::SlotAvailable, now)?;
    }
    Ok(Outcome::Done(slot))
}
