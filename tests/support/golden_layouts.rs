//! The images of the recorded runs, as the exporter is given them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

/// The words that name a layout for every recorded repository.
pub(crate) fn layouts() -> Vec<String> {
    let root = testdata("goldens");
    let refs: Value = serde_json::from_slice(&fs::read(root.join("images/refs.json")).unwrap()).unwrap();
    let repositories = refs["repositories"].as_object().unwrap().iter();
    let words = |(repository, entry): (&String, &Value)| {
        let layout = root.join(entry["layout"].as_str().unwrap());
        ["--from".to_owned(), format!("{repository}=oci:{}", layout.display())]
    };
    repositories.flat_map(words).collect()
}

/// The verifier that was built beside `carnet`.
pub(crate) fn verifier() -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_carnet")).with_file_name("carnet-verify");
    assert!(path.exists(), "{} is missing: build the workspace first (cargo build --workspace)", path.display());
    path
}

pub(crate) fn testdata(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata").join(path).canonicalize().unwrap()
}
