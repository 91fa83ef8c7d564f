//! The threads that compute hashes, each in memory of its own.
//!
//! Not the runtime's threads for blocking work: those are many, and each hash would leave its 19 MiB with the allocator
//! of whichever it came to (more than 1 GiB was seen after a minute of logins on two cores). And these give way to
//! others: while they are all busy, a call that needs no hash is not kept waiting for a core.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use argon2::{Block, Params};
use millgate_platform::Fault;
use tokio::sync::oneshot;

/// By how much they give way (nice(2)): at 10, a core that is wanted by both goes to the others nine times of ten.
#[cfg(target_os = "linux")]
const GIVE_WAY: i32 = 10;

type Job = Box<dyn FnOnce(&mut Memory) + Send>;

/// Threads that end when this is dropped.
pub(super) struct Workers {
    jobs: Sender<Job>,
}

impl Workers {
    /// Starts `count` of them.
    ///
    /// # Errors
    /// INTERNAL when the system gives no more threads.
    pub(super) fn start(count: usize) -> Result<Self, Fault> {
        let (jobs, queue) = channel();
        let queue = Arc::new(Mutex::new(queue));
        for number in 0..count {
            let queue = queue.clone();
            thread::Builder::new()
                .name(format!("hashing-{number}"))
                .spawn(move || work(&queue))
                .map_err(|error| {
                    Fault::internal("no thread for password hashes").with_source(error)
                })?;
        }
        Ok(Self { jobs })
    }

    /// Runs `work` on one of the threads. It is done also when nobody waits for it any more.
    ///
    /// # Errors
    /// INTERNAL when it panicked.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Memory) -> T + Send + 'static,
    ) -> Result<T, Fault> {
        let (answer, answered) = oneshot::channel();
        let job = move |memory: &mut Memory| {
            // Nobody is left to tell when the caller has gone away.
            let _ = answer.send(work(memory));
        };
        let not_computed = || Fault::internal("a hash was not computed");
        self.jobs
            .send(Box::new(job))
            .map_err(|_ended| not_computed())?;
        answered
            .await
            .map_err(|error| not_computed().with_source(error))
    }
}

fn work(queue: &Mutex<Receiver<Job>>) {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(GIVE_WAY) {
        tracing::warn!(%error, "password hashes are computed at the priority of everything else");
    }
    let mut memory = Memory::default();
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = next else { return };
        // The hook has told of it, and the caller hears that there is no answer.
        if catch_unwind(AssertUnwindSafe(|| job(&mut memory))).is_err() {
            memory = Memory::default();
        }
    }
}

/// What an argon2 hash is computed in, kept from one to the next.
#[derive(Default)]
pub(super) struct Memory {
    blocks: Vec<Block>,
    /// How many of them are kept: as many as the hashes of this service take. A stored hash may ask for more, once.
    kept: usize,
}

impl Memory {
    /// Computes in as many blocks as `params` ask for.
    ///
    /// # Errors
    /// When there is no such memory.
    pub(super) fn with<T>(
        &mut self,
        params: &Params,
        compute: impl FnOnce(&mut [Block]) -> Result<T, argon2::Error>,
    ) -> Result<T, argon2::Error> {
        let count = params.block_count();
        if let Some(more) = count.checked_sub(self.blocks.len()) {
            self.blocks
                .try_reserve_exact(more)
                .map_err(|_| argon2::Error::MemoryTooMuch)?;
            self.blocks
                .resize(count.max(self.blocks.len()), Block::default());
        }
        let done = compute(&mut self.blocks[..count]);
        if self.blocks.len() > self.kept {
            self.blocks.truncate(self.kept);
            self.blocks.shrink_to_fit();
        }
        done
    }

    /// The same, and keeps the blocks for the next one.
    ///
    /// # Errors
    /// When there is no such memory.
    pub(super) fn with_usual<T>(
        &mut self,
        params: &Params,
        compute: impl FnOnce(&mut [Block]) -> Result<T, argon2::Error>,
    ) -> Result<T, argon2::Error> {
        self.kept = params.block_count();
        self.with(params, compute)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(memory: u32) -> Params {
        Params::new(memory, 1, 1, None).expect("good parameters")
    }

    #[test]
    fn memory_is_kept_for_the_usual_hash_and_given_back_after_a_greater_one() {
        let mut memory = Memory::default();
        let usual = memory.with_usual(&params(64), |blocks| Ok(blocks.len()));
        assert_eq!((usual, memory.blocks.capacity()), (Ok(64), 64));
        let greater = memory.with(&params(1024), |blocks| Ok(blocks.len()));
        assert_eq!((greater, memory.blocks.capacity()), (Ok(1024), 64));
        let smaller = memory.with(&params(32), |blocks| Ok(blocks.len()));
        assert_eq!((smaller, memory.blocks.len()), (Ok(32), 64));
    }

    #[tokio::test]
    async fn a_panic_is_one_answer_that_does_not_come() {
        let workers = Workers::start(1).expect("a thread");
        for _ in 0..3 {
            let died = workers.run(|_| panic!("as ordered")).await;
            assert!(died.map(|(): ()| ()).is_err());
        }
        assert_eq!(workers.run(|_| 7).await.expect("the thread lives"), 7);
    }
}
