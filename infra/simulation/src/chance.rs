//! One seed, split into streams that do not disturb each other: what is drawn for one thing shifts nothing for another.

/// What a stream is drawn for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stream {
    Workload = 1,
    Scheduler,
    Faults,
    Swarm,
    Ids,
    Sdk,
    Lag,
    /// Who has an endpoint, and how it fares.
    Outside,
    Secrets,
    /// Who pays by card, and how the gateway fares.
    Cards,
}

/// The seed of one stream.
pub(crate) fn stream(seed: u64, stream: Stream) -> u64 {
    mixed(seed, stream as u64)
}

/// Numbers for one place in a stream, named by who is there and how often they were.
pub(crate) fn at(stream: u64, who: &str, place: u64) -> fastrand::Rng {
    fastrand::Rng::with_seed(mixed(mixed(stream, hash(who.as_bytes())), place))
}

/// `true` about `per` times in ten thousand.
pub(crate) fn happens(rng: &mut fastrand::Rng, per: u32) -> bool {
    rng.u32(0..10_000) < per
}

/// SplitMix64 over both.
pub(crate) fn mixed(a: u64, b: u64) -> u64 {
    let mut z = a.wrapping_add(b.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// FNV-1a: the same on every machine and in every release of the compiler.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    extended(0xcbf2_9ce4_8422_2325, bytes)
}

pub(crate) fn extended(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
