//! The look again, before anything is said of a table that others write to: what was found is read anew by its keys.

use std::collections::BTreeSet;

use domain::accounts::Cause;
use domain::books::{Item, Kept, Key, Version};
use domain::ids::{CustomerId, OrderId};
use domain::orders::Order;
use domain::promises::{AccountRun, Finding, Subject, Subjects};

use super::{Plan, readable, supplies};
use crate::store::Failure;
use crate::table::{Stored, Table};

/// An order that moves so often while it is read is on its way.
const TRIES: u32 = 5;

pub(super) struct Reader<'a> {
    pub(super) table: &'a Table,
    pub(super) plan: &'a Plan,
}

impl Reader<'_> {
    /// An account and all its entries.
    pub(super) async fn account(&self, customer: &CustomerId) -> Result<AccountRun, Failure> {
        let mut run = AccountRun::new(*customer, true);
        self.walk(customer, |item| match item {
            Item::Account(account) => run.see_account(account),
            Item::Entry(entry) => run.see_entry(&entry),
            _ => {}
        })
        .await?;
        Ok(run)
    }

    /// What is wrong with an order or a deposit now. `keys` is where everything stood that was seen of it.
    pub(super) async fn subject(&self, subject: &Subject, keys: BTreeSet<Key>) -> Result<Vec<Finding>, Failure> {
        for _ in 0..TRIES {
            let until = self.plan.until();
            let before = self.version(subject).await?;
            let mut subjects = Subjects::new(until);
            let mut known = keys.clone();
            self.load(&mut subjects, &known).await?;
            // It may name more by now than when it was first seen.
            let more: BTreeSet<Key> = subjects.keys(subject).difference(&known).copied().collect();
            self.load(&mut subjects, &more).await?;
            known.extend(more);
            if let Subject::Order(order) = subject {
                self.charges(&mut subjects, order, &known).await?;
            }
            let supplies = supplies(self.table, subjects.awaited()).await?;
            if self.version(subject).await? == before {
                let settled = self.plan.settled(until, None);
                let found = subjects.judge(|resource| supplies.get(resource).copied(), settled);
                return Ok(found.into_iter().filter(|(of, _)| of == subject).flat_map(|(_, found)| found).collect());
            }
        }
        Ok(Vec::new())
    }

    async fn load(&self, subjects: &mut Subjects, keys: &BTreeSet<Key>) -> Result<(), Failure> {
        let keys: Vec<Key> = keys.iter().copied().collect();
        for Stored { found, .. } in readable(self.table, &keys).await?.into_values().flatten() {
            subjects.see(found.item, found.version);
        }
        Ok(())
    }

    /// Entries for an order that nobody has seen yet can only stand in its customer's account.
    async fn charges(&self, subjects: &mut Subjects, id: &OrderId, known: &BTreeSet<Key>) -> Result<(), Failure> {
        let key = Key::Order(*id);
        let order = readable(self.table, &[key]).await?.remove(&key).flatten();
        let Some(order) = order.as_ref().and_then(|stored| Order::of_item(&stored.found.item)) else { return Ok(()) };
        let mut new = Vec::new();
        self.walk(&order.customer, |item| {
            if let Item::Entry(entry) = &item
                && (entry.cause == Cause::Order(*id) || entry.cause == Cause::Refund(*id))
                && !known.contains(&entry.key())
            {
                new.push(item);
            }
        })
        .await?;
        new.into_iter().for_each(|item| subjects.see(item, 1));
        Ok(())
    }

    async fn walk(&self, customer: &CustomerId, mut see: impl FnMut(Item)) -> Result<(), Failure> {
        let mut from = None;
        loop {
            let page = self.table.account(customer, i32::from(self.plan.page.max(1)), from).await?;
            page.items.into_iter().flatten().for_each(|stored| see(stored.found.item));
            if page.next.is_none() {
                return Ok(());
            }
            from = page.next;
        }
    }

    async fn version(&self, subject: &Subject) -> Result<Option<Version>, Failure> {
        let key = subject.key();
        let found = readable(self.table, &[key]).await?.remove(&key).flatten();
        Ok(found.map(|stored| stored.found.version))
    }
}
