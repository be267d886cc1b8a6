//! Why a command ends before its own end.

use std::io;

use orocloud_protocol::CallError;

use crate::connection::CallFailure;

/// Why a command gave no exit code of its own.
#[derive(Debug)]
pub enum Failure {
    /// Something to tell: what, why and what next.
    Call(Box<CallError>),
    /// Stdout could not be written.
    Output(io::Error),
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        Self::Call(Box::new(error))
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl From<CallFailure> for Failure {
    fn from(failure: CallFailure) -> Self {
        match failure {
            CallFailure::Call(error) => error.into(),
            CallFailure::Output(error) => error.into(),
        }
    }
}
