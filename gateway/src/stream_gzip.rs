//! gzip of a stream: whatever is there at once is compressed together and sent, and nothing waits for more.

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::stream::{self, BoxStream};
use futures::{FutureExt as _, Stream, StreamExt as _};
use std::io::Write as _;

/// So much is taken together before it is sent.
const AT_ONCE: usize = 64 * 1024;

struct Zip {
    stream: BoxStream<'static, Bytes>,
    /// Gone when the stream is over.
    encoder: Option<GzEncoder<Vec<u8>>>,
}

/// The stream, compressed.
pub(crate) fn gzip(
    stream: impl Stream<Item = Bytes> + Send + 'static,
) -> impl Stream<Item = Bytes> + Send {
    let zip = Zip {
        stream: stream.boxed(),
        encoder: Some(GzEncoder::new(Vec::new(), Compression::fast())),
    };
    stream::unfold(zip, |mut zip| async move {
        let bytes = zip.next().await?;
        Some((bytes, zip))
    })
}

impl Zip {
    async fn next(&mut self) -> Option<Bytes> {
        let encoder = self.encoder.as_mut()?;
        let mut taken = 0;
        let mut next = self.stream.next().await;
        while let Some(bytes) = next {
            taken += bytes.len();
            // Writing to memory does not fail.
            let _ = encoder.write_all(&bytes);
            let more = (taken < AT_ONCE).then(|| self.stream.next().now_or_never());
            let Some(more) = more.flatten() else {
                let _ = encoder.flush();
                return Some(std::mem::take(encoder.get_mut()).into());
            };
            next = more;
        }
        let encoder = self.encoder.take()?;
        encoder.finish().ok().map(Bytes::from)
    }
}
