//! What the fuzz targets share: a property of a parser, its seeds, and what can be
//! made of them.
//!
//! Under `cargo test` each target sees its seeds and a fixed number of changed ones,
//! the same ones in each run; `CARNET_FUZZ=100000` makes more of them. The same
//! property under libFuzzer, which looks for new paths: CONTRIBUTING.md.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test reads its data, and says where the input lies that failed"
)]

use std::path::{Path, PathBuf};

use crate::random::Random;

/// Declares a target. Its seeds lie in `testdata/fuzz/<name>`.
macro_rules! target {
    ($name:ident, $property:expr) => {
        #[test]
        fn $name() {
            let property: fn(&[u8]) = $property;
            crate::target::smoke(stringify!($name), property);
            // Inputs of its own are for the fuzzer: random bytes alone get nowhere.
            bolero::check!().with_iterations(0).for_each(|bytes: &[u8]| property(bytes));
        }
    };
}
pub(crate) use target;

/// What breaks parsers: ends, nesting, numbers at their limits, lengths that lie.
const WORDS: &[&[u8]] = &[
    b"\"",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"{}",
    b"[]",
    b"null",
    b"0",
    b"-1",
    b"1e999",
    b"\n",
    b"\n\n",
    b"\0",
    b" ",
    b"=",
    b"==",
    b"-",
    b"_",
    b"/",
    b"..",
    b"@",
    b"&a",
    b"*a",
    b"%",
    b"\\u0000",
    b"\\ud800",
    b"18446744073709551616",
    b"9223372036854775808",
    b"\xff",
    b"\xe2\x80\x94 ",
    b"\xef\xbb\xbf",
    b"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    b"\x30\x80",
    b"\x30\x84\xff\xff\xff\xff",
    b"\x30\x82",
    b"\x02\x00",
    b"\x03\x01\x08",
    b"\x05\x00",
    b"\x06\x01\x80",
    b"\x1f\x81",
    b"\xa0\x03\x02\x01\x02",
];

/// Tries the property on every seed, and on changed ones.
pub(crate) fn smoke(name: &str, property: fn(&[u8])) {
    let count = std::env::var("CARNET_FUZZ").ok().map_or(2_000, |text| text.parse().unwrap());
    let seeds = seeds(name);
    seeds.iter().for_each(|(_, seed)| property(seed));
    let mut random = Random::new(name.bytes().fold(1, |sum, byte| (sum * 31 + u64::from(byte)) & 0xffff_ffff));
    for _ in 0..count {
        let input = changed(&seeds, &mut random);
        let caught = std::panic::catch_unwind(|| property(&input));
        if let Err(panic) = caught {
            let path = std::env::temp_dir().join(format!("carnet-fuzz-{name}"));
            std::fs::write(&path, &input).unwrap();
            eprintln!("{name}: the input lies in {}", path.display());
            std::panic::resume_unwind(panic);
        }
    }
}

fn seeds(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/fuzz").join(name);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut seeds: Vec<_> =
        entries.map(|entry| entry.unwrap().path()).map(|path| (path.clone(), std::fs::read(path).unwrap())).collect();
    assert!(!seeds.is_empty(), "no seed in {}", folder.display());
    seeds.sort();
    seeds
}

/// One to four changes to one of the seeds.
fn changed(seeds: &[(PathBuf, Vec<u8>)], random: &mut Random) -> Vec<u8> {
    let mut bytes = seeds[random.below(seeds.len())].1.clone();
    for _ in 0..=random.below(4) {
        let place = random.below(bytes.len() + 1);
        let end = (place + 1 + random.below(16)).min(bytes.len());
        match random.below(8) {
            0 => bytes.truncate(place),
            1 => drop(bytes.drain(place.min(end)..end)),
            2 => drop(bytes.splice(place..place, bytes[place.min(end)..end].to_vec())),
            3 => {
                let other = &seeds[random.below(seeds.len())].1;
                let from = random.below(other.len() + 1);
                bytes.splice(place..end.max(place), other[from..].iter().copied().take(64));
            }
            4 | 5 => drop(bytes.splice(place..place, WORDS[random.below(WORDS.len())].iter().copied())),
            6 if place < bytes.len() => bytes[place] = u8::try_from(random.below(256)).unwrap(),
            _ if place < bytes.len() => bytes[place] ^= 1 << random.below(8),
            _ => {}
        }
    }
    bytes
}
