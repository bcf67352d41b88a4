//! Whatever an archive holds, it is taken whole or refused, and nothing is
//! written where it does not belong.

use std::fs;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tar::{EntryType, Header};

use super::manifest::{Manifest, Member};
use super::tests::{Place, checked, put_back};
use super::*;

#[test]
fn damage_of_any_byte_is_found() {
    let place = Place::after_a_day();
    let made = place.backup();
    let bytes = fs::read(&made.path).unwrap();
    let alone = place.path("alone");
    fs::create_dir(&alone).unwrap();
    let bare = alone.join("bare.tar.gz");
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(96) };
    let flips = (0..bytes.len(), 1_u8..=255, any::<bool>());
    TestRunner::new(config)
        .run(&flips, |(at, mask, cut)| {
            let mut damaged = bytes.clone();
            if cut {
                damaged.truncate(at);
            } else {
                damaged[at] ^= mask;
            }
            fs::write(&made.path, &damaged).unwrap();
            let report = checked(&made.path);
            prop_assert_eq!(report.steps.len(), 1);
            prop_assert!(!report.is_sound());
            // Without its checksum: found, or of no consequence (the gzip
            // header has bytes, and a compressed stream bits, that nobody
            // reads).
            fs::write(&bare, &damaged).unwrap();
            if checked(&bare).is_sound() {
                let target = Target { dir: alone.join("restored"), ..place.target("") };
                let restored = put_back(&bare, &target).unwrap();
                fs::remove_dir_all(&target.dir).unwrap();
                prop_assert_eq!(&restored.manifest, &made.manifest);
                prop_assert!(!cut, "an archive that ends at {} is taken for whole", at);
            }
            Ok(())
        })
        .unwrap();
    fs::write(&made.path, &bytes).unwrap();
    assert!(checked(&made.path).is_sound());
    fs::write(&bare, [bytes.as_slice(), b"more"].concat()).unwrap();
    assert!(!checked(&bare).is_sound(), "bytes that follow");
}

/// An archive made by somebody else.
struct Forged {
    manifest: serde_json::Value,
    entries: Vec<(Header, Vec<u8>)>,
}

fn forged_header(name: &str, size: u64, kind: EntryType) -> Header {
    let mut header = Header::new_ustar();
    header.set_size(size);
    header.set_mode(0o777);
    header.set_entry_type(kind);
    // Written as it is: the crate refuses such names.
    let field = &mut header.as_old_mut().name;
    field[..name.len()].copy_from_slice(name.as_bytes());
    header.set_cksum();
    header
}

impl Forged {
    fn of(manifest: &Manifest) -> Forged {
        Forged { manifest: serde_json::to_value(manifest).unwrap(), entries: Vec::new() }
    }

    /// Lists a file and appends it.
    fn with(mut self, name: &str, bytes: &[u8], size: u64, kind: EntryType) -> Forged {
        use sha2::Digest as _;
        let sha256 = crate::service::hex(&sha2::Sha256::digest(bytes));
        let member = Member { name: name.into(), size, sha256 };
        let files = self.manifest["files"].as_array_mut().unwrap();
        files.push(serde_json::to_value(member).unwrap());
        self.unlisted(name, bytes, size, kind)
    }

    fn unlisted(mut self, name: &str, bytes: &[u8], size: u64, kind: EntryType) -> Forged {
        self.entries.push((forged_header(name, size, kind), bytes.to_vec()));
        self
    }

    fn write(&self, path: &Path) {
        let text = self.manifest.to_string();
        let file = fs::File::create(path).unwrap();
        let mut tar = tar::Builder::new(GzEncoder::new(file, Compression::fast()));
        let header = forged_header("manifest.json", text.len() as u64, EntryType::Regular);
        tar.append(&header, text.as_bytes()).unwrap();
        for (header, bytes) in &self.entries {
            tar.append(header, bytes.as_slice()).unwrap();
        }
        tar.into_inner().unwrap().finish().unwrap();
    }
}

#[test]
fn hostile_archives_write_nothing_outside_and_are_refused() {
    let place = Place::after_a_day();
    let made = place.backup();
    let mut empty = made.manifest.clone();
    empty.files.clear();
    let database = fs::read(place.path("data/trading.db")).unwrap();
    let size = database.len() as u64;
    let base = || Forged::of(&empty).with("trading.db", &database, size, EntryType::Regular);
    let plain = EntryType::Regular;
    let mut newer = base();
    newer.manifest["format"] = 99.into();
    let mut listless = base();
    listless.manifest["files"] = serde_json::json!([]);
    let mut shapeless = base();
    shapeless.manifest = serde_json::json!([1]);
    let huge = 1 << 50;
    let cases = [
        ("upwards", base().with("../evil", b"x", 1, plain), "no name of ours"),
        ("absolute", base().with("/tmp/evil", b"x", 1, plain), "no name of ours"),
        ("deep", base().with("logs/../../evil", b"x", 1, plain), "no name of ours"),
        ("hidden", base().with("logs/.ssh", b"x", 1, plain), "no name of ours"),
        ("link", base().with("logs/a.log", b"", 0, EntryType::Symlink), "a link"),
        ("hard link", base().with("config.json", b"", 0, EntryType::Link), "a link"),
        ("folder", base().with("logs/a", b"", 0, EntryType::Directory), "a link, a folder"),
        ("device", base().with("logs/a", b"", 0, EntryType::Char), "a device"),
        ("twice", base().with("trading.db", b"x", 1, plain), "lists it twice"),
        ("unlisted", base().unlisted("config.json", b"x", 1, plain), "does not list it"),
        ("giant", base().with("logs.db", b"x", huge, plain), "do not fit"),
        ("shorter", base().with("logs.db", b"x", 5, plain), "its checksum"),
        ("newer", newer, "use the newer program"),
        ("listless", listless, "does not list it"),
        ("shapeless", shapeless, "its manifest cannot be read"),
    ];
    let archive = place.path("forged.tar.gz");
    let before = place.names("");
    for (case, forged, words) in cases {
        forged.write(&archive);
        let found = checked(&archive).first_failure().unwrap_or_default();
        assert!(found.contains(words), "{case}: {found}");
        assert!(put_back(&archive, &place.target("second")).is_err(), "{case}");
        fs::remove_file(&archive).unwrap();
        assert_eq!(place.names(""), before, "{case}");
        assert!(!Path::new("/tmp/evil").exists(), "{case}");
    }
    fs::write(&archive, "no archive at all").unwrap();
    assert!(!checked(&archive).is_sound());
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    std::io::Write::write_all(&mut gzip, &[0_u8; 4096]).unwrap();
    fs::write(&archive, gzip.finish().unwrap()).unwrap();
    let found = checked(&archive).first_failure().unwrap();
    assert!(found.contains("no backup of this program"), "{found}");
}

#[test]
fn arbitrary_archives_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (archive, inside) = (folder.path().join("archive"), folder.path().join("inside"));
    bolero::check!().for_each(|bytes: &[u8]| {
        // What stands in the tar is what a decoder has to cope with.
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        std::io::Write::write_all(&mut gzip, bytes).unwrap();
        fs::write(&archive, gzip.finish().unwrap()).unwrap();
        let _ = fs::remove_dir_all(&inside);
        fs::create_dir(&inside).unwrap();
        let taken = archive::extract(&archive, &inside, |_| true, &mut |_, _, _| {});
        assert!(taken.is_err_and(|damage| !damage.to_string().is_empty()));
    });
}
