//! The archive's form: a gzipped tar whose first file is the manifest. What
//! is read may come from anywhere: only plain files of known names, of the
//! sizes and digests that the manifest says, are taken out.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;

use flate2::Compression;
use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

use super::Watch;
use super::manifest::{FORMAT, Manifest, Member, NAME};
use crate::service::hex;
use crate::store::FILE_NAME;
use crate::telemetry::rows;
use crate::upkeep::files;

/// Databases of log records, in the data folder.
pub(super) const LOG_DATABASES: [&str; 2] = [rows::FILE_NAME, rows::ARCHIVE_NAME];
/// Account of paper mode, in the data folder.
pub(super) const PAPER_BOOK: &str = "paper-book.json";
/// The configuration in an archive.
pub(super) const CONFIG: &str = "config.json";
/// Folders in an archive.
pub(super) const LOGS: &str = "logs/";
pub(super) const PICTURES: &str = "pictures/";

/// A tar header holds names up to this long by itself; nothing longer is
/// written or read.
const NAME_BYTES_MAX: usize = 99;
const MANIFEST_BYTES_MAX: u64 = 8 << 20;
const FILES_MAX: usize = 20_000;
/// More than any database of ours; keeps a small archive from filling a disk.
const UNPACKED_BYTES_MAX: u64 = 256 << 30;

/// Why an archive is not what it must be.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// It cannot be read to its end.
    #[error("it cannot be read to its end: {0}")]
    Unreadable(#[from] io::Error),
    /// It does not begin with a manifest.
    #[error("it does not begin with a manifest.json: it is no backup of this program")]
    NoManifest,
    /// The manifest is not of a known form.
    #[error("its manifest cannot be read: {0}")]
    Manifest(serde_json::Error),
    /// It was made by a newer program.
    #[error("it has form {0}, this program reads up to {FORMAT}: use the newer program")]
    Newer(u32),
    /// An entry that a backup never has.
    #[error("it has an entry {name:?} that no backup has: {why}")]
    Strange {
        /// The entry.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A file is not what the manifest says.
    #[error("{name} is not what the manifest says: {what}")]
    Differs {
        /// The file.
        name: String,
        /// What differs.
        what: &'static str,
    },
    /// Something follows the end.
    #[error("bytes follow its end")]
    Trailing,
    /// It would not fit.
    #[error("its {} do not fit on the disk, which has {}", files::size_text(*size), files::size_text(*room))]
    TooLarge {
        /// Bytes that it unpacks to.
        size: u64,
        /// Bytes that are free.
        room: u64,
    },
    /// Its contents could not be written.
    #[error("its contents could not be written: {0}")]
    Unwritable(io::Error),
}

/// True for names that a backup may hold.
fn is_known(name: &str) -> bool {
    let plain = |rest: &str| {
        let of = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        !rest.is_empty() && !rest.starts_with('.') && rest.bytes().all(of)
    };
    name.len() <= NAME_BYTES_MAX
        && match name.strip_prefix(LOGS).or_else(|| name.strip_prefix(PICTURES)) {
            Some(rest) => plain(rest),
            None => {
                [FILE_NAME, PAPER_BOOK, CONFIG].contains(&name) || LOG_DATABASES.contains(&name)
            }
        }
}

/// True for names that are put into an archive.
pub(super) fn is_fit(name: &str) -> bool {
    is_known(name)
}

/// Writes an archive of what lies in `folder`. Answers its SHA-256.
pub(super) fn write(
    archive: File,
    manifest: &Manifest,
    folder: &Path,
    watch: &mut Watch<'_>,
) -> io::Result<(File, String)> {
    let digesting = Digesting { inner: archive, digest: Sha256::new() };
    let gzip = GzEncoder::new(BufWriter::new(digesting), Compression::default());
    let mut tar = Builder::new(gzip);
    let text = serde_json::to_vec_pretty(manifest)?;
    let stamp = u64::try_from(manifest.made_at.timestamp()).unwrap_or(0);
    tar.append(&header(NAME, text.len() as u64, stamp)?, text.as_slice())?;
    let (mut done, total) = (0, manifest.size());
    for member in &manifest.files {
        let file = File::open(folder.join(&member.name))?;
        let counted = Counted {
            inner: file,
            seen: |bytes| {
                done += bytes;
                watch("packing", done, total);
            },
        };
        tar.append(&header(&member.name, member.size, stamp)?, counted)?;
    }
    let written =
        tar.into_inner()?.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
    Ok((written.inner, hex(&written.digest.finalize())))
}

fn header(name: &str, size: u64, stamp: u64) -> io::Result<Header> {
    let mut header = Header::new_ustar();
    header.set_path(name)?;
    header.set_size(size);
    header.set_mode(0o600);
    header.set_mtime(stamp);
    header.set_entry_type(EntryType::Regular);
    header.set_cksum();
    Ok(header)
}

/// Reads the manifest alone.
pub(super) fn read_manifest(archive: &Path) -> Result<Manifest, Damage> {
    let mut tar = tar::Archive::new(GzDecoder::new(BufReader::new(File::open(archive)?)));
    let entry = tar.entries()?.raw(true).next().ok_or(Damage::NoManifest)??;
    manifest_of(entry)
}

fn manifest_of<R: Read>(mut entry: tar::Entry<'_, R>) -> Result<Manifest, Damage> {
    let is_manifest = entry.path_bytes().as_ref() == NAME.as_bytes()
        && entry.header().entry_type() == EntryType::Regular
        && entry.size() <= MANIFEST_BYTES_MAX;
    if !is_manifest {
        return Err(Damage::NoManifest);
    }
    let mut text = Vec::new();
    entry.read_to_end(&mut text)?;
    let value: serde_json::Value = serde_json::from_slice(&text).map_err(Damage::Manifest)?;
    let form = value.get("format").and_then(serde_json::Value::as_u64).unwrap_or(0);
    if form > u64::from(FORMAT) {
        return Err(Damage::Newer(u32::try_from(form).unwrap_or(u32::MAX)));
    }
    let manifest: Manifest = serde_json::from_value(value).map_err(Damage::Manifest)?;
    check_names(&manifest)?;
    Ok(manifest)
}

fn check_names(manifest: &Manifest) -> Result<(), Damage> {
    let strange =
        |name: &str, why| Err(Damage::Strange { name: name.chars().take(100).collect(), why });
    if manifest.files.len() > FILES_MAX {
        return strange(NAME, "it lists too many files");
    }
    let mut names: Vec<&str> = manifest.files.iter().map(|member| member.name.as_str()).collect();
    if let Some(name) = names.iter().find(|name| !is_known(name)) {
        return strange(name, "the manifest lists it, and it is no name of ours");
    }
    names.sort_unstable();
    if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return strange(twice[0], "the manifest lists it twice");
    }
    if !names.contains(&FILE_NAME) {
        return strange(FILE_NAME, "the manifest does not list it");
    }
    Ok(())
}

