//! When a certificate ends.

use std::fs::OpenOptions;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use chrono::{DateTime, NaiveDate};
use rustix::fs::OFlags;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

use crate::market::time::ist_date;

/// A file with a whole chain has some kilobytes.
const BYTES_MAX: u64 = 1024 * 1024;

/// The date in India on which the server's certificate of a PEM file ends:
/// the first one in it. The error says why that is not known.
pub(super) fn end_of(path: &Path) -> Result<NaiveDate, String> {
    let told = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
    let mut pem = Vec::new();
    // A pipe that nobody writes to would be waited for.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let file = opened.map_err(|error| told(&error))?;
    if !file.metadata().is_ok_and(|meta| meta.is_file()) {
        return Err(told(&"it is no file"));
    }
    file.take(BYTES_MAX).read_to_end(&mut pem).map_err(|error| told(&error))?;
    read(&pem).map_err(|why| told(&why))
}

fn read(pem: &[u8]) -> Result<NaiveDate, String> {
    let first = CertificateDer::pem_slice_iter(pem).next();
    let der = match first {
        Some(Ok(der)) => der,
        // What the file holds may be a key: nothing of it is repeated.
        Some(Err(_)) => return Err("it is damaged, or not in PEM form".into()),
        None => return Err("it holds no certificate in PEM form".into()),
    };
    let certificate = Certificate::from_der(&der)
        .map_err(|error| format!("the certificate in it cannot be read: {error}"))?;
    let end = certificate.tbs_certificate().validity().not_after.to_unix_duration();
    let end = i64::try_from(end.as_secs()).ok().and_then(|s| DateTime::from_timestamp(s, 0));
    end.map(ist_date).ok_or_else(|| "it ends after the end of time".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Until 2026-12-26 10:19:08 UTC.
    const SOON: &str = "-----BEGIN CERTIFICATE-----
MIIBjjCCATOgAwIBAgIUCeXVwWhhHBkRMx4kJ1sJM9Olp+EwCgYIKoZIzj0EAwIw
HDEaMBgGA1UEAwwRcGl2b3QuZXhhbXBsZS5jb20wHhcNMjYxMTI2MTAxOTA4WhcN
MjYxMjI2MTAxOTA4WjAcMRowGAYDVQQDDBFwaXZvdC5leGFtcGxlLmNvbTBZMBMG
ByqGSM49AgEGCCqGSM49AwEHA0IABHziPohbg+kWI55aM2BZDCfbXyFiQpM9TFHR
KmGWswIcy3VqatiMpI1Q0S4612J94+Gsph0fm8MR4fgk6RltsMujUzBRMB0GA1Ud
DgQWBBQHJVb3G3d07p5CYqSIJgsu7RdMajAfBgNVHSMEGDAWgBQHJVb3G3d07p5C
YqSIJgsu7RdMajAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0kAMEYCIQCg
URqhxpXgSOKO/6LS39h38RPisYyZfn7CkIWPx4O/mAIhAOYMLFz43AJmsx7Sarzo
Tq1BZa3kFCfZjlT77bHoi14b
-----END CERTIFICATE-----
";

    /// Until 2126-11-02 10:19:08 UTC, in the other form that dates have.
    const LATE: &str = "-----BEGIN CERTIFICATE-----
MIIBkDCCATWgAwIBAgIUWhzuaf4eFjHXUunvXTwhYFWw3pQwCgYIKoZIzj0EAwIw
HDEaMBgGA1UEAwwRcGl2b3QuZXhhbXBsZS5jb20wIBcNMjYxMTI2MTAxOTA4WhgP
MjEyNjExMDIxMDE5MDhaMBwxGjAYBgNVBAMMEXBpdm90LmV4YW1wbGUuY29tMFkw
EwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAERJfgfFLRHNY4FMaJU/w4GKi4PiTapMFI
C8cawyhSOx+11rQSSGquO4L9zP3aqt6ylwLs20LgjklCE7NQKkzjBaNTMFEwHQYD
VR0OBBYEFOV7p356ExRDWQZ/w6gBx39sAyZkMB8GA1UdIwQYMBaAFOV7p356ExRD
WQZ/w6gBx39sAyZkMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDSQAwRgIh
ANq9wrrEjC8PkiQmBx23PSB00lyUNYn7etws3sMzGibCAiEAn8r6tDGRZCYhcYgs
ZEfOIXfa6uIX5VDfJAdZ254d0Qs=
-----END CERTIFICATE-----
";

    #[test]
    fn the_first_certificate_of_a_chain_counts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fullchain.pem");
        let key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        std::fs::write(&path, format!("a note\n{key}{SOON}{LATE}")).unwrap();
        assert_eq!(end_of(&path).unwrap().to_string(), "2026-12-26");
        std::fs::write(&path, format!("{LATE}{SOON}")).unwrap();
        assert_eq!(end_of(&path).unwrap().to_string(), "2126-11-02");
    }

    #[test]
    fn what_is_no_certificate_says_so_and_repeats_nothing_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tls.pem");
        assert!(end_of(&path).unwrap_err().contains("No such file"));
        assert!(end_of(dir.path()).unwrap_err().ends_with("it is no file"));
        let cut = &SOON[..SOON.len() - 40];
        let other = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let key = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n";
        for (text, why) in [
            ("", "no certificate in PEM form"),
            (key, "no certificate in PEM form"),
            ("\u{0}\u{1}", "no certificate in PEM form"),
            (cut, "damaged"),
            (other, "cannot be read"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = end_of(&path).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
            assert!(!error.contains("c2VjcmV0"), "{error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(
            bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400),
            place in 0_usize..600,
            byte in 0_u8..=255,
        ) {
            let _ = read(&bytes);
            let mut der = CertificateDer::from_pem_slice(SOON.as_bytes()).unwrap().to_vec();
            let place = place % der.len();
            der[place] = byte;
            let _ = Certificate::from_der(&der);
        }
    }
}
