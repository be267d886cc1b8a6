//! Bytes that a program writes, as output events.

use orocloud_protocol::{EventBody, OutputStream};

use crate::operations::EventSink;

/// The longest text in one event, in bytes; one byte that is not UTF-8 becomes three.
const MAX: usize = 64 * 1024;

/// Turns pieces of bytes into events; a character that is cut between two pieces stays whole.
pub struct Output {
    events: EventSink,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Output {
    /// Sends to this sink.
    pub fn new(events: &EventSink) -> Self {
        Self { events: events.clone(), stdout: Vec::new(), stderr: Vec::new() }
    }

    /// The next piece.
    pub fn write(&mut self, stream: OutputStream, bytes: &[u8]) {
        for piece in bytes.chunks(MAX / 3 - 4) {
            let pending = match stream {
                OutputStream::Stdout => &mut self.stdout,
                OutputStream::Stderr => &mut self.stderr,
            };
            pending.extend_from_slice(piece);
            let whole = pending.len() - unfinished(pending);
            let text = String::from_utf8_lossy(&pending[..whole]).into_owned();
            pending.drain(..whole);
            self.emit(stream, text);
        }
    }

    /// One line of our own, as if the program had written it.
    pub fn line(&mut self, text: &str) {
        self.emit(OutputStream::Stdout, format!("{text}\n"));
    }

    fn emit(&self, stream: OutputStream, text: String) {
        if !text.is_empty() {
            self.events.emit(EventBody::Output { stream, text, step: None, node: None });
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        for (stream, pending) in [(OutputStream::Stdout, &self.stdout), (OutputStream::Stderr, &self.stderr)]
        {
            self.emit(stream, String::from_utf8_lossy(pending).into_owned());
        }
    }
}

/// How many bytes at the end begin a character that is not complete; at most three.
fn unfinished(bytes: &[u8]) -> usize {
    for back in 1..=bytes.len().min(3) {
        let byte = bytes[bytes.len() - back];
        let length = match byte {
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            0x80..=0xbf => continue,
            _ => return 0,
        };
        return if length > back { back } else { 0 };
    }
    0
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn characters_stay_whole_and_pieces_small() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let keep = seen.clone();
        let events = EventSink::new(move |event| {
            if let EventBody::Output { text, .. } = event {
                keep.lock().unwrap().push(text);
            }
        });
        let mut output = Output::new(&events);
        let text = "prix: 5 € – 😀\n".repeat(5000);
        for piece in text.as_bytes().chunks(7) {
            output.write(OutputStream::Stdout, piece);
        }
        output.write(OutputStream::Stdout, b"\xff\xe2\x82");
        output.write(OutputStream::Stderr, &vec![b'x'; 200_000]);
        drop(output);
        let seen = seen.lock().unwrap();
        assert!(seen.iter().all(|text| text.len() <= MAX));
        let all = seen.concat();
        assert!(all.starts_with(&text));
        assert_eq!(all.matches('\u{fffd}').count(), 2);
    }
}
