//! Where rows wait while the database fails: a file, or memory.

use std::collections::VecDeque;
use std::io;

use super::Record;
use super::backend::Options;
use super::fallback::{Fallback, Imported};
use super::queue::count;

/// See the module.
#[derive(Debug)]
pub(super) enum Shelf {
    /// Rows outlive the process.
    File(Fallback),
    /// Rows live as long as the process; the oldest make room, those that
    /// matter last.
    Memory {
        /// In the order in which they came.
        rows: VecDeque<Record>,
        /// How many at most.
        rows_max: usize,
    },
}

/// What became of a batch, by level.
#[derive(Debug, Default)]
pub(super) struct Laid {
    /// Laid by.
    pub(super) by: [u64; 5],
    /// Lost, of this batch or, from memory, of earlier ones.
    pub(super) lost: [u64; 5],
    /// Those of the lost that count as laid by, now or earlier.
    pub(super) no_more: [u64; 5],
    /// Why some were.
    pub(super) why: String,
}

impl Shelf {
    pub(super) fn new(options: &Options) -> Shelf {
        match &options.fallback {
            Some(path) => Shelf::File(Fallback::new(path.clone(), options.fallback_bytes_max)),
            None => Shelf::Memory { rows: VecDeque::new(), rows_max: options.held_rows_max },
        }
    }

    pub(super) fn lay_by(&mut self, batch: &[Record]) -> Laid {
        let mut laid = Laid::default();
        match self {
            Shelf::File(file) => match file.append(batch) {
                Ok(refused) => {
                    count(&mut laid.by, batch);
                    for record in refused {
                        count(&mut laid.lost, std::slice::from_ref(record));
                    }
                    laid.by.iter_mut().zip(laid.lost).for_each(|(by, lost)| *by -= lost);
                    laid.why = "the fallback file is full".to_owned();
                }
                Err(error) => {
                    count(&mut laid.lost, batch);
                    laid.why = format!("the fallback file too: {error}");
                }
            },
            Shelf::Memory { rows, rows_max } => {
                count(&mut laid.by, batch);
                rows.extend(batch.iter().cloned());
                for gone in excess(rows, *rows_max) {
                    count(&mut laid.lost, &[gone]);
                }
                laid.no_more = laid.lost;
                laid.why = "memory has room for no more".to_owned();
            }
        }
        laid
    }

    pub(super) fn is_waiting(&self) -> bool {
        match self {
            Shelf::File(file) => file.is_waiting(),
            Shelf::Memory { rows, .. } => !rows.is_empty(),
        }
    }

    /// Hands the waiting rows over in order, in batches; those that were
    /// stored are forgotten and, whatever came after, counted in `imported`.
    pub(super) fn import<E>(
        &mut self,
        batch: usize,
        imported: &mut Imported,
        mut store: impl FnMut(&[Record]) -> Result<(), E>,
    ) -> io::Result<Result<(), E>> {
        let rows = match self {
            Shelf::File(file) => return file.import(batch, imported, store),
            Shelf::Memory { rows, .. } => rows,
        };
        while !rows.is_empty() {
            let length = batch.min(rows.len());
            let next = &rows.make_contiguous()[..length];
            if let Err(error) = store(next) {
                return Ok(Err(error));
            }
            rows.drain(..length);
            imported.rows += u64::try_from(length).unwrap_or(u64::MAX);
        }
        Ok(Ok(()))
    }
}

/// Takes the oldest rows beyond `rows_max` out, those that matter only when
/// there are no others.
fn excess(rows: &mut VecDeque<Record>, rows_max: usize) -> Vec<Record> {
    let excess = rows.len().saturating_sub(rows_max);
    let mut gone = Vec::with_capacity(excess);
    if excess > 0 {
        rows.retain(|record| {
            let goes = gone.len() < excess && !record.row.matters();
            if goes {
                gone.push(record.clone());
            }
            !goes
        });
        gone.extend(rows.drain(..excess - gone.len()));
    }
    gone
}
