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
    /// Rows live as long as the process; the oldest make room.
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
                while rows.len() > *rows_max
                    && let Some(oldest) = rows.pop_front()
                {
                    count(&mut laid.lost, &[oldest]);
                }
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
    /// stored are forgotten.
    pub(super) fn import<E>(
        &mut self,
        batch: usize,
        mut store: impl FnMut(&[Record]) -> Result<(), E>,
    ) -> io::Result<Result<Imported, E>> {
        let (rows, mut imported) = match self {
            Shelf::File(file) => return file.import(batch, store),
            Shelf::Memory { rows, .. } => (rows, Imported::default()),
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
        Ok(Ok(imported))
    }
}
