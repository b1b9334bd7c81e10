//! Where a payment stands, and where each thing that is said of it leads.

use serde::{Deserialize, Serialize};

use crate::planted;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentState {
    /// An operator is to say whether the money came.
    Created,
    /// The gateway is being asked for the money, or has not said yet whether it comes.
    Pending,
    Captured,
    /// The gateway said no.
    Declined,
    /// It may have been captured, and the gateway does not say.
    Unknown,
    /// A person has to look.
    InReview,
    /// Some or all of it is on the way back.
    Refunding,
    /// All of it was given back.
    Refunded,
    /// It was never sent, or the gateway did not know it when its time was up. It may be captured all the same.
    Expired,
}

/// What can be said of a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// The gateway has it and has not decided.
    Accepted,
    Captured,
    Declined,
    /// All attempts came to nothing, and one of them may have arrived.
    Unheard,
    /// Its time is up, and the gateway does not know it.
    Lapsed,
    /// Something is not right with it.
    Doubted,
    RefundBegun,
    /// No refund is on its way any more.
    RefundsOver {
        whole: bool,
    },
    /// A person has looked.
    Judged(PaymentState),
}

impl PaymentState {
    pub const ALL: [Self; 9] = [
        Self::Created,
        Self::Pending,
        Self::Captured,
        Self::Declined,
        Self::Unknown,
        Self::InReview,
        Self::Refunding,
        Self::Refunded,
        Self::Expired,
    ];

    /// Where each thing leads that may be said. What comes late or again leads nowhere: it is answered by the state as it
    /// is. What is in review stays so until a person ends it; the sums go on meanwhile.
    #[must_use]
    pub fn after(self, said: Said) -> Self {
        match (self, said) {
            (Self::InReview, Said::Judged(state)) => state,
            (Self::InReview, _) | (_, Said::Doubted) => Self::InReview,
            // That it was not found does not prove that it was not charged: whatever the gateway says later counts.
            (Self::Pending | Self::Unknown | Self::Expired, Said::Accepted) => Self::Pending,
            (Self::Captured, Said::Accepted) if planted!(PendingUndoes) => Self::Pending,
            (Self::Unknown, Said::Captured) if planted!(LateCaptureIgnored) => Self::Unknown,
            (Self::Created | Self::Pending | Self::Unknown | Self::Expired | Self::Declined, Said::Captured) => {
                Self::Captured
            }
            (Self::Created | Self::Pending | Self::Unknown | Self::Expired, Said::Declined) => Self::Declined,
            (Self::Pending, Said::Unheard) if planted!(UnheardIsDeclined) => Self::Declined,
            (Self::Pending, Said::Unheard) => Self::Unknown,
            (Self::Pending | Self::Unknown, Said::Lapsed) => Self::Expired,
            (Self::Captured, Said::RefundBegun) => Self::Refunding,
            (Self::Refunding, Said::RefundsOver { whole: true }) => Self::Refunded,
            (Self::Refunding, Said::RefundsOver { whole: false }) => Self::Captured,
            (state, _) => state,
        }
    }

    /// Whether nothing of the payment itself is to come. Its refunds may be.
    pub const fn is_settled(self) -> bool {
        match self {
            Self::Created | Self::Pending | Self::Unknown | Self::InReview | Self::Refunding => false,
            Self::Captured | Self::Declined | Self::Refunded | Self::Expired => true,
        }
    }

    /// Whether it ended without the money, as far as anybody knows.
    pub const fn is_over_uncharged(self) -> bool {
        matches!(self, Self::Declined | Self::Expired)
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Pending => "pending",
            Self::Captured => "captured",
            Self::Declined => "declined",
            Self::Unknown => "unknown",
            Self::InReview => "in_review",
            Self::Refunding => "refunding",
            Self::Refunded => "refunded",
            Self::Expired => "expired",
        }
    }
}
