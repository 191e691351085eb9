//! Small files that the operator names: keys and certificates.

use std::{fs, io, path::Path};

use carnet_bundle::Limits;

use crate::error::ImportError;

/// Reads a small file of the operator.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, ImportError> {
    let error = |source| ImportError::Read { path: path.to_owned(), source };
    let bound = Limits::default().manifest_size;
    if fs::metadata(path).map_err(error)?.len() > bound {
        return Err(error(io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {bound} bytes"))));
    }
    fs::read(path).map_err(error)
}
