//! The wheel as it is released: what maturin built, with the program itself as its command (a
//! Python script takes many times as long to start), all licences, and the bill of materials.
//! Whatever differs from build to build is dropped on the way.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{Cursor, Read as _, Write as _};

use sha2::{Digest as _, Sha256};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipArchive, ZipWriter};

use super::Text;

/// What maturin does not know of.
pub(super) struct Additions<'a> {
    /// The program, linked statically.
    pub(super) program: &'a [u8],
    /// Licences and notices, by the names of their files.
    pub(super) licences: &'a [Text],
    /// The bill of materials.
    pub(super) bill: &'a str,
}

/// The files of a wheel, each with whether it is a program.
type Files = BTreeMap<String, (bool, Vec<u8>)>;

/// The same wheel with `additions`.
///
/// # Errors
/// It is no wheel.
pub(super) fn complete(wheel: &[u8], additions: &Additions<'_>) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut files = read(wheel)?;
    let info = files.keys().find_map(|path| path.strip_suffix("/WHEEL"));
    let info = info
        .ok_or("not a wheel: nothing is called WHEEL")?
        .to_owned();
    let data = info
        .strip_suffix("dist-info")
        .ok_or("not a wheel: no folder dist-info")?;
    let program = format!("{data}data/scripts/portkeeper");
    files.insert(program, (true, additions.program.to_vec()));
    for (name, bytes) in additions.licences {
        files.insert(format!("{info}/licenses/{name}"), (false, bytes.clone()));
    }
    // Its number and its time are random.
    files.retain(|path, _| !path.starts_with(&format!("{info}/sboms/")));
    files.insert(
        format!("{info}/sboms/portkeeper.cdx.json"),
        (false, additions.bill.into()),
    );

    edit(
        &mut files,
        &format!("{info}/entry_points.txt"),
        without_scripts,
    )?;
    let names: Vec<_> = additions
        .licences
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    edit(&mut files, &format!("{info}/METADATA"), |text| {
        with_licences(text, &names)
    })?;
    let record = format!("{info}/RECORD");
    files.remove(&record);
    let records = records(&files, &record);
    write(&files, &record, &records)
}

fn read(wheel: &[u8]) -> Result<Files, Box<dyn Error>> {
    let mut archive = ZipArchive::new(Cursor::new(wheel))?;
    let mut files = Files::new();
    for index in 0..archive.len() {
        let mut file = archive.by_index(index)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        // Extensions are marked as programs by some builds and not by others, and need not be.
        files.insert(file.name()?.into_owned(), (false, bytes));
    }
    Ok(files)
}

fn edit(
    files: &mut Files,
    path: &str,
    change: impl FnOnce(&str) -> String,
) -> Result<(), Box<dyn Error>> {
    let (_, bytes) = files
        .get_mut(path)
        .ok_or_else(|| format!("not a wheel: no {path}"))?;
    *bytes = change(std::str::from_utf8(bytes)?).into_bytes();
    Ok(())
}

/// Entry points, but for the command: pip would write a script in the program's place.
fn without_scripts(text: &str) -> String {
    let mut inside = false;
    let kept = text.lines().filter(|line| {
        if line.starts_with('[') {
            inside = *line == "[console_scripts]";
        }
        !inside
    });
    kept.flat_map(|line| [line, "\n"]).collect()
}

/// Metadata that names these files of `licenses/`, each once.
fn with_licences(text: &str, names: &[&str]) -> String {
    let (head, body) = text.split_once("\n\n").unwrap_or((text.trim_end(), ""));
    let mut head = head.to_owned();
    for name in names {
        let line = format!("License-File: {name}");
        if !head.lines().any(|it| it == line) {
            head = format!("{head}\n{line}");
        }
    }
    format!("{head}\n\n{body}")
}

/// The list of all files with their digests, which is a file itself.
fn records(files: &Files, record: &str) -> String {
    let line = |(path, (_, bytes)): (&String, &(bool, Vec<u8>))| {
        let digest = base64url(&Sha256::digest(bytes));
        format!("{path},sha256={digest},{}\n", bytes.len())
    };
    let mut records: String = files.iter().map(line).collect();
    records += &format!("{record},,\n");
    records
}

fn write(files: &Files, record: &str, records: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    // What is said of the files comes last, so that it can be exchanged without a copy.
    let (about, content): (Vec<_>, Vec<_>) = files
        .iter()
        .partition(|(path, _)| path.contains(".dist-info/"));
    for (path, (is_program, bytes)) in content.into_iter().chain(about) {
        archive.start_file(path, options(*is_program))?;
        archive.write_all(bytes)?;
    }
    archive.start_file(record, options(false))?;
    archive.write_all(records.as_bytes())?;
    Ok(archive.finish()?.into_inner())
}

