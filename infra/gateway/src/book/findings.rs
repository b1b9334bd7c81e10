//! What should never be in the book.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Book, Protocol, RefundState};

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "finding", rename_all = "snake_case")]
pub enum Finding {
    /// Money was taken twice under one key. Only a key that the gateway had forgotten can do that.
    TwoChargesForKey { protocol: Protocol, key: String, charges: Vec<String> },
    /// Money was taken twice for what the caller calls by one name, under whatever keys.
    TwoChargesForReference { protocol: Protocol, reference: String, charges: Vec<String> },
    /// Money was given back twice under one key.
    TwoRefundsForKey { protocol: Protocol, key: String, refunds: Vec<String> },
}

impl Book {
    /// Nothing is well.
    pub fn findings(&self) -> Vec<Finding> {
        let mut by_key: BTreeMap<_, Vec<_>> = BTreeMap::new();
        let mut by_reference: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for charge in self.charges.values().filter(|charge| charge.was_captured()) {
            if let Some(key) = &charge.key {
                by_key.entry((charge.protocol, key)).or_default().push((charge.number, charge.id.clone()));
            }
            if let Some(reference) = &charge.reference {
                by_reference.entry((charge.protocol, reference)).or_default().push((charge.number, charge.id.clone()));
            }
        }
        let mut given_back: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for refund in self.refunds.values().filter(|refund| refund.state == RefundState::Done) {
            if let Some(key) = &refund.key {
                given_back.entry((refund.protocol, key)).or_default().push((refund.number, refund.id.clone()));
            }
        }
        let keys = several(by_key).map(|((protocol, key), charges)| Finding::TwoChargesForKey {
            protocol,
            key: key.clone(),
            charges,
        });
        let references = several(by_reference).map(|((protocol, reference), charges)| {
            Finding::TwoChargesForReference { protocol, reference: reference.clone(), charges }
        });
        let refunds = several(given_back).map(|((protocol, key), refunds)| Finding::TwoRefundsForKey {
            protocol,
            key: key.clone(),
            refunds,
        });
        keys.chain(references).chain(refunds).collect()
    }
}

fn several<K>(all: BTreeMap<K, Vec<(u64, String)>>) -> impl Iterator<Item = (K, Vec<String>)> {
    all.into_iter().filter(|(_, ids)| ids.len() > 1).map(|(key, mut ids)| {
        ids.sort();
        (key, ids.into_iter().map(|(_, id)| id).collect())
    })
}
