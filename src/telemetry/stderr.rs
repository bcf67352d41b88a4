//! Standard error, which systemd keeps: for what must be seen when files
//! fail. A reader that does not read stops nobody.

use std::io::Write as _;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Writes a line when it can be taken at once.
pub(super) fn write(line: &[u8]) {
    let stderr = std::io::stderr();
    let mut fds = [PollFd::new(&stderr, PollFlags::OUT)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    if poll(&mut fds, Some(&now)).is_ok_and(|ready| ready > 0) {
        // Nothing can be told when that fails.
        let _ = stderr.lock().write_all(line);
    }
}
