//! Numbers of accounts, for files that are given to them.

use std::ffi::CString;
use std::io;
use std::path::Path;

use orocloud_protocol::CallError;

use crate::process::{Account, Processes};

/// Gives a file or folder to an account; where there are no accounts everything belongs to the agent's already. A
/// link is not followed.
pub fn give(processes: &Processes, path: &Path, account: Account) -> Result<(), CallError> {
    let Some(name) = processes.name(account) else { return Ok(()) };
    let cannot = |error: &dyn std::fmt::Display| {
        CallError::failed(format!("{} cannot be given to {name}", path.display())).because(error)
    };
    let (uid, gid) = numbers(name).map_err(|error| cannot(&error))?;
    std::os::unix::fs::lchown(path, Some(uid), Some(gid)).map_err(|error| cannot(&error))
}

/// User and main group of an account.
pub fn numbers(name: &str) -> io::Result<(u32, u32)> {
    let c_name = CString::new(name)?;
    let mut buffer: Vec<libc::c_char> = vec![0; 16 * 1024];
    // SAFETY: an all-zero passwd is a valid value: numbers and null pointers.
    let mut record: libc::passwd = unsafe { std::mem::zeroed() };
    let mut found = std::ptr::null_mut();
    // SAFETY: all pointers are valid for the call, and the buffer's length is its own.
    let code = unsafe {
        libc::getpwnam_r(c_name.as_ptr(), &raw mut record, buffer.as_mut_ptr(), buffer.len(), &raw mut found)
    };
    match code {
        0 if found.is_null() => {
            Err(io::Error::new(io::ErrorKind::NotFound, format!("there is no account {name}")))
        }
        0 => Ok((record.pw_uid, record.pw_gid)),
        code => Err(io::Error::from_raw_os_error(code)),
    }
}

/// The name of an account.
pub fn name_of(uid: u32) -> Option<String> {
    let mut buffer: Vec<libc::c_char> = vec![0; 16 * 1024];
    // SAFETY: an all-zero passwd is a valid value: numbers and null pointers.
    let mut record: libc::passwd = unsafe { std::mem::zeroed() };
    let mut found = std::ptr::null_mut();
    // SAFETY: all pointers are valid for the call, and the buffer's length is its own.
    let code =
        unsafe { libc::getpwuid_r(uid, &raw mut record, buffer.as_mut_ptr(), buffer.len(), &raw mut found) };
    if code != 0 || found.is_null() {
        return None;
    }
    // SAFETY: the record was found, so its name is a string that ends with NUL inside the buffer.
    let name = unsafe { std::ffi::CStr::from_ptr(record.pw_name) };
    Some(name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_have_numbers() {
        assert_eq!(numbers("root").unwrap(), (0, 0));
        assert_eq!(name_of(0).as_deref(), Some("root"));
        assert_eq!(numbers("no-such-account").unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
