//! What a call has of its connection: events out, and for bulk data frames in.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use orocloud_protocol::{CallError, CallId, ErrorKind, Event, EventBody, MAX_LINE, Notification, encode};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::outlet::{Gone, Outlet};

/// A call's way to send events. Cheap to clone.
#[derive(Clone, Debug)]
pub struct EventStream {
    call: CallId,
    after_seq: u64,
    seq: Arc<AtomicU64>,
    outlet: Arc<Outlet>,
    /// The caller said so.
    asked: CancellationToken,
    /// The caller said so, or is gone.
    end: CancellationToken,
}

impl From<Gone> for CallError {
    fn from(_: Gone) -> Self {
        Self::new(ErrorKind::StillRunning, "the caller is gone")
    }
}

impl EventStream {
    pub(super) fn new(call: CallId, after_seq: u64, outlet: Arc<Outlet>) -> Self {
        let (asked, end) = (CancellationToken::new(), CancellationToken::new());
        Self { call, after_seq, seq: Arc::default(), outlet, asked, end }
    }

    /// The call's id.
    pub fn call(&self) -> CallId {
        self.call
    }

    /// The caller has the events up to this one already.
    pub fn after_seq(&self) -> u64 {
        self.after_seq
    }

    /// Set when the caller wants no more, or is gone.
    pub fn end(&self) -> &CancellationToken {
        &self.end
    }

    /// Set when the caller asked for the end of this call, and only then.
    pub fn asked_to_end(&self) -> &CancellationToken {
        &self.asked
    }

    /// Sends one event, numbered and timed here; waits while the caller does not take it.
    pub async fn send(&self, body: EventBody) -> Result<(), Gone> {
        let seq = self.seq.fetch_add(1, Ordering::Relaxed) + 1;
        self.forward(Event { call: self.call, seq, at: Timestamp::now(), body }).await
    }

    /// Sends an event that has its number and time already.
    pub async fn forward(&self, event: Event) -> Result<(), Gone> {
        self.outlet.send(&line_of(event)).await
    }

    /// Runs a stream that writes into a channel, and sends what comes out of it.
    pub async fn pour<T, F: Future<Output = Result<T, CallError>>>(
        &self,
        stream: impl FnOnce(mpsc::Sender<EventBody>, CancellationToken) -> F,
    ) -> Result<T, CallError> {
        let (sender, mut receiver) = mpsc::channel(64);
        let running = stream(sender, self.end.clone());
        tokio::pin!(running);
        let mut answer = None;
        loop {
            tokio::select! {
                outcome = &mut running, if answer.is_none() => answer = Some(outcome),
                event = receiver.recv() => match event {
                    Some(event) => if self.send(event).await.is_err() { receiver.close(); },
                    None => break,
                },
            }
        }
        match answer {
            Some(answer) => answer,
            None => running.await,
        }
    }
}

/// An event as a line; one that is too long for the wire says so instead.
fn line_of(event: Event) -> Vec<u8> {
    let (call, seq, at) = (event.call, event.seq, event.at);
    let line = encode(&Notification::Event(event));
    if line.len() <= MAX_LINE {
        return line;
    }
    let text = format!("an event of {} bytes is too long to be shown", line.len());
    let body = EventBody::Note { level: orocloud_protocol::NoteLevel::Warning, text };
    encode(&Notification::Event(Event { call, seq, at, body }))
}

/// The way in from a client: lines, or frames of bulk data.
pub struct Inlet {
    reader: BufReader<Box<dyn AsyncRead + Send + Sync + Unpin>>,
    line: Vec<u8>,
}

/// Why there is no further line.
#[derive(Debug, PartialEq, Eq)]
pub enum LineFault {
    /// The other side writes no more.
    End,
    /// It exceeds [`MAX_LINE`]; where the next one begins nobody knows.
    TooLong,
}

impl std::fmt::Debug for Inlet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Inlet")
    }
}

impl Inlet {
    /// Reads from here.
    pub fn new(reader: impl AsyncRead + Send + Sync + Unpin + 'static) -> Self {
        Self { reader: BufReader::with_capacity(16 * 1024, Box::new(reader)), line: Vec::new() }
    }

    /// The next line, without its newline. May be dropped and called again.
    pub async fn line(&mut self) -> Result<Vec<u8>, LineFault> {
        loop {
            // An error of a socket is its end.
            let available = self.reader.fill_buf().await.unwrap_or_default();
            if available.is_empty() {
                // Half a line is nothing.
                return Err(LineFault::End);
            }
            let newline = available.iter().position(|byte| *byte == b'\n');
            let taken = newline.map_or(available.len(), |at| at + 1);
            if self.line.len() + taken > MAX_LINE {
                return Err(LineFault::TooLong);
            }
            self.line.extend_from_slice(&available[..taken]);
            self.reader.consume(taken);
            if newline.is_some() {
                self.line.pop();
                return Ok(std::mem::take(&mut self.line));
            }
        }
    }

    /// The next frame of bulk data into `buffer`; `false` after the last one.
    pub async fn frame(&mut self, buffer: &mut Vec<u8>) -> std::io::Result<bool> {
        let length = self.reader.read_u32().await? as usize;
        if length > MAX_LINE {
            return Err(std::io::Error::new(
                std::io::ErrorKind::InvalidData,
                format!("a frame of {length} bytes is longer than {MAX_LINE}"),
            ));
        }
        buffer.resize(length, 0);
        self.reader.read_exact(buffer).await?;
        Ok(length > 0)
    }
}

/// What a call has of its connection.
#[derive(Debug)]
pub struct Exchange {
    /// Events out.
    pub events: EventStream,
    pub(super) inlet: Option<Inlet>,
}

impl Exchange {
    /// Asks for bulk data; frames may be read then.
    pub async fn ready_to_receive(&mut self) -> Result<&mut Inlet, CallError> {
        self.events.send(EventBody::Ready { direction: "send".to_owned() }).await?;
        self.inlet.as_mut().ok_or_else(|| CallError::internal("this call takes no bulk data"))
    }
}
