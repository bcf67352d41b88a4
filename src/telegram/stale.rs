//! Which waiting notices are told one by one, and which are summed up.

use chrono::TimeDelta;

use crate::engine::notice::{NoticeKind, Severity};
use crate::market::Timestamp;
use crate::store::Post;

/// Age of a notice that is no news any more, in real time.
const STALE_AFTER: TimeDelta = TimeDelta::minutes(10);

/// Fewer stale notices than this are no flood.
const FLOOD: usize = 5;

/// True for what is told in full however late.
fn matters(post: &Post) -> bool {
    let kind = match post.notice.kind {
        NoticeKind::Entry
        | NoticeKind::Exit
        | NoticeKind::OrderTrouble
        | NoticeKind::RiskStop
        | NoticeKind::Panic
        | NoticeKind::Mismatch
        | NoticeKind::Summary => true,
        NoticeKind::LoginRequest
        | NoticeKind::Authenticated
        | NoticeKind::PreMarket
        | NoticeKind::NoTrading
        | NoticeKind::Refused
        | NoticeKind::Progress
        | NoticeKind::Service
        | NoticeKind::Data
        | NoticeKind::Control
        | NoticeKind::Reminders => false,
    };
    kind || post.notice.severity > Severity::Info
}

/// The notices to sum up: none unless they are a flood. `speed` is how fast
/// market time runs.
pub(super) fn flood(posts: &[Post], now: Timestamp, speed: f64) -> Vec<&Post> {
    let limit_s = STALE_AFTER.num_seconds() as f64 * speed.max(1.0);
    let is_old = |post: &Post| (now - post.notice.at).num_seconds() as f64 > limit_s;
    let stale: Vec<&Post> = posts.iter().filter(|post| is_old(post) && !matters(post)).collect();
    if stale.len() < FLOOD { Vec::new() } else { stale }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Notice;
    use crate::engine::settings::Mode;

    fn post(id: i64, kind: NoticeKind, severity: Severity, minute: i64) -> Post {
        let at = chrono::DateTime::UNIX_EPOCH + TimeDelta::minutes(minute);
        let notice = Notice {
            kind,
            severity,
            mode: Mode::Demo,
            at,
            trade: None,
            once: None,
            headline: String::new(),
            fields: Vec::new(),
            footer: None,
        };
        Post { id, notice, delivery: None }
    }

    #[test]
    fn sums_up_floods_of_what_is_no_news() {
        let mut posts: Vec<Post> =
            (0..6).map(|id| post(id, NoticeKind::Service, Severity::Info, id)).collect();
        posts.push(post(6, NoticeKind::Exit, Severity::Info, 1));
        posts.push(post(7, NoticeKind::Data, Severity::Warning, 1));
        posts.push(post(8, NoticeKind::Control, Severity::Info, 59));
        let now = chrono::DateTime::UNIX_EPOCH + TimeDelta::minutes(60);
        let ids = |posts: Vec<&Post>| posts.iter().map(|post| post.id).collect::<Vec<_>>();
        assert_eq!(ids(flood(&posts, now, 1.0)), [0, 1, 2, 3, 4, 5]);
        assert_eq!(ids(flood(&posts[2..], now, 1.0)), [] as [i64; 0]);
        assert_eq!(ids(flood(&posts, now, 60.0)), [] as [i64; 0]);
    }
}
