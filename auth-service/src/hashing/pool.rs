//! Hashing happens on a bounded pool with a bounded queue: it is the one thing in this service that costs real work,
//! and whoever sends logins faster than they can be computed must not take the memory or the other calls with them.

use std::sync::Arc;
use std::time::Duration;

use millgate_platform::{Fault, Reason, SharedEntropy};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::workers::{Memory, Workers};
use super::{Cost, Verification, argon, verify};
use crate::domain::Password;

/// What a caller who found the queue full is told to wait.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Computes hashes, a few at a time.
#[derive(Clone)]
pub(crate) struct HashingPool {
    cost: Cost,
    entropy: SharedEntropy,
    /// Compute them.
    workers: Arc<Workers>,
    /// Hashes being computed: as many as there are workers.
    running: Arc<Semaphore>,
    /// Hashes being computed or waited for.
    admitted: Arc<Semaphore>,
    /// The hash of a password that nobody knows: what is checked where there is no account.
    decoy: Arc<str>,
}

/// A place in the queue of a pool. Whoever has one is not sent away any more.
pub(crate) struct Place(OwnedSemaphorePermit);

impl HashingPool {
    /// A pool that computes `width` hashes at once, while at most `queue` more wait.
    ///
    /// # Errors
    /// INTERNAL when not even one hash can be computed, or the system gives no more threads.
    pub(crate) fn new(
        cost: Cost,
        width: usize,
        queue: usize,
        entropy: SharedEntropy,
    ) -> Result<Self, Fault> {
        let mut unknown = [0; 32];
        entropy.fill(&mut unknown);
        let decoy = argon::hash(&unknown, &salt(&entropy), cost, &mut Memory::default())?.into();
        Ok(Self {
            cost,
            workers: Arc::new(Workers::start(width)?),
            running: Arc::new(Semaphore::new(width)),
            admitted: Arc::new(Semaphore::new(width.saturating_add(queue))),
            entropy,
            decoy,
        })
    }

    /// A place in the queue, taken before anything else is done for a login: who finds it full is sent away at once,
    /// and has cost nothing.
    ///
    /// # Errors
    /// OVERLOADED with RetryInfo when the queue is full.
    pub(crate) fn place(&self) -> Result<Place, Fault> {
        let place = self.admitted.clone().try_acquire_owned();
        place.map(Place).map_err(|_full| overloaded())
    }

    /// The hash of a new password.
    ///
    /// # Errors
    /// OVERLOADED with RetryInfo when the queue is full.
    pub(crate) async fn hash(&self, password: &Password) -> Result<String, Fault> {
        let (password, salt, cost) = (password.clone(), salt(&self.entropy), self.cost);
        let place = self.place()?;
        self.run(place, move |memory| {
            argon::hash(password.normal(), &salt, cost, memory)
        })
        .await?
    }

    /// Compares a password with a stored hash; without one, does the same work for a "no".
    ///
    /// # Errors
    /// INTERNAL when it could not be computed.
    pub(crate) async fn verify(
        &self,
        place: Place,
        password: &Password,
        stored: Option<&str>,
    ) -> Result<Verification, Fault> {
        let known = stored.is_some();
        let stored: Arc<str> = stored.map_or_else(|| self.decoy.clone(), Arc::from);
        let (password, cost) = (password.clone(), self.cost);
        let done = self
            .run(place, move |memory| {
                verify(&password, &stored, cost, memory)
            })
            .await?;
        Ok(Verification {
            matches: done.matches & known,
            ..done
        })
    }

    /// Runs `work` on a worker when it is its turn. A caller that goes away while it waits leaves the queue;
    /// work that has begun keeps its place until it is done, whoever still waits for it.
    async fn run<T: Send + 'static>(
        &self,
        Place(admitted): Place,
        work: impl FnOnce(&mut Memory) -> T + Send + 'static,
    ) -> Result<T, Fault> {
        let running = self
            .running
            .clone()
            .acquire_owned()
            .await
            .map_err(|_closed| overloaded())?;
        let places: [OwnedSemaphorePermit; 2] = [admitted, running];
        let work = move |memory: &mut Memory| {
            let done = work(memory);
            drop(places);
            done
        };
        self.workers.run(work).await
    }
}

fn salt(entropy: &SharedEntropy) -> [u8; 16] {
    let mut salt = [0; 16];
    entropy.fill(&mut salt);
    salt
}

fn overloaded() -> Fault {
    Fault::new(
        Reason::Overloaded,
        "too many passwords are being checked; try again in a moment",
    )
    .with_retry_after(RETRY_AFTER)
}

#[cfg(test)]
mod tests {
    use super::*;
    use millgate_platform::SystemEntropy;

    fn pool(width: usize, queue: usize) -> HashingPool {
        HashingPool::new(Cost::default(), width, queue, Arc::new(SystemEntropy)).expect("a pool")
    }

    fn password(text: &str) -> Password {
        Password::parse(text).expect("a password")
    }

    #[tokio::test]
    async fn a_hash_lets_its_password_in_and_no_other() {
        let pool = pool(1, 8);
        let stored = pool.hash(&password("correct horse")).await.expect("hashed");
        let check = async |text, stored| {
            let place = pool.place().expect("there is room");
            pool.verify(place, &password(text), stored)
                .await
                .expect("checked")
        };
        let good = check("correct horse", Some(stored.as_str())).await;
        assert_eq!(
            good,
            Verification {
                matches: true,
                outdated: false
            }
        );
        assert!(!check("correct horsf", Some(stored.as_str())).await.matches);
        assert!(!check("correct horse", None).await.matches);
        assert_ne!(
            stored,
            pool.hash(&password("correct horse")).await.expect("hashed"),
            "a salt of its own"
        );
    }

    #[tokio::test]
    async fn past_the_queue_callers_are_sent_away_with_a_time_to_return() {
        let pool = pool(1, 1);
        let one_password = password("correct horse");
        let results = futures::future::join_all((0..20).map(|_| pool.hash(&one_password))).await;
        let refused: Vec<_> = results
            .iter()
            .filter_map(|result| result.as_ref().err())
            .collect();
        assert_eq!(refused.len(), 18);
        assert!(
            refused
                .iter()
                .all(|fault| fault.reason() == Reason::Overloaded && fault.retry_after().is_some())
        );
        assert!(
            pool.hash(&one_password).await.is_ok(),
            "there is room again"
        );
    }

    #[tokio::test]
    async fn a_caller_who_goes_away_leaves_the_queue() {
        let pool = pool(1, 1);
        let one_password = password("correct horse");
        for _ in 0..50 {
            let waiting = pool.hash(&one_password);
            let gone = tokio::time::timeout(Duration::from_millis(1), waiting).await;
            assert!(!matches!(gone, Ok(Err(ref fault)) if fault.reason() != Reason::Overloaded));
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(pool.hash(&one_password).await.is_ok());
        assert_eq!(pool.admitted.available_permits(), 2);
    }
}
