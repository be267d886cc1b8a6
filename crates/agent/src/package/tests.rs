use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use orocloud_protocol::ContentHash;
use orocloud_protocol::node::{PackageBuilt, PackageReceiveParams};

use super::*;

const GO_ON: &dyn Fn(u64) -> bool = &|_| true;

fn pack_it(source: &Path, store: &Store) -> std::io::Result<PackageBuilt> {
    pack(&Packing { source, mtime: 1_767_603_600, progress: GO_ON }, store)
}

fn application(folder: &Path) {
    let long = "a-folder-with-a-long-name/".repeat(8);
    fs::create_dir_all(folder.join(&long)).unwrap();
    fs::create_dir_all(folder.join("vendor/bin")).unwrap();
    fs::create_dir_all(folder.join("vendor/acme/tool/.git")).unwrap();
    fs::create_dir_all(folder.join(".git/objects")).unwrap();
    fs::create_dir_all(folder.join("empty")).unwrap();
    fs::write(folder.join(".git/HEAD"), "ref").unwrap();
    fs::write(folder.join(&long).join("deep.txt"), "deep").unwrap();
    fs::write(folder.join("vendor/acme/tool/run"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(folder.join("vendor/acme/tool/run"), fs::Permissions::from_mode(0o4755)).unwrap();
    fs::write(folder.join("big"), vec![7; 300_000]).unwrap();
    symlink("../acme/tool/run", folder.join("vendor/bin/run")).unwrap();
}

#[test]
fn what_was_packed_comes_out_again_and_the_same_build_has_the_same_name() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    application(&at("one"));
    application(&at("two"));
    let store = Store::open(&at("state")).unwrap();
    let built = pack_it(&at("one"), &store).unwrap();
    assert_eq!(pack_it(&at("two"), &store).unwrap(), built);
    assert_eq!(built.files, 4);
    assert_eq!(fs::metadata(store.file(&built.package)).unwrap().len(), built.size);
    assert_eq!(
        blake3::hash(&fs::read(store.file(&built.package)).unwrap()).to_hex().as_str(),
        built.package.as_str()
    );
    let files = unpack(&store.file(&built.package), &built.package, &at("out"), GO_ON).unwrap();
    assert_eq!(files, built.files);
    assert!(!at("out/.git").exists() && !at("out/vendor/acme/tool/.git").exists());
    assert!(at("out/empty").is_dir());
    assert_eq!(fs::read(at("out/vendor/bin/run")).unwrap(), b"#!/bin/sh\n");
    assert_eq!(fs::metadata(at("out/vendor/acme/tool/run")).unwrap().permissions().mode() & 0o7777, 0o755);
    assert_eq!(fs::metadata(at("out/big")).unwrap().permissions().mode() & 0o7777, 0o644);
    let mtime = fs::metadata(at("out/big")).unwrap().modified().unwrap();
    assert_eq!(mtime.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs(), 1_767_603_600);
    fs::write(at("two/big"), "other").unwrap();
    assert_ne!(pack_it(&at("two"), &store).unwrap().package, built.package);
}

#[test]
fn a_checkout_that_cannot_be_a_release_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("state")).unwrap();
    let source = folder.path().join("source");
    fs::create_dir_all(source.join("public")).unwrap();
    for target in ["/etc/passwd", "../../outside", "../public/../../x", "..", "."] {
        let link = source.join("public/link");
        symlink(target, &link).unwrap();
        let result = pack_it(&source, &store);
        // `public/link` to `.` is `public`, which is inside.
        if target == "." {
            result.unwrap();
        } else {
            let error = result.unwrap_err().to_string();
            assert!(error.contains("public/link") && error.contains("not in the release"), "{error}");
        }
        fs::remove_file(link).unwrap();
    }
    rustix::fs::mknodat(
        rustix::fs::CWD,
        source.join("public/pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    let error = pack_it(&source, &store).unwrap_err().to_string();
    assert!(error.contains("public/pipe") && error.contains("neither"), "{error}");
    assert!(store.beside().unwrap().parent().unwrap().read_dir().unwrap().count() <= 1);
}

/// A package with entries as a forger would write them.
fn forged(folder: &Path, fill: impl Fn(&mut tar::Builder<Vec<u8>>)) -> (std::path::PathBuf, ContentHash) {
    let mut tar = tar::Builder::new(Vec::new());
    fill(&mut tar);
    let bytes = zstd::encode_all(&tar.into_inner().unwrap()[..], 1).unwrap();
    let file = folder.join("forged.package");
    fs::write(&file, &bytes).unwrap();
    (file, name_of(&blake3::hash(&bytes)).unwrap())
}

fn entry(tar: &mut tar::Builder<Vec<u8>>, kind: tar::EntryType, path: &str, link: &str, content: &[u8]) {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_size(content.len() as u64);
    // The crate's own setters refuse what a forger writes.
    header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
    header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
    header.set_cksum();
    tar.append(&header, content).unwrap();
}

#[test]
fn a_forged_package_is_refused_and_writes_nothing_outside() {
    use tar::EntryType::{Block, Directory, Fifo, Link, Regular, Symlink};
    let folder = tempfile::tempdir().unwrap();
    /// What it is, and its entries: kind, path, target.
    type Case<'a> = (&'a str, &'a [(tar::EntryType, &'a str, &'a str)]);
    let cases: [Case<'_>; 11] = [
        ("absolute", &[(Regular, "/tmp/orocloud-forged", "")]),
        ("up", &[(Regular, "../up", "")]),
        ("up inside", &[(Directory, "a", ""), (Regular, "a/../../up", "")]),
        ("link to root", &[(Symlink, "a", "/etc")]),
        ("link up", &[(Symlink, "a", "../x")]),
        ("link up from below", &[(Directory, "a", ""), (Symlink, "a/b", "c/../../../x")]),
        ("through a link", &[(Symlink, "a", "b"), (Regular, "a/x", "")]),
        ("hard link", &[(Link, "a", "/etc/passwd")]),
        ("device", &[(Block, "a", "")]),
        ("pipe", &[(Fifo, "a", "")]),
        ("twice", &[(Regular, "a", ""), (Regular, "a", "")]),
    ];
    for (name, entries) in cases {
        let (file, package) = forged(folder.path(), |tar| {
            for (kind, path, link) in entries {
                entry(tar, *kind, path, link, b"");
            }
        });
        let out = folder.path().join("release").join("out");
        fs::create_dir_all(folder.path().join("release")).unwrap();
        assert!(unpack(&file, &package, &out, GO_ON).is_err(), "{name}");
        let _ = fs::remove_dir_all(&out);
        assert_eq!(fs::read_dir(folder.path().join("release")).unwrap().count(), 0, "{name}");
        assert!(!folder.path().join("up").exists(), "{name}");
    }
    assert!(!Path::new("/tmp/orocloud-forged").exists());
}

#[test]
fn a_damaged_package_is_refused_wherever_the_damage_is() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    application(&at("one"));
    let store = Store::open(&at("state")).unwrap();
    let built = pack_it(&at("one"), &store).unwrap();
    let whole = fs::read(store.file(&built.package)).unwrap();
    let cut = whole[..whole.len() - 1].to_vec();
    let mut longer = whole.clone();
    longer.push(0);
    let mut flipped = vec![cut, longer, Vec::new()];
    for position in [0, whole.len() / 2, whole.len() - 1] {
        let mut bytes = whole.clone();
        bytes[position] ^= 1;
        flipped.push(bytes);
    }
    for (index, bytes) in flipped.into_iter().enumerate() {
        let file = at("damaged");
        fs::write(&file, bytes).unwrap();
        let out = at("out");
        assert!(unpack(&file, &built.package, &out, GO_ON).is_err(), "{index}");
        let _ = fs::remove_dir_all(out);
    }
}

