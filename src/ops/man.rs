//! `pivotctl man`: the manual pages, made of the same words as `--help`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use super::WrongUsage;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  pivotctl man config check | man -l -\n  \
                        pivotctl man --out /usr/local/share/man/man1")]
pub(super) struct Args {
    /// Print the page of this subcommand; that of pivotctl when left out.
    #[arg(value_name = "SUBCOMMAND", conflicts_with = "out")]
    subcommand: Vec<String>,
    /// Write a page for each subcommand into this folder.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// A page and the name of its file.
pub(super) struct Page {
    pub(super) file: String,
    pub(super) text: String,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let pages = pages(&super::cli())?;
    let Some(folder) = &args.out else {
        let words = std::iter::once("pivotctl").chain(args.subcommand.iter().map(String::as_str));
        let file = format!("{}.1", words.collect::<Vec<_>>().join("-"));
        let unknown = || WrongUsage(format!("there is no page {file}; see pivotctl --help"));
        let page = pages.into_iter().find(|page| page.file == file).ok_or_else(unknown)?;
        out!("{}", page.text);
        return Ok(ExitCode::SUCCESS);
    };
    std::fs::create_dir_all(folder)
        .with_context(|| format!("could not make {}", folder.display()))?;
    for page in &pages {
        let path = folder.join(&page.file);
        std::fs::write(&path, &page.text)
            .with_context(|| format!("could not write {}", path.display()))?;
    }
    outln!("wrote {} pages to {}", pages.len(), folder.display());
    Ok(ExitCode::SUCCESS)
}

/// A page for the command and for each of its subcommands, whatever machine
/// they are made on.
pub(super) fn pages(command: &clap::Command) -> anyhow::Result<Vec<Page>> {
    let mut command = same_everywhere(command.clone()).disable_help_subcommand(true);
    command.build();
    let mut pages = Vec::new();
    add(&command, &mut pages)?;
    Ok(pages)
}

/// Where the configuration is depends on the machine.
fn same_everywhere(command: clap::Command) -> clap::Command {
    let has_config = command.get_arguments().any(|argument| argument.get_id() == "config");
    let command = if has_config {
        command.mut_arg("config", |argument| argument.hide_default_value(true))
    } else {
        command
    };
    command.mut_subcommands(same_everywhere)
}

fn add(command: &clap::Command, pages: &mut Vec<Page>) -> anyhow::Result<()> {
    pages.push(page(command)?);
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        add(inner, pages)?;
    }
    Ok(())
}

fn page(command: &clap::Command) -> anyhow::Result<Page> {
    let source = format!("pivot-trading {}", env!("CARGO_PKG_VERSION"));
    let man = Man::new(command.clone()).source(source).manual("pivot-trading");
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    if command.get_subcommands().any(|inner| !inner.is_hide_set()) {
        man.render_subcommands_section(&mut text)?;
    }
    if let Some(after) = command.get_after_long_help().or_else(|| command.get_after_help()) {
        examples(&after.to_string(), &mut text)?;
    }
    let text = String::from_utf8(text).context("a page is no text")?;
    // Each part brings it; once is enough.
    let preamble: String = text.split_inclusive('\n').take(2).collect();
    let text = format!("{preamble}{}", text.replace(&preamble, ""));
    Ok(Page { file: man.get_filename(), text })
}

/// Examples keep their lines; what follows them is prose.
fn examples(after: &str, text: &mut Vec<u8>) -> std::io::Result<()> {
    let mut roff = Roff::new();
    for part in after.split("\n\n") {
        // A single example may stand behind its heading.
        let lone = || part.strip_prefix("Example: ").map(|line| ("Example", line));
        match part.split_once(":\n").or_else(lone) {
            Some((heading, lines)) => {
                roff.control("SH", [heading.to_uppercase().as_str()]);
                roff.control("nf", []);
                lines.lines().for_each(|line| {
                    roff.text([roman(line)]);
                });
                roff.control("fi", []);
            }
            None => {
                roff.control("PP", []);
                roff.text([roman(part)]);
            }
        }
    }
    roff.to_writer(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(command: &clap::Command, path: &str, found: &mut Vec<String>) {
        let path = format!("{path}{}", command.get_name());
        for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
            names(inner, &format!("{path}-"), found);
        }
        found.push(format!("{path}.1"));
    }

    #[test]
    fn every_subcommand_has_a_page_with_its_example() {
        let command = super::super::cli();
        let mut expected = Vec::new();
        names(&command, "", &mut expected);
        let pages = pages(&command).unwrap();
        let mut found: Vec<&str> = pages.iter().map(|page| page.file.as_str()).collect();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected);
        assert!(expected.contains(&"pivotctl-config-check.1".to_string()), "{expected:?}");
        for Page { file, text } in &pages {
            assert!(text.contains(".SH NAME") && text.contains(".SH EXAMPLE"), "{file}:\n{text}");
            assert!(!text.contains("/etc/pivot-trading/config.json]"), "{file}:\n{text}");
            assert!(!text.contains("default: config.json"), "{file}:\n{text}");
            assert_eq!(text.matches(".ie ").count(), 1, "{file}:\n{text}");
        }
    }
}
