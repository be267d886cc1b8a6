//! How bad an entry is, by the words and numbers that the programs of an environment write.

use orocloud_protocol::log::Level;

/// So many words behind the time are looked at; further ones belong to the message.
const WORDS: usize = 8;

/// The level of an entry: `rest` is its first line behind the time.
pub fn of(rest: &[u8]) -> Option<Level> {
    let line = &rest[..memchr::memchr(b'\n', rest).unwrap_or(rest.len()).min(4096)];
    named(line).or_else(|| status(line).map(of_status))
}

/// Monolog's `app.ERROR:`, nginx's `[error]`, PostgreSQL's `ERROR:`, FPM's `WARNING:`, PHP's `PHP Warning:`.
fn named(line: &[u8]) -> Option<Level> {
    line.split(|byte| *byte == b' ').filter(|part| !part.is_empty()).take(WORDS).enumerate().find_map(
        |(place, part)| {
            if let Some(inner) = part.strip_prefix(b"[").and_then(|part| part.strip_suffix(b"]")) {
                return word(inner);
            }
            match part.strip_suffix(b":") {
                Some(inner) => word(inner.rsplit(|byte| *byte == b'.').next().unwrap_or(inner)),
                // A bare word says something only at the very start, and in capitals.
                None => word(part).filter(|_| place == 0 && part.iter().all(u8::is_ascii_uppercase)),
            }
        },
    )
}

/// The level of this name, in any case.
pub fn word(name: &[u8]) -> Option<Level> {
    let mut lower = [0_u8; 12];
    let lower = lower.get_mut(..name.len())?;
    lower.copy_from_slice(name);
    lower.make_ascii_lowercase();
    Some(match &*lower {
        b"debug" | b"debug1" | b"debug2" | b"debug3" | b"debug4" | b"debug5" | b"trace" => Level::Debug,
        b"info" | b"log" => Level::Info,
        b"notice" | b"deprecated" => Level::Notice,
        b"warning" | b"warn" => Level::Warning,
        b"error" | b"err" => Level::Error,
        b"critical" | b"crit" | b"alert" | b"emergency" | b"emerg" | b"fatal" | b"panic" => Level::Critical,
        _ => return None,
    })
}

/// The status of an access log's line: three digits behind the quoted request, or behind HAProxy's timers.
fn status(line: &[u8]) -> Option<u16> {
    let three = |text: &[u8]| {
        let digits = text.get(..3).filter(|text| text.iter().all(u8::is_ascii_digit))?;
        let number = digits.iter().fold(0, |value, byte| value * 10 + u16::from(byte - b'0'));
        (matches!(text.get(3), None | Some(b' ')) && (100..600).contains(&number)).then_some(number)
    };
    memchr::memmem::find_iter(line, b"\" ").find_map(|at| three(&line[at + 2..])).or_else(|| {
        let mut parts = line.split(|byte| *byte == b' ');
        parts
            .by_ref()
            .find(|part| {
                part.iter().filter(|byte| **byte == b'/').count() == 4
                    && part.iter().all(|byte| byte.is_ascii_digit() || matches!(byte, b'/' | b'-' | b'+'))
            })
            .and_then(|_| three(parts.next()?))
    })
}

fn of_status(status: u16) -> Level {
    match status {
        500.. => Level::Error,
        400.. => Level::Warning,
        _ => Level::Info,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_program_says_it_its_own_way() {
        for (rest, level) in [
            (" app.ERROR: it broke {\"a\":1} []", Some(Level::Error)),
            (" doctrine.DEBUG: SELECT 1", Some(Level::Debug)),
            (" php.CRITICAL: Uncaught", Some(Level::Critical)),
            (" [error] 7#7: *1 connect() failed", Some(Level::Error)),
            (" [emerg] 7#7: bind() failed", Some(Level::Critical)),
            (" [12] app@shop ERROR:  deadlock detected", Some(Level::Error)),
            (" [12] LOG:  checkpoint starting: time", Some(Level::Info)),
            (" [12] FATAL:  the database system is starting up", Some(Level::Critical)),
            (" NOTICE: fpm is running, pid 7", Some(Level::Notice)),
            (" WARNING: [pool www] server reached pm.max_children", Some(Level::Warning)),
            (" PHP Warning:  Undefined variable $x in /a.php on line 3", Some(Level::Warning)),
            (" PHP Fatal error:  Uncaught Error in /a.php", Some(Level::Error)),
            (" \"GET / HTTP/1.1\" 200 1234 \"-\" \"curl/7\"", Some(Level::Info)),
            (" 10.0.0.1 \"GET /x HTTP/1.1\" 404 12 0.001 \"curl\"", Some(Level::Warning)),
            (" \"GET /x HTTP/1.1\" 502 0 \"-\" \"-\"", Some(Level::Error)),
            (" lb1 haproxy[1]: 10.0.0.1:1 [x] main web/web1 0/0/1/2/3 503 12 - - ----", Some(Level::Error)),
            (" ERROR something", Some(Level::Error)),
            (" the error was: small", None),
            ("", None),
        ] {
            assert_eq!(of(rest.as_bytes()), level, "{rest}");
        }
    }
}