/// Takes the files that `wanted` names out into `folder`, and reads and
/// checks the others all the same, to the last byte.
pub(super) fn extract(
    archive: &Path,
    folder: &Path,
    wanted: impl Fn(&str) -> bool,
    watch: &mut Watch<'_>,
) -> Result<Manifest, Damage> {
    let file = File::open(archive)?;
    let mut tar = tar::Archive::new(GzDecoder::new(BufReader::new(file)));
    let mut entries = tar.entries()?.raw(true);
    let manifest = manifest_of(entries.next().ok_or(Damage::NoManifest)??)?;
    let total = manifest.size();
    let room = files::room(folder).map_err(Damage::Unwritable)?;
    if total > room.min(UNPACKED_BYTES_MAX) {
        return Err(Damage::TooLarge { size: total, room: room.min(UNPACKED_BYTES_MAX) });
    }
    let mut done = 0;
    for member in &manifest.files {
        let differs = |what| Damage::Differs { name: member.name.clone(), what };
        let entry = entries.next().ok_or_else(|| differs("it is missing"))??;
        if entry.header().entry_type() != EntryType::Regular {
            let why = "it is a link, a folder or a device";
            return Err(Damage::Strange { name: member.name.clone(), why });
        }
        if entry.path_bytes().as_ref() != member.name.as_bytes() {
            return Err(differs("another file stands in its place"));
        }
        if entry.size() != member.size {
            return Err(differs("its size"));
        }
        let mut seen = |bytes| {
            done += bytes;
            watch("unpacking", done, total);
        };
        let (size, sha256) = if wanted(&member.name) {
            take_out(entry, folder, member, &mut seen)?
        } else {
            files::copy_digested(entry, io::sink(), member.size, &mut seen)?
        };
        if size != member.size {
            return Err(differs("it ends early"));
        }
        if sha256 != member.sha256 {
            return Err(differs("its checksum"));
        }
    }
    if let Some(entry) = entries.next() {
        let name = String::from_utf8_lossy(&entry?.path_bytes()).into_owned();
        return Err(Damage::Strange { name, why: "the manifest does not list it" });
    }
    read_to_end(tar.into_inner())?;
    Ok(manifest)
}

fn take_out<R: Read>(
    entry: tar::Entry<'_, R>,
    folder: &Path,
    member: &Member,
    seen: &mut dyn FnMut(u64),
) -> Result<(u64, String), Damage> {
    let path = folder.join(&member.name);
    let make = || -> io::Result<File> {
        if let Some(parent) = path.parent() {
            files::create_folder(parent)?;
        }
        files::create(&path)
    };
    let file = make().map_err(Damage::Unwritable)?;
    let taken = files::copy_digested(entry, &file, member.size, seen)?;
    file.sync_all().map_err(Damage::Unwritable)?;
    Ok(taken)
}

/// Nothing but padding follows the last entry, and nothing the gzip stream,
/// whose own checksum is only compared at its end.
fn read_to_end(mut gzip: GzDecoder<BufReader<File>>) -> Result<(), Damage> {
    let mut buffer = [0_u8; 4096];
    loop {
        match gzip.read(&mut buffer)? {
            0 => break,
            read if buffer[..read].iter().any(|byte| *byte != 0) => return Err(Damage::Trailing),
            _ => {}
        }
    }
    match gzip.into_inner().read(&mut buffer)? {
        0 => Ok(()),
        _ => Err(Damage::Trailing),
    }
}

struct Digesting {
    inner: File,
    digest: Sha256,
}

impl Write for Digesting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.digest.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

struct Counted<R, F> {
    inner: R,
    seen: F,
}

impl<R: Read, F: FnMut(u64)> Read for Counted<R, F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        (self.seen)(read as u64);
        Ok(read)
    }
}
