//! Archives that are none, or hostile ones.

use std::{
    fs::{self, File},
    io::Write,
    os::unix::{ffi::OsStringExt, fs::symlink},
    path::PathBuf,
    process::ChildStdin,
};

use carnet_bundle::{
    Digest,
    container::{BLOCK, blob_name, header},
};
use flate2::{Compression, GzBuilder};

use crate::{
    Case, Ends,
    stage::{Run, Stage, members, tar, unpack},
};

const GIB: u64 = 1 << 30;

pub(crate) const CASES: &[Case] = &[
    Case { name: "archive/untouched", arrange: Stage::verify_good, ends: Ends::Pass },
    Case {
        name: "archive/unpacked",
        arrange: |stage| {
            unpack(&stage.path("app"));
            stage.verify("app")
        },
        ends: Ends::Pass,
    },
    Case {
        name: "archive/not_a_tar",
        arrange: |stage| given(stage, b"PK\x03\x04 zip\n"),
        ends: Ends::NoResult("not a carnet archive"),
    },
    Case {
        name: "archive/not_a_tar_and_long",
        arrange: |stage| given(stage, &b"all work and no play\n".repeat(4096)),
        ends: Ends::NoResult("not a carnet archive"),
    },
    Case {
        name: "archive/only_zeros",
        arrange: |stage| given(stage, &[0; 10 * BLOCK]),
        ends: Ends::NoResult("not a carnet archive"),
    },
    Case { name: "archive/empty_file", arrange: |stage| given(stage, b""), ends: Ends::NoResult("the input is empty") },
    Case {
        name: "archive/empty_standard_input",
        arrange: |stage| stage.verify("-").fed(drop),
        ends: Ends::NoResult("the input is empty"),
    },
    Case {
        name: "archive/empty_directory",
        arrange: |stage| {
            fs::create_dir(stage.path("app")).unwrap();
            stage.verify("app")
        },
        ends: Ends::NoResult("there is no oci-layout"),
    },
    Case {
        name: "archive/a_tar_without_a_bundle",
        arrange: |stage| given(stage, &tar(&members()[..1])),
        ends: Ends::NoResult("index.json"),
    },
    Case { name: "archive/gzip_bomb", arrange: gzip_bomb, ends: Ends::NoResult("gzip ratio exceeds the limit") },
    Case {
        name: "archive/gzip_of_nothing",
        arrange: |stage| given(stage, &gzip(b"")),
        ends: Ends::NoResult("not a carnet archive"),
    },
    Case {
        name: "archive/gzip_cut_off",
        arrange: |stage| {
            let bytes = gzip(&tar(&members()));
            given(stage, &bytes[..bytes.len() / 2])
        },
        ends: Ends::NoResult("gzip: "),
    },
    Case {
        name: "archive/a_million_members",
        arrange: |stage| stage.verify("-").fed(a_million_members),
        ends: Ends::NoResult("members exceeds the limit of 100000"),
    },
    Case {
        name: "archive/cut_off_in_a_member",
        arrange: |stage| {
            let bytes = tar(&members());
            given(stage, &bytes[..bytes.len() / 2])
        },
        ends: Ends::NoResult("the archive is cut off in blobs/sha256/"),
    },
    Case {
        name: "archive/name_that_leads_out",
        arrange: |stage| named(stage, "../../evil"),
        ends: Ends::NoResult("../../evil: not a name"),
    },
    Case {
        name: "archive/name_that_leads_out_of_blobs",
        arrange: |stage| named(stage, "blobs/sha256/../../../evil"),
        ends: Ends::NoResult("not a name"),
    },
    Case {
        name: "archive/absolute_name",
        arrange: |stage| named(stage, "/etc/passwd"),
        ends: Ends::NoResult("/etc/passwd: not a name"),
    },
    Case {
        name: "archive/name_with_a_terminal_escape",
        arrange: |stage| named(stage, "\x1b]0;owned\x07"),
        ends: Ends::NoResult("\\u{1b}]0;owned\\u{7}: not a name"),
    },
    Case {
        name: "archive/pax_header_that_lies_about_a_size",
        arrange: pax_size_lie,
        ends: Ends::NoResult("not a name that a member may have"),
    },
    Case {
        name: "archive/pax_header_under_a_good_name",
        arrange: |stage| typed(stage, b'x'),
        ends: Ends::NoResult("differs from the one canonical header"),
    },
    Case {
        name: "archive/symlink_in_a_tar",
        arrange: |stage| typed(stage, b'2'),
        ends: Ends::NoResult("differs from the one canonical header"),
    },
    Case {
        name: "archive/hard_link_in_a_tar",
        arrange: |stage| typed(stage, b'1'),
        ends: Ends::NoResult("differs from the one canonical header"),
    },
    Case {
        name: "archive/device_in_a_tar",
        arrange: |stage| typed(stage, b'3'),
        ends: Ends::NoResult("differs from the one canonical header"),
    },
    Case {
        name: "archive/ten_gib_of_evidence_sparse",
        arrange: |stage| large_evidence(stage, true),
        ends: Ends::NoResult("exceeds the limit"),
    },
    Case {
        name: "archive/ten_gib_of_evidence_cut_off",
        arrange: |stage| large_evidence(stage, false),
        ends: Ends::NoResult("exceeds the limit"),
    },
    Case {
        name: "directory/symlink_as_blob",
        arrange: |stage| {
            let path = unpacked_blob(stage);
            fs::rename(&path, stage.path("elsewhere")).unwrap();
            symlink(stage.path("elsewhere"), path).unwrap();
            stage.verify("app")
        },
        ends: Ends::NoResult("not a regular file"),
    },
    Case {
        name: "directory/symlink_as_folder",
        arrange: |stage| {
            unpack(&stage.path("app"));
            fs::rename(stage.path("app/blobs"), stage.path("elsewhere")).unwrap();
            symlink(stage.path("elsewhere"), stage.path("app/blobs")).unwrap();
            stage.verify("app")
        },
        ends: Ends::NoResult("not a regular file"),
    },
    Case {
        name: "directory/file_name_that_is_no_utf8",
        arrange: |stage| {
            unpack(&stage.path("app"));
            fs::write(stage.path("app").join(std::ffi::OsString::from_vec(b"\xff\xfe".to_vec())), b"x").unwrap();
            stage.verify("app")
        },
        ends: Ends::Fail("member-not-listed"),
    },
    Case {
        name: "directory/file_that_was_removed",
        arrange: |stage| {
            fs::remove_file(unpacked_blob(stage)).unwrap();
            stage.verify("app")
        },
        ends: Ends::Fail("member-missing"),
    },
    Case {
        name: "json/deep_index",
        arrange: |stage| with_member(stage, 1, deep("[", "]").into_bytes()),
        ends: Ends::NoResult("index.json"),
    },
    Case {
        name: "json/duplicate_keys_in_the_index",
        arrange: |stage| with_member(stage, 1, doubled(&members()[1].1)),
        ends: Ends::NoResult("duplicate key"),
    },
    Case {
        name: "json/index_that_is_no_utf8",
        arrange: |stage| with_member(stage, 1, b"{\"a\":\"\xff\"}".to_vec()),
        ends: Ends::NoResult("index.json"),
    },
    Case {
        name: "json/index_cut_off",
        arrange: |stage| with_member(stage, 1, members()[1].1[..20].to_vec()),
        ends: Ends::NoResult("index.json"),
    },
    Case {
        name: "json/deep_bundle_index",
        arrange: |stage| with_bundle_index(stage, deep("{\"a\":", "}").into_bytes()),
        ends: Ends::Fail("bundle-index-malformed"),
    },
    Case {
        name: "json/duplicate_keys_in_the_bundle_index",
        arrange: |stage| with_bundle_index(stage, doubled(&members()[2].1)),
        ends: Ends::Fail("bundle-index-malformed"),
    },
    Case {
        name: "json/bundle_index_that_is_no_utf8",
        arrange: |stage| with_bundle_index(stage, b"{\"a\":\"\xff\"}".to_vec()),
        ends: Ends::Fail("bundle-index-malformed"),
    },
];

