//! The rows of several kinds as one stream, newest first.

use std::collections::{BinaryHeap, VecDeque};

use rusqlite::Connection;

/// Numbers taken from one stream at a time.
const CHUNK: u32 = 32;

/// One kind's rows below a number, newest first.
struct Stream {
    kind: i64,
    ids: VecDeque<i64>,
    /// False when the index has no more.
    has_more: bool,
}

/// Merges the streams of kinds. Each is read from the index by kind, a few
/// numbers at a time, so a page costs by its length and by the number of
/// kinds, not by the number of rows.
pub(super) struct Merge<'a> {
    connection: &'a Connection,
    sql: &'static str,
    low: i64,
    streams: Vec<Stream>,
    /// The newest number of each stream, and which stream.
    heads: BinaryHeap<(i64, usize)>,
}

impl<'a> Merge<'a> {
    /// Rows of `kinds` from `low` up to and with `high`. `sql` answers the
    /// numbers of kind `?1` from `?2` to `?3`, `?4` at most.
    pub(super) fn new(
        connection: &'a Connection,
        sql: &'static str,
        kinds: &[i64],
        (low, high): (i64, i64),
    ) -> rusqlite::Result<Merge<'a>> {
        let mut merge =
            Merge { connection, sql, low, streams: Vec::new(), heads: BinaryHeap::new() };
        for kind in kinds {
            let stream = Stream { kind: *kind, ids: VecDeque::new(), has_more: true };
            merge.streams.push(stream);
            merge.refill(merge.streams.len() - 1, high)?;
        }
        Ok(merge)
    }

    /// The next older number.
    pub(super) fn next(&mut self) -> rusqlite::Result<Option<i64>> {
        let Some((id, index)) = self.heads.pop() else { return Ok(None) };
        let stream = &mut self.streams[index];
        stream.ids.pop_front();
        match stream.ids.front() {
            Some(head) => self.heads.push((*head, index)),
            None if stream.has_more => self.refill(index, id - 1)?,
            None => {}
        }
        Ok(Some(id))
    }

    fn refill(&mut self, index: usize, high: i64) -> rusqlite::Result<()> {
        let stream = &mut self.streams[index];
        let mut statement = self.connection.prepare_cached(self.sql)?;
        let mut rows = statement.query((stream.kind, self.low, high, CHUNK))?;
        while let Some(row) = rows.next()? {
            stream.ids.push_back(row.get(0)?);
        }
        stream.has_more = u32::try_from(stream.ids.len()) == Ok(CHUNK);
        if let Some(head) = stream.ids.front() {
            self.heads.push((*head, index));
        }
        Ok(())
    }
}