#[test]
fn a_package_arrives_whole_or_not_at_all_and_stays_while_a_release_needs_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let content = b"as if it were a package";
    let package = name_of(&blake3::hash(content)).unwrap();
    let params = |release: &str| PackageReceiveParams {
        release: release.parse().unwrap(),
        package: package.clone(),
        size: content.len() as u64,
        files: 1,
    };
    let receive = |pieces: &[&[u8]]| -> std::io::Result<PackageBuilt> {
        let mut receiver = Receiver::new(store.clone(), params("20261124103200"))?.unwrap();
        for piece in pieces {
            receiver.write(piece)?;
        }
        receiver.finish()
    };
    assert!(receive(&[b"as if"]).is_err());
    assert!(receive(&[b"as if it were a packagE"]).is_err());
    assert!(receive(&[content, b"!"]).is_err());
    drop(Receiver::new(store.clone(), params("20261124103200")).unwrap());
    assert_eq!(fs::read_dir(folder.path().join("packages")).unwrap().count(), 0);
    assert_eq!(receive(&[&content[..5], &content[5..]]).unwrap().package, package);
    assert!(Receiver::new(store.clone(), params("20261124113200")).unwrap().is_none());
    assert_eq!(store.releases().unwrap().len(), 2);
    store.forget(&"20261124103200".parse().unwrap()).unwrap();
    assert!(store.has(&package));
    store.forget(&"20261124113200".parse().unwrap()).unwrap();
    assert!(!store.has(&package));
    // What a killed agent left is removed by the next one.
    let mut left = fs::File::create(folder.path().join("packages/.1-0.new")).unwrap();
    left.write_all(b"half").unwrap();
    store.beside().unwrap();
    assert_eq!(fs::read_dir(folder.path().join("packages")).unwrap().count(), 0);
}
