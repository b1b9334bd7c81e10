//! Chance that nobody can foresee, for secrets. What only spreads things out draws from the store's own.

use std::sync::{Arc, Mutex};

use ring::rand::{SecureRandom as _, SystemRandom};

type Fill = Arc<dyn Fn(&mut [u8]) -> Result<(), NoChance> + Send + Sync>;

#[derive(Clone)]
pub struct Chance(Fill);

#[derive(Debug, thiserror::Error)]
#[error("the operating system has no chance to give")]
pub struct NoChance;

impl Chance {
    pub fn of_the_system() -> Self {
        let system = SystemRandom::new();
        Self(Arc::new(move |bytes| system.fill(bytes).map_err(|_| NoChance)))
    }

    /// The same for the same seed: for runs that are to be played again, where there is nothing to keep secret.
    pub fn seeded(seed: u64) -> Self {
        let drawn = Mutex::new(fastrand::Rng::with_seed(seed));
        Self(Arc::new(move |bytes| {
            drawn.lock().expect("nothing panics while it holds this").fill(bytes);
            Ok(())
        }))
    }

    pub fn bytes<const N: usize>(&self) -> Result<[u8; N], NoChance> {
        let mut bytes = [0; N];
        (self.0)(&mut bytes)?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_foresees_the_systems_and_anybody_the_seeded() {
        let drawn = |chance: &Chance| chance.bytes::<32>().unwrap();
        let system = Chance::of_the_system();
        assert_ne!(drawn(&system), drawn(&system));
        assert_ne!(drawn(&system), drawn(&Chance::of_the_system()));
        let seeded = Chance::seeded(7);
        assert_eq!(drawn(&seeded), drawn(&Chance::seeded(7)));
        assert_ne!(drawn(&seeded), drawn(&Chance::seeded(7)), "it goes on");
    }
}
