//! The body of a method that takes a stream: a message a line (NDJSON) or a row (CSV), each sent on as soon as it is there.

use crate::body;
use crate::memory::{Held, UNIT};
use crate::pipe::{Closed, Sender};
use crate::problem::{Problem, reason};
use crate::unzip::Unzip;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http_body::Body;
use http_body_util::BodyExt as _;
use std::pin::Pin;
use std::time::Duration;
use tonic::Code;

/// What a stream of messages is held to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// The longest line or row, in bytes. There may be any number of them.
    pub(crate) most: usize,
    /// How long may pass between two pieces of the body.
    pub(crate) longest: Duration,
    /// How long the service may take no message.
    pub(crate) stalled: Duration,
    /// Whether the body is packed.
    pub(crate) is_gzip: bool,
}

/// How a body tells its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// JSON, a message a line.
    Lines,
    /// CSV: a header row, then a message a row.
    Rows,
}

impl Form {
    /// What the body says that it is. CONTENT_TYPE unless it is one of the two, in UTF-8 and compressed by nothing but gzip.
    pub(crate) fn sent(headers: &HeaderMap) -> Result<Self, Problem> {
        body::check_encoding(headers)?;
        let mut values = headers.get_all(CONTENT_TYPE).iter();
        let text = values.next().and_then(|value| value.to_str().ok());
        let text = text.unwrap_or_default().to_ascii_lowercase();
        let mut parts = text.split(';').map(str::trim);
        let form = match parts.next().unwrap_or_default() {
            "application/x-ndjson" | "application/ndjson" | "application/jsonl" => {
                Some(Self::Lines)
            }
            "text/csv" => Some(Self::Rows),
            _ => None,
        };
        let is_read = parts.all(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let value = value.trim().trim_matches('"');
            match name.trim() {
                "charset" => matches!(value, "utf-8" | "us-ascii"),
                // Without it nobody knows what a column is.
                "header" => value == "present",
                _ => true,
            }
        });
        form.filter(|_| is_read && values.next().is_none())
            .ok_or_else(|| {
                let message = "the body must be application/x-ndjson, a message a line, or text/csv with a header row; in UTF-8";
                Problem::new(Code::InvalidArgument, reason::CONTENT_TYPE, message)
            })
    }
}

/// Reads the lines or rows, has each made a message (the header row may be none), and hands it on. Ends when the body
/// does, or when nobody wants more. A fault tells its line. `take` gives memory for so many octets that wait.
pub(crate) async fn pump<B: Body<Data = Bytes>>(
    form: Form,
    mut body: Pin<&mut B>,
    bounds: Bounds,
    bind: impl FnMut(u64, &[u8]) -> Result<Option<Bytes>, Problem>,
    take: impl FnMut(usize) -> Result<Option<Held>, Problem>,
    messages: &Sender,
) -> Result<(), Problem> {
    let mut unzip = bounds.is_gzip.then(Unzip::new);
    let mut lines = Lines {
        cutter: Cutter::new(form),
        bounds,
        bind,
        take,
        held: Vec::new(),
        taken: 0,
        messages,
    };
    loop {
        let frame = tokio::time::timeout(bounds.longest, body.frame())
            .await
            .map_err(|_| {
                let message = "the body did not go on in time";
                Problem::new(Code::DeadlineExceeded, reason::BODY_TIMEOUT, message)
            })?;
        let Some(frame) = frame else { break };
        let frame = frame.map_err(|_| malformed("the body was cut off"))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        let Some(unzip) = &mut unzip else {
            if !lines.hand_on(&data).await? {
                return Ok(());
            }
            continue;
        };
        for piece in unzip.pieces(&data) {
            if !lines.hand_on(&piece?).await? {
                return Ok(());
            }
            // Much may come of little, and others wait for the same core.
            tokio::task::yield_now().await;
        }
    }
    if let Some(unzip) = &mut unzip
        && !lines.hand_on(&unzip.finish()?).await?
    {
        return Ok(());
    }
    lines.end().await
}

