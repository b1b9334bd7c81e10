//! Chance, drawn from one seed for one place at a time: what is thrown for one request shifts nothing for another, in
//! whatever order they come.

use fastrand::Rng;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Dice {
    seed: u64,
}

impl Dice {
    pub(crate) const fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// For the time number `place` that `who` has anything to throw for.
    pub(crate) fn at(self, who: &str, place: u64) -> Rng {
        let hash = [&self.seed.to_be_bytes()[..], who.as_bytes(), &place.to_be_bytes()[..]].concat();
        Rng::with_seed(fnv1a(&hash))
    }

    /// 24 hexadecimal digits after `prefix`.
    pub(crate) fn id(self, prefix: &str, who: &str, place: u64) -> String {
        let mut rng = self.at(&format!("{prefix}{who}"), place);
        format!("{prefix}{:016x}{:08x}", rng.u64(..), rng.u32(..))
    }
}

/// `true` about `per` times in ten thousand.
pub(crate) fn happens(rng: &mut Rng, per: u32) -> bool {
    rng.u32(0..10_000) < per
}

/// From the one to the other, both included.
pub(crate) fn within(rng: &mut Rng, [least, most]: [u64; 2]) -> u64 {
    rng.u64(least..=most.max(least))
}

/// The same on every machine and in every release of the compiler.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_throws_the_same_again_and_no_other_place_does() {
        let dice = Dice::new(7);
        assert_eq!(dice.id("ch_", "key", 0), dice.id("ch_", "key", 0));
        let others = [dice.id("ch_", "key", 1), dice.id("ch_", "kez", 0), Dice::new(8).id("ch_", "key", 0)];
        assert!(others.iter().all(|other| *other != dice.id("ch_", "key", 0)), "{others:?}");
        assert!(dice.id("re_", "key", 0).starts_with("re_") && dice.id("re_", "key", 0).len() == 27);
    }

    #[test]
    fn a_rate_is_of_ten_thousand() {
        let mut rng = Rng::with_seed(1);
        assert!((0..1_000).all(|_| happens(&mut rng, 10_000)));
        assert!(!(0..1_000).any(|_| happens(&mut rng, 0)));
        let often = (0..100_000).filter(|_| happens(&mut rng, 500)).count();
        assert!((4_500..5_500).contains(&often), "{often}");
    }
}
