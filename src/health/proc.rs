//! What Linux tells of machine and process, in `/proc` and by system calls.
//! Reading and understanding are apart, so that odd texts can be tried.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

/// Files of a folder that are looked at, at most.
const FILES_MAX: usize = 10_000;

/// Largest text that is read; longer ones are cut.
const TEXT_MAX: u64 = 16 * 1024;

/// Time that all processors together have spent since the start of the
/// machine, in ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Ticks {
    pub(super) busy: u64,
    pub(super) total: u64,
}

impl Ticks {
    /// Percent of the time since `before` in which processors were busy.
    pub(super) fn percent_since(self, before: Ticks) -> Option<f64> {
        let total = self.total.checked_sub(before.total).filter(|total| *total > 0)?;
        let busy = self.busy.saturating_sub(before.busy).min(total);
        Some(percent(busy, total))
    }
}

/// A share in percent, to one decimal.
pub(super) fn percent(part: u64, whole: u64) -> f64 {
    round(100.0 * part as f64 / whole.max(1) as f64)
}

/// To one decimal.
pub(super) fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// The first line of `/proc/stat`. Waiting for the disk is idle time; what a
/// guest used is in the figures of its host already.
pub(super) fn ticks(text: &str) -> Option<Ticks> {
    let line = text.lines().next()?.strip_prefix("cpu ")?;
    let mut fields = [0_u64; 8];
    let mut words = line.split_whitespace();
    for (index, field) in fields.iter_mut().enumerate() {
        match words.next() {
            Some(word) => *field = word.parse().ok()?,
            None if index >= 4 => break,
            None => return None,
        }
    }
    let total = fields.iter().try_fold(0_u64, |sum, field| sum.checked_add(*field))?;
    let idle = fields[3].checked_add(fields[4])?;
    Some(Ticks { busy: total - idle, total })
}

/// Bytes in all and bytes available, by `/proc/meminfo`.
pub(super) fn memory(text: &str) -> Option<(u64, u64)> {
    let total = kilobytes(text, "MemTotal:")?;
    let available = kilobytes(text, "MemAvailable:")?;
    Some((total, available.min(total)))
}

/// Bytes in memory and number of threads, by `/proc/self/status`.
pub(super) fn size(text: &str) -> Option<(u64, u64)> {
    Some((kilobytes(text, "VmRSS:")?, number(text, "Threads:")?))
}

fn kilobytes(text: &str, name: &str) -> Option<u64> {
    number(text, name)?.checked_mul(1024)
}

fn number(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Reads a text into a buffer that is used again and again.
pub(super) fn read<'a>(path: &str, buffer: &'a mut String) -> Option<&'a str> {
    buffer.clear();
    File::open(path).ok()?.take(TEXT_MAX).read_to_string(buffer).ok()?;
    Some(buffer)
}

/// Processor time that this process has used.
pub(super) fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Open file descriptors of this process, and how many it may have.
pub(super) fn descriptors() -> (u64, u64) {
    // The listing itself holds one.
    let open = std::fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count());
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    (open.saturating_sub(1) as u64, limit.current.unwrap_or(u64::MAX))
}

/// Percent used of the disk that holds a folder, as `df` counts it, and bytes
/// free on it.
pub(super) fn disk(folder: &Path) -> Option<(f64, u64)> {
    let stat = rustix::fs::statvfs(folder).ok()?;
    let used = stat.f_blocks.saturating_sub(stat.f_bfree);
    let whole = used.saturating_add(stat.f_bavail);
    (whole > 0).then(|| (percent(used, whole), stat.f_bavail.saturating_mul(stat.f_frsize)))
}

/// Bytes of a file; 0 when there is none.
pub(super) fn file_bytes(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |meta| meta.len())
}

/// Bytes of the files of a folder and of the folders in it.
pub(super) fn folder_bytes(folder: &Path) -> u64 {
    let mut left = FILES_MAX;
    let mut folders = vec![folder.to_owned()];
    let mut bytes = 0_u64;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            if left == 0 {
                return bytes;
            }
            left -= 1;
            match entry.metadata() {
                Ok(meta) if meta.is_dir() => folders.push(entry.path()),
                Ok(meta) => bytes = bytes.saturating_add(meta.len()),
                Err(_) => {}
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_busy_when_neither_idle_nor_waiting() {
        let before = ticks("cpu  100 0 50 800 50 0 0 0 0 0\ncpu0 1 1 1 1\n").unwrap();
        assert_eq!(before, Ticks { busy: 150, total: 1000 });
        let after = ticks("cpu  150 0 70 830 50 0 0 0 99 99\n").unwrap();
        assert_eq!(after.percent_since(before), Some(70.0));
        assert_eq!(after.percent_since(after), None);
        assert_eq!(before.percent_since(after), None);
        // The oldest kernels name four.
        assert_eq!(ticks("cpu  1 2 3 4\n"), Some(Ticks { busy: 6, total: 10 }));
        for odd in ["", "cpu", "cpu  1 2 3\n", "cpu  1 2 x 4\n", "intr 5\n"] {
            assert_eq!(ticks(odd), None, "{odd:?}");
        }
        assert_eq!(ticks(&format!("cpu  {0} {0} 1 1\n", u64::MAX)), None);
    }

    #[test]
    fn memory_is_what_programs_could_have() {
        let text = "MemTotal:       1000 kB\nMemFree: 10 kB\nMemAvailable:    250 kB\n";
        assert_eq!(memory(text), Some((1_024_000, 256_000)));
        assert_eq!(memory("MemTotal: 1000 kB\n"), None);
        assert_eq!(size("Name: x\nVmRSS:\t  20 kB\nThreads:\t7\n"), Some((20_480, 7)));
        assert_eq!(size("Name: x\nThreads:\t7\n"), None);
    }

    #[test]
    fn this_machine_and_this_process_are_read() {
        let mut buffer = String::new();
        assert!(ticks(read("/proc/stat", &mut buffer).unwrap()).unwrap().total > 0);
        let (total, available) = memory(read("/proc/meminfo", &mut buffer).unwrap()).unwrap();
        assert!(available <= total && total > 0);
        let (rss, threads) = size(read("/proc/self/status", &mut buffer).unwrap()).unwrap();
        assert!(rss > 1 << 20 && threads >= 1, "{rss} {threads}");
        let (open, limit) = descriptors();
        assert!((1..=limit).contains(&open), "{open} of {limit}");
        assert!(disk(Path::new("/")).is_some_and(|(used, _)| (0.0..=100.0).contains(&used)));
        assert_eq!(disk(Path::new("/nowhere/at/all")), None);
        assert_eq!(read("/nowhere", &mut buffer), None);
    }

    #[test]
    fn folders_are_added_up_with_what_is_in_them() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("archive")).unwrap();
        std::fs::write(folder.path().join("a.log"), [0; 10]).unwrap();
        std::fs::write(folder.path().join("archive/b.gz"), [0; 5]).unwrap();
        assert_eq!(folder_bytes(folder.path()), 15);
        assert_eq!(folder_bytes(&folder.path().join("none")), 0);
        assert_eq!(file_bytes(&folder.path().join("a.log")), 10);
        assert_eq!(file_bytes(&folder.path().join("none")), 0);
    }
}