/// A body, as far as it has come.
struct Lines<'p, F, M> {
    cutter: Cutter,
    bounds: Bounds,
    bind: F,
    take: M,
    /// The memory of the line that is not complete, in octets `taken`.
    held: Vec<Held>,
    taken: usize,
    messages: &'p Sender,
}

impl<F, M> Lines<'_, F, M>
where
    F: FnMut(u64, &[u8]) -> Result<Option<Bytes>, Problem>,
    M: FnMut(usize) -> Result<Option<Held>, Problem>,
{
    /// Takes some more of it. `false` when nobody wants more.
    async fn hand_on(&mut self, data: &[u8]) -> Result<bool, Problem> {
        self.cutter.rest.extend_from_slice(data);
        while let Some((number, piece)) = self.cutter.cut() {
            if piece.trim_ascii().is_empty() {
                continue;
            }
            if piece.len() > self.bounds.most {
                return Err(too_long(number, self.bounds.most));
            }
            let message =
                (self.bind)(number, &piece).map_err(|problem| in_line(number, problem))?;
            let Some(message) = message else { continue };
            let sent = tokio::time::timeout(self.bounds.stalled, self.messages.send(message)).await;
            match sent {
                Ok(Ok(())) => {}
                Ok(Err(Closed)) => return Ok(false),
                Err(_) => {
                    let message = "the service did not take the next message in time";
                    return Err(Problem::new(
                        Code::DeadlineExceeded,
                        reason::DEADLINE,
                        message,
                    ));
                }
            }
        }
        let waiting = self.cutter.rest.len();
        if waiting > self.bounds.most {
            return Err(too_long(self.cutter.number, self.bounds.most));
        }
        if waiting < UNIT {
            self.held.clear();
            self.taken = 0;
        } else if waiting > self.taken {
            let grown = waiting.next_power_of_two();
            self.held.extend((self.take)(grown - self.taken)?);
            self.taken = grown;
        }
        Ok(true)
    }

    /// The last line may do without its end.
    async fn end(mut self) -> Result<(), Problem> {
        if self.hand_on(b"\n").await? && self.cutter.quoted {
            return Err(in_line(
                self.cutter.number,
                malformed("a quote is not closed"),
            ));
        }
        Ok(())
    }
}

/// Cuts a body into lines or rows while it comes.
struct Cutter {
    form: Form,
    rest: BytesMut,
    /// How far there is no end: nothing is looked at twice.
    seen: usize,
    /// Whether `seen` is inside of quotes, where an end of line ends no row.
    quoted: bool,
    /// The line that the next piece begins in.
    number: u64,
    /// The ends of lines in that piece so far.
    inside: u64,
}

impl Cutter {
    fn new(form: Form) -> Self {
        Self {
            form,
            rest: BytesMut::new(),
            seen: 0,
            quoted: false,
            number: 1,
            inside: 0,
        }
    }

    /// The next piece and the line that it begins in; `None` until its end has come.
    fn cut(&mut self) -> Option<(u64, BytesMut)> {
        for (index, byte) in self.rest.iter().enumerate().skip(self.seen) {
            match byte {
                b'"' if self.form == Form::Rows => self.quoted = !self.quoted,
                b'\n' => {
                    self.inside += 1;
                    if !self.quoted {
                        let number = self.number;
                        self.number += self.inside;
                        (self.seen, self.inside) = (0, 0);
                        return Some((number, self.rest.split_to(index + 1)));
                    }
                }
                _ => {}
            }
        }
        self.seen = self.rest.len();
        None
    }
}

fn malformed(message: &'static str) -> Problem {
    Problem::new(Code::InvalidArgument, reason::MESSAGE_MALFORMED, message)
}

fn too_long(number: u64, most: usize) -> Problem {
    let message = format!("line {number} has more than {most} bytes");
    Problem::new(Code::ResourceExhausted, reason::MESSAGE_TOO_LARGE, message)
}

fn in_line(number: u64, problem: Problem) -> Problem {
    Problem {
        message: format!("line {number}: {}", problem.message).into(),
        ..problem
    }
}
