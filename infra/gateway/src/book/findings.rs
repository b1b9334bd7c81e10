//! What should never be in the book. It is seen as it is written, so that judging costs nothing as long as all is well.

use serde::Serialize;

use super::{Book, Charge, Protocol, Refund, RefundState};

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

/// Under what there is more than there should be. Money that was moved was moved for good, so it stays so.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Suspect {
    Key(Protocol, String),
    Reference(Protocol, String),
    RefundKey(Protocol, String),
}

impl Book {
    /// Nothing is well.
    pub fn findings(&self) -> Vec<Finding> {
        self.suspects.iter().map(|suspect| self.finding(suspect)).collect()
    }

    fn finding(&self, suspect: &Suspect) -> Finding {
        match suspect.clone() {
            Suspect::Key(protocol, key) => {
                let charges = captured(self.charges_under(protocol, &key));
                Finding::TwoChargesForKey { protocol, key, charges }
            }
            Suspect::Reference(protocol, reference) => {
                let charges = captured(self.charges_for(protocol, &reference));
                Finding::TwoChargesForReference { protocol, reference, charges }
            }
            Suspect::RefundKey(protocol, key) => {
                let refunds = done(self.refunds_under(protocol, &key));
                Finding::TwoRefundsForKey { protocol, key, refunds }
            }
        }
    }

    pub(super) fn suspect_charge(&mut self, id: &str) {
        let Some(charge) = self.charges.get(id).filter(|charge| charge.was_captured()) else { return };
        let (protocol, key, reference) = (charge.protocol, charge.key.clone(), charge.reference.clone());
        if let Some(key) = key.filter(|key| captured(self.charges_under(protocol, key)).len() > 1) {
            self.suspects.insert(Suspect::Key(protocol, key));
        }
        if let Some(name) = reference.filter(|name| captured(self.charges_for(protocol, name)).len() > 1) {
            self.suspects.insert(Suspect::Reference(protocol, name));
        }
    }

    pub(super) fn suspect_refund(&mut self, id: &str) {
        let Some(refund) = self.refunds.get(id).filter(|refund| refund.state == RefundState::Done) else { return };
        let (protocol, key) = (refund.protocol, refund.key.clone());
        if let Some(key) = key.filter(|key| done(self.refunds_under(protocol, key)).len() > 1) {
            self.suspects.insert(Suspect::RefundKey(protocol, key));
        }
    }
}

fn captured<'a>(charges: impl Iterator<Item = &'a Charge>) -> Vec<String> {
    charges.filter(|charge| charge.was_captured()).map(|charge| charge.id.clone()).collect()
}

fn done<'a>(refunds: impl Iterator<Item = &'a Refund>) -> Vec<String> {
    refunds.filter(|refund| refund.state == RefundState::Done).map(|refund| refund.id.clone()).collect()
}
