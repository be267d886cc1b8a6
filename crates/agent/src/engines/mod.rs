//! One file per outside program: what is wanted of it as typed functions, its machine output parsed, its way of
//! saying no as an enum. An engine knows no call.

pub mod pgbackrest;
pub mod postgres;
pub mod restic;
pub mod supervisor;
pub mod systemd;
