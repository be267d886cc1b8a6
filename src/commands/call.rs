//! How commands make calls: queries, streams and operations, each with what a person sees meanwhile.

mod carry_out;
mod kept;

use std::io;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use orocloud_protocol::window::Window;
use orocloud_protocol::{
    Call, CallError, CallId, EnvironmentName, EnvironmentType, ErrorKind, Event, EventBody, Hello, Kind,
    Plan, operation,
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{versions, windows};
use crate::cli::{ListArgs, OperationArgs, duration};
use crate::config::{Config, Sources};
use crate::connection::{CallFailure, Client, Ending, Flow, Outgoing, Resume, Signals, Watcher};
use crate::output::progress::Progress;
use crate::output::{Failure, Format, Ui};

pub use carry_out::{carry_out, show_dry_run};

/// What a command works with.
pub struct Context {
    /// Where its output goes.
    pub ui: Ui,
    sources: Sources,
    config: Option<Config>,
    client: Option<Client>,
    environment: Option<EnvironmentName>,
    /// Whether further commands follow on the same connection: the shell's.
    is_shell: bool,
}

/// How an operation ended for us.
pub enum Finished<A> {
    /// With its answer, after this time.
    Answer(A, Duration),
    /// It was left running, as was wished.
    Detached,
}

/// How a stream ended for us.
pub enum Streamed<A> {
    /// With its answer.
    Answer(A),
    /// By Ctrl-C.
    Interrupted,
    /// By the time that was set.
    TimedOut,
}

/// After a first Ctrl-C a second one is awaited for so long.
const SECOND_CTRL_C: Duration = Duration::from_millis(1500);

impl Context {
    /// A context that has read no configuration yet.
    pub fn new(ui: Ui, sources: Sources) -> Self {
        Self { ui, sources, config: None, client: None, environment: None, is_shell: false }
    }

    /// Where configuration comes from.
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// The configuration, read once.
    pub fn config(&mut self) -> Result<&Config, CallError> {
        let config = match self.config.take() {
            Some(config) => config,
            None => Config::load(self.sources.clone())?,
        };
        Ok(self.config.insert(config))
    }

    fn client(&mut self) -> Result<Client, CallError> {
        match self.client.take() {
            Some(client) => Ok(client),
            None => {
                let destination = self.config()?.destination()?;
                self.environment.clone_from(&destination.name);
                let mut client = Client::new(destination);
                if self.is_shell {
                    client.keep_open();
                }
                Ok(client)
            }
        }
    }

    /// The environment's name in messages.
    pub fn environment_label(&self) -> String {
        self.environment.as_ref().map_or_else(|| "localhost".to_owned(), ToString::to_string)
    }

    /// The line under a list of the environment.
    pub fn list_footer(&mut self, total: u64, list: ListArgs) {
        let environment = self.environment_label();
        self.ui.list_footer(&environment, total, list.page, list.per_page);
    }

    /// The environment's name, configured or told by its agent.
    pub fn environment(&self) -> Option<EnvironmentName> {
        self.environment.clone()
    }

    /// Whether the guards of `prod` hold: also where the agent did not say.
    pub fn is_prod(&self) -> bool {
        let kind = self.client.as_ref().and_then(Client::hello).and_then(|hello| hello.environment_type);
        kind.is_none_or(|kind| kind == EnvironmentType::Prod)
    }

    fn make(
        &mut self,
        outgoing: &mut Outgoing,
        watcher: &mut dyn FnMut(&mut Ui) -> Box<dyn Watch>,
        signals: Option<&mut Signals>,
    ) -> Result<Ending, CallFailure> {
        let mut client = self.client()?;
        let name = self.environment_label();
        let mut watch = watcher(&mut self.ui);
        let mut shown = Shown { ui: &mut self.ui, watch: watch.as_mut(), name };
        let result = client.call(outgoing, &mut shown, signals);
        watch.finish(&mut self.ui);
        if let Some(hello) = client.hello() {
            if self.environment.is_none() {
                self.environment.clone_from(&hello.environment);
            }
            versions::remember(self.environment.as_ref(), hello);
        }
        self.client = Some(client);
        result
    }

    /// Makes a query.
    pub fn query<C: Call>(&mut self, params: &C::Params) -> Result<C::Answer, Failure> {
        let outgoing = outgoing::<C>(new_id(), params, Resume::Repeat)?;
        self.ask(outgoing).and_then(answer::<C>)
    }

    /// Makes a call that answers at once. Ctrl-C ends this program, or in a shell the call alone.
    fn ask(&mut self, mut outgoing: Outgoing) -> Result<Value, Failure> {
        let mut signals = if self.is_shell { Some(Signals::listen(None)?) } else { None };
        match self.make(&mut outgoing, &mut |_| Box::new(Nothing), signals.as_mut())? {
            Ending::Answer(value) => Ok(value),
            Ending::Left | Ending::Cancel | Ending::TimedOut => Err(CallError::refused("interrupted").into()),
        }
    }

    /// Asks what an operation would do; `params` must say that it is a dry run.
    pub fn plan<C: Call>(&mut self, params: &C::Params) -> Result<Plan, Failure> {
        let mut outgoing = outgoing::<C>(new_id(), params, Resume::Repeat)?;
        outgoing.kind = Kind::Query;
        self.ask(outgoing).and_then(|value| read(C::METHOD, value))
    }

    /// Follows a stream. `each` shows an event; `again` is the exit code of a second Ctrl-C while the first is stuck.
    pub fn stream<C: Call>(
        &mut self,
        params: &C::Params,
        resume: Resume,
        again: u8,
        timeout: Option<Duration>,
        each: impl FnMut(&mut Ui, &Event) -> io::Result<()> + 'static,
    ) -> Result<Streamed<C::Answer>, Failure> {
        // A shell outlives its streams.
        let mut signals = Signals::listen(Some(again).filter(|_| !self.is_shell))?;
        if resume == Resume::Cursor {
            signals.watch_output();
        }
        let mut outgoing = outgoing::<C>(new_id(), params, resume)?;
        outgoing.deadline = timeout.map(|timeout| Instant::now() + timeout);
        let mut each = Some(each);
        let ending = self.make(
            &mut outgoing,
            &mut |_| match each.take() {
                Some(each) => Box::new(Each(each)),
                None => Box::new(Nothing),
            },
            Some(&mut signals),
        )?;
        match ending {
            Ending::Answer(value) => answer::<C>(value).map(Streamed::Answer),
            Ending::Left | Ending::Cancel => Ok(Streamed::Interrupted),
            Ending::TimedOut => Ok(Streamed::TimedOut),
        }
    }

    /// Runs an operation and shows it.
    pub fn operation<C: Call>(
        &mut self,
        params: &C::Params,
        options: &OperationArgs,
    ) -> Result<Finished<C::Answer>, Failure> {
        let began = Instant::now();
        let id = options.operation_id.unwrap_or_else(new_id);
        if options.operation_id.is_none() {
            if self.ui.format == Format::Json {
                self.ui.err_json(&serde_json::json!({ "operation": id }));
            } else {
                self.ui.note(&format!("Operation {id}"));
            }
        }
        let mut signals = Signals::listen(None)?;
        let mut outgoing = outgoing::<C>(id, params, Resume::Repeat)?;
        outgoing.deadline = options.timeout.map(|timeout| began + timeout);
        let detach = options.detach;
        let mut cancelled = false;
        loop {
            let ending = self.make(
                &mut outgoing,
                &mut |ui| Box::new(Running { progress: Progress::start(ui), detach, cancelled }),
                Some(&mut signals),
            );
            let ending = match ending {
                Err(CallFailure::Call(refused)) if self.starts_anyway(&refused) => {
                    if let Some(options) = outgoing.params.get_mut("options").and_then(Value::as_object_mut) {
                        options.insert("ignore_window".to_owned(), true.into());
                    }
                    continue;
                }
                ending => ending?,
            };
            // From here on the agent knows the id: asking again attaches.
            outgoing.resume = Resume::Sequence;
            match ending {
                Ending::Answer(value) => return Ok(Finished::Answer(answer::<C>(value)?, began.elapsed())),
                Ending::Left if detach => {
                    self.ui.line(&id.to_string())?;
                    return Ok(Finished::Detached);
                }
                Ending::Left => return Err(still_running("left on Ctrl-C", id).into()),
                Ending::TimedOut => {
                    let limit = options.timeout.map_or(0, |timeout| timeout.as_secs());
                    return Err(
                        still_running(&format!("not ended after {}", duration::about(limit)), id).into()
                    );
                }
                Ending::Cancel => {
                    self.ui.note("Cancelling …");
                    let params = operation::CancelParams { operation: id, give_up: false };
                    let answer =
                        self.query::<operation::Cancel>(&params).map_err(|failure| match failure {
                            Failure::Call(error) => {
                                let mut still = still_running("not cancelled", id).because(&error.message);
                                still.causes.extend(error.causes);
                                still.into()
                            }
                            failure => failure,
                        })?;
                    if !answer.cancelled {
                        self.ui.warn("it is past the point from which it can be undone, and goes on");
                    }
                    cancelled = true;
                }
            }
        }
    }

    /// Whether this is the refusal for a maintenance window, and a person wants to start all the same.
    fn starts_anyway(&mut self, refused: &CallError) -> bool {
        let is_window = refused.details.as_ref().is_some_and(|details| details.get("window").is_some());
        if refused.kind != ErrorKind::Refused || !is_window || !self.ui.can_ask() {
            return false;
        }
        self.ui.warn(&crate::output::escape::strip(&refused.message));
        for cause in &refused.causes {
            self.ui.note(&format!("  {}", crate::output::escape::strip(cause)));
        }
        self.ui.agrees("Start it all the same?")
    }

    /// The end that every operation has that was watched to it.
    pub fn succeeded(&mut self, took: Duration) -> u8 {
        Progress::succeeded(&mut self.ui, took);
        0
    }
}

/// An operation goes on without us.
pub fn still_running(how: &str, id: CallId) -> CallError {
    CallError::new(ErrorKind::StillRunning, format!("{how}, and still running: {id}"))
        .hint(format!("follow it: orocloud-cli log:view --follow {id}"))
        .hint(format!("or cancel it: orocloud-cli operation:cancel {id}"))
}

/// A fresh id.
pub fn new_id() -> CallId {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut random = [0; 16];
    // Without randomness of the system nothing here would be safe; the clock's nanoseconds still keep ids apart.
    if getrandom::fill(&mut random).is_err() {
        random = now.as_nanos().to_ne_bytes();
    }
    CallId::from_parts(u64::try_from(now.as_millis()).unwrap_or(0), u128::from_ne_bytes(random))
}

fn outgoing<C: Call>(id: CallId, params: &C::Params, resume: Resume) -> Result<Outgoing, CallError> {
    let params = serde_json::to_value(params)
        .map_err(|error| CallError::internal("cannot write the request").because(error))?;
    Ok(Outgoing { id, method: C::METHOD, params, kind: C::KIND, resume, deadline: None, seen: 0 })
}

fn answer<C: Call>(value: Value) -> Result<C::Answer, Failure> {
    read(C::METHOD, value)
}

fn read<A: DeserializeOwned>(method: &str, value: Value) -> Result<A, Failure> {
    serde_json::from_value(value).map_err(|error| {
        CallError::new(ErrorKind::ProtocolMismatch, format!("the answer to {method} cannot be read"))
            .because(error)
            .hint("compare the versions of both sides: orocloud-cli --version")
            .into()
    })
}

/// What a kind of call shows.
trait Watch {
    fn event(&mut self, ui: &mut Ui, event: &Event) -> io::Result<Flow>;

    fn interrupted(&mut self, _: &mut Ui, _: usize, _: Option<&Hello>) -> Flow {
        Flow::Leave
    }

    fn finish(&mut self, _: &mut Ui) {}
}

/// A query shows nothing.
struct Nothing;

impl Watch for Nothing {
    fn event(&mut self, _: &mut Ui, _: &Event) -> io::Result<Flow> {
        Ok(Flow::Continue)
    }
}

/// A stream shows each event.
struct Each<F>(F);

impl<F: FnMut(&mut Ui, &Event) -> io::Result<()>> Watch for Each<F> {
    fn event(&mut self, ui: &mut Ui, event: &Event) -> io::Result<Flow> {
        (self.0)(ui, event).map(|()| Flow::Continue)
    }
}

/// An operation shows its progress.
struct Running {
    progress: Progress,
    detach: bool,
    cancelled: bool,
}

impl Watch for Running {
    fn event(&mut self, ui: &mut Ui, event: &Event) -> io::Result<Flow> {
        if self.detach {
            // Any event says that the operation exists.
            return Ok(match event.body {
                EventBody::Unknown => Flow::Continue,
                _ => Flow::Leave,
            });
        }
        self.progress.event(ui, event)?;
        Ok(Flow::Continue)
    }

    fn interrupted(&mut self, ui: &mut Ui, times: usize, agent: Option<&Hello>) -> Flow {
        let is_prod =
            agent.and_then(|hello| hello.environment_type).is_none_or(|kind| kind == EnvironmentType::Prod);
        if is_prod || self.cancelled {
            Flow::Leave
        } else if times > 1 {
            Flow::Cancel
        } else {
            ui.note("Leaving it to run. Press Ctrl-C again now to cancel it instead.");
            Flow::LeaveAfter(SECOND_CTRL_C)
        }
    }

    fn finish(&mut self, ui: &mut Ui) {
        self.progress.finish(ui);
    }
}

/// Joins what a kind of call shows with what all of them do.
struct Shown<'a> {
    ui: &'a mut Ui,
    watch: &'a mut dyn Watch,
    name: String,
}

impl Watcher for Shown<'_> {
    fn event(&mut self, event: &Event) -> io::Result<Flow> {
        self.watch.event(self.ui, event)
    }

    fn within(&mut self, open_windows: &[Window]) -> io::Result<()> {
        for window in open_windows {
            self.ui.note(&windows::notice(window, &jiff::tz::TimeZone::system()));
        }
        Ok(())
    }

    fn lost(&mut self, why: &str, limit: Duration) -> io::Result<()> {
        let limit = duration::about(limit.as_secs());
        self.ui.warn(&format!("the connection to {} was lost ({why}); trying again for {limit}", self.name));
        Ok(())
    }

    fn regained(&mut self, away: Duration) -> io::Result<()> {
        let away = duration::about(away.as_secs());
        self.ui.note(&format!("Connected to {} again after {away}.", self.name));
        Ok(())
    }

    fn interrupted(&mut self, times: usize, agent: Option<&Hello>) -> io::Result<Flow> {
        Ok(self.watch.interrupted(self.ui, times, agent))
    }

    fn unlock(&mut self, key: &Path, attempt: u32) -> Option<String> {
        self.ui.passphrase(key, attempt)
    }
}
