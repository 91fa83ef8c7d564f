//! The messages of a client's stream that wait for a service which is slower: a few, and of few octets.

use bytes::Bytes;
use futures::Stream;
use futures::stream::unfold;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// Where messages go in.
#[derive(Debug)]
pub(crate) struct Sender {
    messages: mpsc::Sender<(Bytes, OwnedSemaphorePermit)>,
    room: Arc<Semaphore>,
    most: u32,
}

/// Nobody takes messages any more.
#[derive(Debug)]
pub(crate) struct Closed;

/// A pipe for so many messages, of so many octets together. A single one may be larger, and then waits alone.
pub(crate) fn pipe(
    messages: usize,
    octets: usize,
) -> (Sender, impl Stream<Item = Bytes> + Send + 'static) {
    let most = u32::try_from(octets).unwrap_or(u32::MAX).max(1);
    let (sender, receiver) = mpsc::channel(messages);
    let sender = Sender {
        messages: sender,
        room: Arc::new(Semaphore::new(most as usize)),
        most,
    };
    let taken = unfold(receiver, |mut receiver: mpsc::Receiver<_>| async move {
        let (message, _room): (Bytes, OwnedSemaphorePermit) = receiver.recv().await?;
        Some((message, receiver))
    });
    (sender, taken)
}

impl Sender {
    /// Puts a message in, as soon as there is room.
    pub(crate) async fn send(&self, message: Bytes) -> Result<(), Closed> {
        let octets = u32::try_from(message.len()).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).acquire_many_owned(octets.min(self.most));
        let room = tokio::select! {
            room = room => room.map_err(|_| Closed)?,
            () = self.messages.closed() => return Err(Closed),
        };
        let sent = self.messages.send((message, room)).await;
        sent.map_err(|_| Closed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{FutureExt as _, StreamExt as _};
    use std::pin::pin;

    #[tokio::test]
    async fn what_waits_is_bounded_by_its_number_and_by_its_octets() {
        let message = |octets: usize| Bytes::from(vec![0; octets]);
        let (sender, taken) = pipe(3, 10);
        let mut taken = pin!(taken);
        let send = |octets| sender.send(message(octets)).now_or_never();
        assert!(send(6).is_some() && send(4).is_some());
        assert!(send(1).is_none(), "ten octets wait already");
        assert_eq!(taken.next().await.unwrap().len(), 6);
        assert!(send(1).is_some() && send(1).is_some());
        assert!(send(1).is_none(), "three messages wait already");
        for octets in [4, 1, 1] {
            assert_eq!(taken.next().await.unwrap().len(), octets);
        }
        assert!(send(1000).is_some(), "a large one waits alone");
        assert!(send(1).is_none());
    }

    #[tokio::test]
    async fn who_waits_for_room_is_told_when_nobody_takes_more() {
        let (sender, taken) = pipe(3, 10);
        sender.send(Bytes::from_static(&[0; 10])).await.unwrap();
        let mut waiting = pin!(sender.send(Bytes::from_static(&[0; 10])));
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(taken);
        assert!(waiting.await.is_err());
    }
}
