//! The one source of chance: ids, receipt handles and jitter come from a seed, so that a run can be repeated.

use std::sync::{Mutex, PoisonError};

pub(crate) struct Random(Mutex<fastrand::Rng>);

impl Random {
    pub(crate) fn seeded(seed: u64) -> Self {
        Self(Mutex::new(fastrand::Rng::with_seed(seed)))
    }

    /// A version 4 UUID.
    pub(crate) fn uuid(&self) -> String {
        let bits = self.bits();
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            bits >> 96,
            (bits >> 80) & 0xffff,
            (bits >> 64) & 0xfff,
            ((bits >> 48) & 0x3fff) | 0x8000,
            bits & 0xffff_ffff_ffff
        )
    }

    /// 32 hexadecimal digits.
    pub(crate) fn token(&self) -> String {
        format!("{:032x}", self.bits())
    }

    fn bits(&self) -> u128 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).u128(..)
    }
}
