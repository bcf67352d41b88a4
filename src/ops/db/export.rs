//! `pivotctl db export`.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use chrono::NaiveDate;
use clap::ValueEnum;
use serde_json::{Map, Value};

use crate::ops::WrongUsage;
use crate::ops::calendar::parse_date;
use crate::ops::data::DataArgs;
use crate::store::Store;
use crate::store::export::{Cell, Table};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  pivotctl db export trades > trades.csv\n  \
                        pivotctl db export decisions --from 2026-11-23 --format jsonl\n  \
                        pivotctl db export --to-dir export")]
pub(super) struct Args {
    /// Tables: trades, orders, decisions, signals, daily_summary; all of them
    /// when left out.
    #[arg(value_name = "TABLE", value_parser = table)]
    tables: Vec<Table>,
    #[command(flatten)]
    data: DataArgs,
    /// First day.
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = parse_date)]
    from: Option<NaiveDate>,
    /// Last day.
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = parse_date)]
    to: Option<NaiveDate>,
    /// Form of the rows.
    #[arg(long, value_enum, default_value_t = Form::Csv)]
    format: Form,
    /// The same as --format jsonl.
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Folder for one file each; standard output (one table) when left out.
    #[arg(long, value_name = "DIR")]
    to_dir: Option<PathBuf>,
}

/// Form of the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// Comma-separated values with a line of names.
    Csv,
    /// One JSON object on each line.
    Jsonl,
}

impl Form {
    const fn ending(self) -> &'static str {
        match self {
            Form::Csv => "csv",
            Form::Jsonl => "jsonl",
        }
    }
}

fn table(text: &str) -> Result<Table, String> {
    let names = Table::ALL.map(Table::as_str).join(", ");
    Table::parse(text).ok_or_else(|| format!("expected one of {names}"))
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if let (Some(from), Some(to)) = (args.from, args.to)
        && from > to
    {
        return Err(WrongUsage(format!("--from {from} is later than --to {to}")).into());
    }
    let form = if args.json { Form::Jsonl } else { args.format };
    let tables = if args.tables.is_empty() { Table::ALL.to_vec() } else { args.tables.clone() };
    let store = args.data.reader()?;
    match &args.to_dir {
        Some(dir) => {
            for table in tables {
                let path = dir.join(format!("{}.{}", table.as_str(), form.ending()));
                let rows = to_file(&store, table, args, form, &path)
                    .with_context(|| format!("could not write {}", path.display()))?;
                errln!("{}: {rows} rows", path.display());
            }
        }
        None => {
            let [table] = tables[..] else {
                let words = "name one table, or a folder for several with --to-dir";
                return Err(WrongUsage(words.into()).into());
            };
            match write(&store, table, args, form, io::stdout().lock()) {
                // A reader that has seen enough is no mistake.
                Err(error) if is_broken_pipe(&error) => {}
                written => {
                    written?;
                }
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let cause = error.root_cause().downcast_ref::<io::Error>();
    cause.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Whole under its name, or not there.
fn to_file(
    store: &Store,
    table: Table,
    args: &Args,
    form: Form,
    path: &Path,
) -> anyhow::Result<u64> {
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    let partial = path.with_extension("tmp");
    let file =
        File::options().write(true).create(true).truncate(true).mode(0o600).open(&partial)?;
    let rows = write(store, table, args, form, BufWriter::new(&file))?;
    file.sync_all()?;
    std::fs::rename(&partial, path)?;
    Ok(rows)
}

fn write(
    store: &Store,
    table: Table,
    args: &Args,
    form: Form,
    sink: impl Write,
) -> anyhow::Result<u64> {
    let columns = store.export_columns(table)?;
    let mut rows = Rows::new(sink, form, columns)?;
    let (mut count, mut failed) = (0, None);
    store.export(table, args.from, args.to, |cells| match rows.row(cells) {
        Ok(()) => {
            count += 1;
            ControlFlow::Continue(())
        }
        Err(error) => {
            failed = Some(error);
            ControlFlow::Break(())
        }
    })?;
    match failed {
        Some(error) => Err(error.into()),
        None => rows.end().map(|()| count).map_err(Into::into),
    }
}

/// Rows on their way out.
enum Rows<W: Write> {
    Csv(Box<csv::Writer<W>>),
    Jsonl(W, Vec<String>),
}

impl<W: Write> Rows<W> {
    fn new(sink: W, form: Form, columns: Vec<String>) -> anyhow::Result<Rows<W>> {
        match form {
            Form::Csv => {
                let mut writer = csv::Writer::from_writer(sink);
                writer.write_record(&columns)?;
                Ok(Rows::Csv(Box::new(writer)))
            }
            Form::Jsonl => Ok(Rows::Jsonl(sink, columns)),
        }
    }

    fn row(&mut self, cells: &[Cell]) -> io::Result<()> {
        match self {
            Rows::Csv(writer) => {
                writer.write_record(cells.iter().map(text)).map_err(io::Error::from)
            }
            Rows::Jsonl(sink, columns) => {
                let fields = columns.iter().cloned().zip(cells.iter().map(json));
                writeln!(sink, "{}", Value::Object(fields.collect::<Map<String, Value>>()))
            }
        }
    }

    fn end(self) -> io::Result<()> {
        match self {
            Rows::Csv(mut writer) => writer.flush(),
            Rows::Jsonl(mut sink, _) => sink.flush(),
        }
    }
}

fn text(cell: &Cell) -> String {
    match cell {
        Cell::Empty => String::new(),
        Cell::Whole(number) => number.to_string(),
        Cell::Decimal(number) => number.to_string(),
        Cell::Text(text) => text.clone(),
    }
}

fn json(cell: &Cell) -> Value {
    match cell {
        Cell::Empty => Value::Null,
        Cell::Whole(number) => Value::from(*number),
        Cell::Decimal(number) => Value::from(*number),
        Cell::Text(text) => Value::from(text.as_str()),
    }
}