fn options(is_program: bool) -> SimpleFileOptions {
    SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(9))
        .last_modified_time(DateTime::default())
        .unix_permissions(if is_program { 0o755 } else { 0o644 })
}

/// RFC 4648, section 5, without padding.
fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let group = |group: &[u8]| {
        let three = [0, 1, 2].map(|at| u32::from(group.get(at).copied().unwrap_or(0)));
        let bits = three[0] << 16 | three[1] << 8 | three[2];
        let digits = [18, 12, 6, 0].map(|shift| char::from(DIGITS[(bits >> shift & 63) as usize]));
        digits.into_iter().take(group.len() + 1).collect::<String>()
    };
    bytes.chunks(3).map(group).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wheel(files: &[(&str, &str)]) -> Vec<u8> {
        let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
        for (path, text) in files {
            archive
                .start_file(*path, SimpleFileOptions::default())
                .unwrap();
            archive.write_all(text.as_bytes()).unwrap();
        }
        archive.finish().unwrap().into_inner()
    }

    const BUILT: [(&str, &str); 6] = [
        ("portkeeper/__init__.py", "x"),
        (
            "portkeeper-0.1.0.dist-info/METADATA",
            "Name: portkeeper\nLicense-File: LICENSE\n\nText\n",
        ),
        ("portkeeper-0.1.0.dist-info/WHEEL", "Wheel-Version: 1.0\n"),
        ("portkeeper-0.1.0.dist-info/RECORD", "old"),
        ("portkeeper-0.1.0.dist-info/sboms/a.json", "random"),
        (
            "portkeeper-0.1.0.dist-info/entry_points.txt",
            "[console_scripts]\nportkeeper=a:b\n\n[pytest11]\nportkeeper=c\n",
        ),
    ];

    fn completed(files: &[(&str, &str)]) -> Result<Vec<u8>, Box<dyn Error>> {
        let licences = [("LICENSE", "l"), ("NOTICE", "n")];
        let licences = licences.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()));
        let additions = Additions {
            program: b"elf",
            licences: &licences,
            bill: "{}",
        };
        complete(&wheel(files), &additions)
    }

    #[test]
    fn the_wheel_gets_its_program_and_its_papers() {
        let done = completed(&BUILT).unwrap();
        let mut archive = ZipArchive::new(Cursor::new(done.as_slice())).unwrap();
        let program = archive
            .by_name("portkeeper-0.1.0.data/scripts/portkeeper")
            .unwrap();
        assert_eq!(program.unix_mode().unwrap() & 0o777, 0o755);
        drop(program);
        let files = read(&done).unwrap();
        let text = |name: &str| {
            let (_, bytes) = &files[&format!("portkeeper-0.1.0.dist-info/{name}")];
            String::from_utf8(bytes.clone()).unwrap()
        };
        assert_eq!(
            text("METADATA"),
            "Name: portkeeper\nLicense-File: LICENSE\nLicense-File: NOTICE\n\nText\n"
        );
        assert_eq!(text("entry_points.txt"), "[pytest11]\nportkeeper=c\n");
        assert_eq!(text("licenses/NOTICE"), "n");
        assert_eq!(text("sboms/portkeeper.cdx.json"), "{}");
        assert!(!files.contains_key("portkeeper-0.1.0.dist-info/sboms/a.json"));
        let records = text("RECORD");
        assert_eq!(records.lines().count(), files.len());
        assert!(records.contains(
            "portkeeper/__init__.py,sha256=LXEWQrcmsEQBYnyp-6wy9chTD7GQPMTbAiWHF5IaSIE,1\n"
        ));
        assert!(records.ends_with("portkeeper-0.1.0.dist-info/RECORD,,\n"));
    }

    #[test]
    fn the_order_of_what_was_built_does_not_matter() {
        let mut turned = BUILT;
        turned.reverse();
        assert_eq!(completed(&BUILT).unwrap(), completed(&turned).unwrap());
    }

    #[test]
    fn what_is_no_wheel_is_refused() {
        assert!(
            complete(
                b"",
                &Additions {
                    program: b"",
                    licences: &[],
                    bill: ""
                }
            )
            .is_err()
        );
        assert!(completed(&BUILT[..2]).is_err());
    }

    #[test]
    fn digests_are_written_in_base64() {
        let check = |bytes: &[u8], expect: &str| assert_eq!(base64url(bytes), expect);
        check(b"", "");
        check(b"f", "Zg");
        check(b"fo", "Zm8");
        check(b"foo", "Zm9v");
        check(&[0xfb, 0xff, 0xfe], "-__-");
    }
}
