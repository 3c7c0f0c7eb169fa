//! email-worker
fn main() {}
