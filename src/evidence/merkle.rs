//! Merkle inclusion proofs (RFC 6962 §2.1.1, RFC 9162 §2.1.3.2).

use ring::digest::{Context, SHA256};

/// Why a proof does not hold.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum ProofError {
    #[error("index {index} is beyond the tree of {size} leaves")]
    Index { index: u64, size: u64 },
    #[error("the proof has {got} hashes and the tree needs {}", if *.got > *.read { "fewer" } else { "more" })]
    Length { got: usize, read: usize },
    #[error("the proof leads to root {got}, the signed root is {want}")]
    Root { got: String, want: String },
}

/// Verifies that the leaf with this hash stands at `index` in the tree of `size`
/// leaves with this `root`.
pub(crate) fn verify_inclusion(
    leaf: &[u8; 32],
    index: u64,
    size: u64,
    hashes: &[[u8; 32]],
    root: &[u8; 32],
) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::Index { index, size });
    }
    let (mut node, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for (read, sibling) in hashes.iter().enumerate() {
        if last == 0 {
            return Err(ProofError::Length { got: hashes.len(), read });
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(ProofError::Length { got: hashes.len(), read: hashes.len() });
    }
    if hash != *root {
        return Err(ProofError::Root { got: hex::encode(hash), want: hex::encode(root) });
    }
    Ok(())
}

/// SHA-256 of a zero byte and the leaf.
pub(crate) fn leaf_hash(leaf: &[u8]) -> [u8; 32] {
    digest(&[&[0], leaf])
}

fn node_hash(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    digest(&[&[1], left, right])
}

fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    parts.iter().for_each(|part| context.update(part));
    let mut bytes = [0; 32];
    bytes.copy_from_slice(context.finish().as_ref());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Root and paths by the recursive definition of RFC 6962, so that the loop
    /// is not tested against itself.
    fn root(leaves: &[Vec<u8>]) -> [u8; 32] {
        match leaves {
            [leaf] => leaf_hash(leaf),
            _ => {
                let (left, right) = leaves.split_at(split(leaves.len()));
                node_hash(&root(left), &root(right))
            }
        }
    }

    fn path(index: usize, leaves: &[Vec<u8>]) -> Vec<[u8; 32]> {
        if leaves.len() == 1 {
            return Vec::new();
        }
        let k = split(leaves.len());
        let (left, right) = leaves.split_at(k);
        let (mut below, sibling) =
            if index < k { (path(index, left), root(right)) } else { (path(index - k, right), root(left)) };
        below.push(sibling);
        below
    }

    fn split(n: usize) -> usize {
        n.next_power_of_two() / 2
    }

    #[test]
    fn every_leaf_of_every_small_tree_is_proved_and_nothing_else() {
        for size in 1..=17_usize {
            let leaves: Vec<Vec<u8>> = (0..size).map(|n| vec![u8::try_from(n).unwrap()]).collect();
            let want = root(&leaves);
            for (index, leaf) in leaves.iter().enumerate() {
                let proof = path(index, &leaves);
                let at = |index: usize, size: usize, proof: &[[u8; 32]]| {
                    verify_inclusion(&leaf_hash(leaf), u64::try_from(index).unwrap(), u64::try_from(size).unwrap(), proof, &want)
                };
                assert_eq!(at(index, size, &proof), Ok(()), "{index} of {size}");
                assert!(at(size, size, &proof).is_err());
                assert!(index == 0 || at(index - 1, size, &proof).is_err());
                let mut longer = proof.clone();
                longer.push([0; 32]);
                assert!(matches!(at(index, size, &longer), Err(ProofError::Length { .. })));
                if let Some((_, shorter)) = proof.split_last() {
                    assert!(at(index, size, shorter).is_err());
                }
            }
        }
    }

    #[test]
    fn rfc_6962_empty_leaf_hash() {
        assert_eq!(hex::encode(leaf_hash(b"")), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
    }
}
