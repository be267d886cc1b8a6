//! The wire that `orocloud-cli` and the agents share: JSON-RPC 2.0, one object a line.
//!
//! Every call stands here first, in the file of its topic, with its parameters, its answer, its kind, the
//! least role and the locks it takes. [`calls`] lists them all; from there the compiler leads to each place
//! that has to know a new one. The crate knows no socket, no file and no terminal.

mod call;
mod error;
mod event;
mod id;
mod message;
mod names;
mod plan;
mod role;

pub mod backup;
pub mod calls;
pub mod deploy;
pub mod environment;
pub mod log;
pub mod log_block;
pub mod maintenance;
pub mod node;
pub mod operation;
pub mod package;
pub mod queue;
pub mod release;
pub mod service;
pub mod smtp;
pub mod status;
pub mod upgrade;
pub mod window;

pub use call::{Call, Kind, Lock, LockMode, Page, Resource};
pub use error::{CallError, ErrorKind};
pub use event::{Event, EventBody, NoteLevel, OutputStream, StepOutcome, Unit};
pub use id::CallId;
pub use message::{
    Hello, Incoming, MAX_LINE, Notification, PROTOCOLS, ProtocolMismatch, Request, Response, SIGN_OF_LIFE,
    SILENCE, agree, decode, encode,
};
pub use names::{
    ContentHash, DkimSelector, EnvironmentName, EnvironmentType, InvalidName, Label, MailAddress, MailDomain,
    MailHost, MailUser, NodeName, PackageTag, PointName, QueueName, Reference, RelayName, ReleaseName,
    Secret, ServiceName, SourceName,
};
pub use plan::{Confirmation, OperationOptions, Plan, PlannedStep};
pub use role::{NodeRole, Principal, Role, Scope};

/// Version of this build, as told in `hello` and by `--version`.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
