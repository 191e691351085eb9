//! Layers as they are served: plain, or packed with gzip or zstd.

use std::io::Read;

use carnet_bundle::Reference;
use ruzstd::decoding::{
    StreamingDecoder,
    errors::{FrameDecoderError, ReadFrameHeaderError},
};

use super::Failure;

/// Largest blob that a rule sees, unpacked.
const MAX_BLOB: u64 = 128 * 1024 * 1024;

/// The content of a layer: Conforma, too, goes by the first bytes.
pub(super) fn unpacked(bytes: &[u8], reference: &Reference) -> Result<Vec<u8>, Failure> {
    let mut out = Vec::new();
    let read = match bytes {
        [0x1f, 0x8b, ..] => bounded(flate2::read::MultiGzDecoder::new(bytes), &mut out),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => zstd(bytes, &mut out),
        _ => bounded(bytes, &mut out),
    };
    read.map_err(|reason| Failure::Undefined(format!("{reference}: {reason}")))?;
    if u64::try_from(out.len()).unwrap_or(u64::MAX) > MAX_BLOB {
        return Err(Failure::Limit(format!("{reference}: more than {MAX_BLOB} bytes")));
    }
    Ok(out)
}

/// Appends what `from` has, up to a byte more than a blob may have.
fn bounded(from: impl Read, out: &mut Vec<u8>) -> Result<(), String> {
    let room = (MAX_BLOB + 1).saturating_sub(u64::try_from(out.len()).unwrap_or(u64::MAX));
    from.take(room).read_to_end(out).map(drop).map_err(|error| error.to_string())
}

/// Unpacks frame after frame; those that hold no content are passed over (RFC
/// 8878, section 3.1), as the index of a zstd:chunked layer is one.
fn zstd(mut bytes: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    while !bytes.is_empty() {
        match StreamingDecoder::new(&mut bytes) {
            Ok(frame) => bounded(frame, out)?,
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                let length = usize::try_from(length).map_err(|error| error.to_string())?;
                bytes = bytes.get(length..).ok_or("a frame ends early")?;
            }
            Err(error) => return Err(error.to_string()),
        }
        if u64::try_from(out.len()).unwrap_or(u64::MAX) > MAX_BLOB {
            return Ok(());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(hex: &str) -> Result<Vec<u8>, String> {
        let image = "registry.test/app:v1".parse().unwrap();
        unpacked(&hex::decode(hex).unwrap(), &image).map_err(|failure| format!("{failure:?}"))
    }

    /// The packed texts were made by gzip 1.12 and zstd 1.5.
    #[test]
    fn layers_are_unpacked_by_their_first_bytes() {
        let gzip = "1f8b0800000000000003cb49ac4c2d52c841905c003ab0405c12000000";
        let zstd = "28b52ffd00586d0000386c61796572200a0100314a11";
        let skipped = "5d2a4d180400000061626364";
        assert_eq!(read(gzip).unwrap(), b"layer layer layer\n");
        assert_eq!(read(zstd).unwrap(), b"layer layer layer\n");
        assert_eq!(read(&format!("{zstd}{skipped}{zstd}")).unwrap(), b"layer layer layer\nlayer layer layer\n");
        assert_eq!(read("6c61796572").unwrap(), b"layer");
        for broken in [&zstd[..zstd.len() - 8], &format!("{zstd}5d2a4d18ff00000061"), &format!("{zstd}00"), &gzip[..40]] {
            let error = read(broken).unwrap_err();
            assert!(error.starts_with("Undefined(\"registry.test/app:v1: "), "{error}");
        }
    }

    #[test]
    fn a_bomb_ends_at_a_limit() {
        // Blocks of the largest size, each one byte repeated.
        let block = (128u32 * 1024) << 3 | 0b010;
        let mut bomb = "28b52ffd0058".to_owned();
        for _ in 0..2000 {
            bomb.push_str(&hex::encode(&block.to_le_bytes()[..3]));
            bomb.push_str("00");
        }
        let error = read(&bomb).unwrap_err();
        assert!(error.starts_with("Limit("), "{error}");
    }
}
