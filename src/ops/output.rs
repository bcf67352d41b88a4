//! What pivotctl prints. A reader that has seen enough (`| head`) is no
//! mistake, and a terminal that is gone must not end a panic under way: the
//! command goes on, and only what another fault kept from being written makes
//! it fail at its end.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};

static INCOMPLETE: AtomicBool = AtomicBool::new(false);
static UNREAD: AtomicBool = AtomicBool::new(false);

/// True when something could not be printed although somebody reads.
pub(super) fn is_incomplete() -> bool {
    INCOMPLETE.load(Ordering::Relaxed)
}

/// False once the reader of standard output has gone: whoever follows
/// something has nobody to tell.
pub(super) fn is_read() -> bool {
    !UNREAD.load(Ordering::Relaxed)
}

/// Prints on standard output.
pub(super) fn out(text: Arguments<'_>) {
    let mut stdout = std::io::stdout().lock();
    if let Err(error) = stdout.write_fmt(text).and_then(|()| stdout.flush()) {
        let is_gone = error.kind() == ErrorKind::BrokenPipe;
        let what = if is_gone { &UNREAD } else { &INCOMPLETE };
        what.store(true, Ordering::Relaxed);
    }
}

/// Prints on standard error. Nothing can be told when that fails.
pub(super) fn err(text: Arguments<'_>) {
    let _ = std::io::stderr().lock().write_fmt(text);
}

/// As `print!`, for a reader that may be gone.
macro_rules! out {
    ($($text:tt)*) => { $crate::ops::output::out(format_args!($($text)*)) };
}

/// As `println!`, for a reader that may be gone.
macro_rules! outln {
    () => { $crate::ops::output::out(format_args!("\n")) };
    ($($text:tt)*) => { $crate::ops::output::out(format_args!("{}\n", format_args!($($text)*))) };
}

/// As `eprint!`, for a reader that may be gone.
macro_rules! err {
    ($($text:tt)*) => { $crate::ops::output::err(format_args!($($text)*)) };
}

/// As `eprintln!`, for a reader that may be gone.
macro_rules! errln {
    () => { $crate::ops::output::err(format_args!("\n")) };
    ($($text:tt)*) => { $crate::ops::output::err(format_args!("{}\n", format_args!($($text)*))) };
}
