//! Sockets, callers, policy, dispatch, audit.
