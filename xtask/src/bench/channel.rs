//! One open channel to the coordinator, over OpenSSH's own client: what a call costs apart from its connection.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use orocloud_protocol::{Call, CallId, Hello, Incoming, Notification, Request, decode, encode};

use super::Result;

/// It is open until this is dropped.
pub struct Channel {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    calls: u128,
}

impl Channel {
    /// Opens the subsystem with this client, which names the host already.
    pub fn open(mut ssh: Command) -> Result<Self> {
        let mut child = ssh.args(["-s", "orocloud"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut input = child.stdin.take().ok_or("no input")?;
        let output = BufReader::new(child.stdout.take().ok_or("no output")?);
        input.write_all(&encode(&Notification::Hello(Hello::ours())))?;
        // Unique among all that are opened.
        let calls = u128::from(child.id()) << 32;
        Ok(Self { child, input, output, calls })
    }

    /// Sends a call.
    pub fn send<C: Call>(&mut self, params: &C::Params) -> Result<CallId> {
        self.calls += 1;
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
        let id = CallId::from_parts(u64::try_from(now)?, self.calls);
        let request = Request::new(id, C::METHOD, serde_json::to_value(params)?);
        self.input.write_all(&encode(&request))?;
        Ok(id)
    }

    /// The next line.
    pub fn next(&mut self) -> Result<Incoming> {
        let mut line = Vec::new();
        // A blank line is a sign of life.
        while line.trim_ascii().is_empty() {
            line.clear();
            if self.output.read_until(b'\n', &mut line)? == 0 {
                return Err("the agent has ended the connection".into());
            }
        }
        Ok(decode(&line)?)
    }

    /// Makes a query.
    pub fn call<C: Call>(&mut self, params: &C::Params) -> Result<C::Answer> {
        let id = self.send::<C>(params)?;
        loop {
            if let Incoming::Response(response) = self.next()?
                && response.id == Some(id)
            {
                return Ok(serde_json::from_value(response.outcome().map_err(|error| error.to_string())?)?);
            }
        }
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
