//! One suite that any keeper passes.
