//! What a request for an order says, each part where it says it; and whether that goes together.

use super::{Goods, IfLacking, PayWith, Wanted};
use crate::goods::Lines;
use crate::ids::SlotId;
use crate::payments::Gateway;
use crate::{Amount, Refusal};

/// What a request says that an order is paid with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Paying {
    #[default]
    Balance,
    Card,
}

impl Paying {
    /// With what it is paid here. `None` by card, where no gateway charges any.
    pub const fn here(self, offered: Option<Gateway>) -> Option<PayWith> {
        match (self, offered) {
            (Self::Balance, _) => Some(PayWith::Balance),
            (Self::Card, Some(gateway)) => Some(PayWith::Card(gateway)),
            (Self::Card, None) => None,
        }
    }
}

#[derive(Clone, Debug, Default)]
pub struct Asked {
    pub amount: Option<Amount>,
    pub lines: Option<Lines>,
    pub slot: Option<SlotId>,
    pub reserve_first: Option<bool>,
    pub if_unavailable: Option<IfLacking>,
    pub if_undeliverable: Option<IfLacking>,
}

impl Asked {
    /// What is wanted, with the defaults of what is not said. How goods are to come is said of goods only.
    pub fn wanted(self) -> Result<Wanted, Refusal> {
        let Self { amount, lines, slot, reserve_first, if_unavailable, if_undeliverable } = self;
        let says_how =
            slot.is_some() || reserve_first.is_some() || if_unavailable.is_some() || if_undeliverable.is_some();
        if amount.is_some() && lines.is_none() && says_how {
            return Err(Refusal::OnlyWithLines);
        }
        let goods = lines.map(|lines| Goods {
            lines,
            slot,
            reserve_first: reserve_first.unwrap_or_default(),
            if_unavailable: if_unavailable.unwrap_or_default(),
            if_undeliverable: if_undeliverable.unwrap_or_default(),
        });
        Wanted::of(amount, goods)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Sku;

    #[test]
    fn an_order_is_for_an_amount_or_for_goods_and_only_goods_come_somehow() {
        let amount = Amount::from_minor(5);
        let lines = || Lines::new(vec![(Sku::parse("tea").unwrap(), 1)]).ok();
        let code = |asked: Asked| match asked.wanted() {
            Ok(Wanted::Amount(_)) => "amount",
            Ok(Wanted::Goods(_)) => "goods",
            Err(refusal) => refusal.code(),
        };
        let of_amount = || Asked { amount, ..Asked::default() };
        assert_eq!(code(Asked::default()), "amount_or_lines");
        assert_eq!(code(Asked { slot: Some(SlotId::standard()), ..Asked::default() }), "amount_or_lines");
        assert_eq!(code(of_amount()), "amount");
        assert_eq!(code(Asked { lines: lines(), ..Asked::default() }), "goods");
        assert_eq!(code(Asked { lines: lines(), ..of_amount() }), "amount_or_lines");
        for how in [
            Asked { slot: Some(SlotId::standard()), ..of_amount() },
            Asked { reserve_first: Some(false), ..of_amount() },
            Asked { if_unavailable: Some(IfLacking::Wait), ..of_amount() },
            Asked { if_undeliverable: Some(IfLacking::Wait), ..of_amount() },
        ] {
            assert_eq!(code(how), "only_with_lines");
        }
        let all = Asked {
            lines: lines(),
            slot: SlotId::parse("noon").ok(),
            reserve_first: Some(true),
            if_unavailable: Some(IfLacking::Cancel),
            if_undeliverable: Some(IfLacking::Cancel),
            ..Asked::default()
        };
        let Ok(Wanted::Goods(goods)) = all.wanted() else { panic!("all of it is said of goods") };
        assert!(goods.reserve_first && goods.slot == SlotId::parse("noon").ok());
        assert_eq!((goods.if_unavailable, goods.if_undeliverable), (IfLacking::Cancel, IfLacking::Cancel));
    }
}