/// JSON far deeper than any reader can recurse.
pub(crate) fn deep(open: &str, close: &str) -> String {
    const DEPTH: usize = 200_000;
    open.repeat(DEPTH) + "1" + &close.repeat(DEPTH)
}

/// An object whose first key stands a second time.
fn doubled(object: &[u8]) -> Vec<u8> {
    [b"{\"mediaType\":\"application/vnd.oci.image.index.v1+json\",", &object[1..]].concat()
}

fn given(stage: &Stage, bytes: &[u8]) -> Run {
    stage.verify(stage.file("bad", bytes))
}

/// A good archive with another first name.
fn named(stage: &Stage, name: &str) -> Run {
    let mut members = members();
    members.insert(1, (name.to_owned(), b"evil".to_vec()));
    given(stage, &tar(&members))
}

/// A good archive whose second member has another type flag.
fn typed(stage: &Stage, flag: u8) -> Run {
    let mut bytes = tar(&members());
    let at = 2 * BLOCK;
    bytes[at + 156] = flag;
    bytes[at + 148..at + 156].copy_from_slice(b"        ");
    let sum: u32 = bytes[at..at + BLOCK].iter().map(|byte| u32::from(*byte)).sum();
    bytes[at + 148..at + 156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    given(stage, &bytes)
}

/// What GNU tar writes before a member whose size does not fit, with another size.
fn pax_size_lie(stage: &Stage) -> Run {
    let record = b"16 size=1048576\n";
    let mut pax = header("PaxHeaders/index.json", record.len() as u64);
    pax[156] = b'x';
    let good = tar(&members());
    let mut padded = record.to_vec();
    padded.resize(BLOCK, 0);
    given(stage, &[&good[..2 * BLOCK], &pax, &padded, &good[2 * BLOCK..]].concat())
}

/// The first payload of evidence claims 10 GiB, with a hole for data or without.
fn large_evidence(stage: &Stage, sparse: bool) -> Run {
    let members = members();
    let is_evidence = |bytes: &[u8]| bytes.windows(20).any(|window| window == b"verificationMaterial");
    let at = members.iter().position(|(_, bytes)| is_evidence(bytes)).unwrap();
    let before = tar(&members[..at]);
    let path = stage.file("bad", &before[..before.len() - 2 * BLOCK]);
    let mut file = File::options().append(true).open(&path).unwrap();
    file.write_all(&header(&members[at].0, 10 * GIB)).unwrap();
    if sparse {
        file.set_len(file.metadata().unwrap().len() + 10 * GIB + 1024).unwrap();
    }
    stage.verify(path)
}

fn with_member(stage: &Stage, at: usize, bytes: Vec<u8>) -> Run {
    let mut members = members();
    members[at].1 = bytes;
    given(stage, &tar(&members))
}

/// A good archive whose index.json names another bundle index.
fn with_bundle_index(stage: &Stage, bytes: Vec<u8>) -> Run {
    let mut members = members();
    let index_json = String::from_utf8(members[1].1.clone()).unwrap();
    let old = Digest::of(&members[2].1);
    let entry = |digest: &Digest, size: usize| {
        format!("\"{digest}\",\"mediaType\":\"application/vnd.oci.image.index.v1+json\",\"size\":{size}")
    };
    let changed = index_json.replace(&entry(&old, members[2].1.len()), &entry(&Digest::of(&bytes), bytes.len()));
    assert_ne!(index_json, changed);
    members[1].1 = changed.into_bytes();
    members[2] = (blob_name(&Digest::of(&bytes)), bytes);
    given(stage, &tar(&members))
}

fn unpacked_blob(stage: &Stage) -> PathBuf {
    unpack(&stage.path("app"));
    stage.path("app").join(&members()[5].0)
}

/// 64 MiB that unpack from 64 KiB, in the one form of gzip that is read at all.
fn gzip_bomb(stage: &Stage) -> Run {
    let zeros = vec![0; 64 << 20];
    let name = blob_name(&Digest::of(&zeros));
    let head = header(&name, zeros.len() as u64);
    given(stage, &gzip(&[head.as_slice(), &zeros].concat()))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzBuilder::new().mtime(0).operating_system(255).write(Vec::new(), Compression::new(6));
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Empty blobs under a million names, or as many as are taken.
fn a_million_members(mut pipe: ChildStdin) {
    for thousand in 0..1000 {
        let mut headers = Vec::with_capacity(1000 * BLOCK);
        for one in 0..1000 {
            headers.extend_from_slice(&header(&blob_name(&Digest::of(format!("{thousand} {one}").as_bytes())), 0));
        }
        if pipe.write_all(&headers).is_err() {
            return;
        }
    }
}
