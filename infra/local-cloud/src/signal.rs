//! "Something changed": what a task that found nothing to do waits for.
//!
//! A listener that looks first and waits afterwards misses nothing, because what it has seen is a version and not a
//! moment. It says nothing of what changed; whoever wakes looks again.

use tokio::sync::watch;

#[derive(Clone)]
pub(crate) struct Signal(watch::Sender<u64>);

pub(crate) struct Listener(watch::Receiver<u64>);

impl Signal {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(0))
    }

    pub(crate) fn raise(&self) {
        self.0.send_modify(|version| *version = version.wrapping_add(1));
    }

    pub(crate) fn listen(&self) -> Listener {
        Listener(self.0.subscribe())
    }
}

impl Listener {
    /// Call before looking; `raised` then ends at once if anything changed since.
    pub(crate) fn about_to_look(&mut self) {
        self.0.mark_unchanged();
    }

    pub(crate) async fn raised(&mut self) {
        if self.0.changed().await.is_err() {
            // Nobody is left who could raise it.
            std::future::pending::<()>().await;
        }
    }
}
