//! One small Sigstore instance in which every part can go wrong.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{
    certificate::{CtLog, Spec},
    der,
    keys::{Key, pem, sha256},
    log::{Entry, Log},
    timestamp::{Authority, Flaws},
};

/// 2026-03-01T12:00:00Z, when everything is signed.
pub(crate) const T: i64 = 1_772_366_400;
const DAY: i64 = 86_400;
pub(crate) const IDENTITY: &str = "https://gitlab.example/team/app//.gitlab-ci.yml@refs/heads/main";
pub(crate) const ISSUER: &str = "https://gitlab.example";
/// The image that is signed: its manifest.
pub(crate) const IMAGE: &[u8] = br#"{"schemaVersion":2}"#;
/// The common name that both intermediates have.
pub(crate) const INTERMEDIATE: &str = "forge intermediate";
pub(crate) const PROVENANCE: &str = "https://slsa.dev/provenance/v1";
pub(crate) const IMAGE_SIGNATURE: &str = "https://sigstore.dev/cosign/sign/v1";

pub(crate) struct World {
    pub(crate) root: Key,
    pub(crate) intermediates: [Key; 2],
    pub(crate) ct: Key,
    pub(crate) rekor1: Log,
    pub(crate) rekor2: Log,
    pub(crate) tsa: [Authority; 2],
}

/// A signature and what was signed.
pub(crate) struct Signed {
    pub(crate) certificate: Option<Vec<u8>>,
    pub(crate) verifier_pem: String,
    pub(crate) spki: Vec<u8>,
    pub(crate) payload: Vec<u8>,
    pub(crate) signature: Vec<u8>,
}

impl World {
    pub(crate) fn new() -> Self {
        let log = |host, key, tree, offset| Log { host, key, tree, offset };
        Self {
            root: Key::p256("root"),
            intermediates: [Key::p256("intermediate 0"), Key::p256("intermediate 1")],
            ct: Key::p256("ct"),
            rekor1: log("rekor-v1.example", Key::p256("rekor v1"), Some("1193050959916656506"), 1_000),
            rekor2: log("rekor-v2.example", Key::ed25519("rekor v2"), None, 0),
            tsa: ["tsa0.example", "tsa1.example"]
                .map(|name| Authority::new(name, T - 100 * DAY, T + 1_000 * DAY, "1.3.6.1.5.5.7.3.8")),
        }
    }

    pub(crate) fn root_certificate(&self) -> Vec<u8> {
        Spec::authority("forge root", "forge root", T - 100 * DAY, T + 1_000 * DAY, None).sign(&self.root.spki(), &self.root, &[])
    }

    pub(crate) fn intermediate_certificate(&self, number: usize) -> Vec<u8> {
        let spec = Spec::authority(INTERMEDIATE, "forge root", T - 100 * DAY, T + 1_000 * DAY, Some(0));
        // Fulcio's intermediates name the one usage that they issue for.
        self.intermediate_from(number, &spec.with("2.5.29.37", false, der::sequence(&[der::oid("1.3.6.1.5.5.7.3.3")])))
    }

    pub(crate) fn intermediate_from(&self, number: usize, spec: &Spec) -> Vec<u8> {
        spec.sign(&self.intermediates[number].spki(), &self.root, &[])
    }

    /// A pipeline's certificate for ten minutes.
    pub(crate) fn leaf_spec(&self) -> Spec {
        Spec::leaf(INTERMEDIATE, T - 60, T + 540)
            .names(&[(0x86, IDENTITY.as_bytes())])
            .fulcio(1, ISSUER)
            .fulcio(8, ISSUER)
            .fulcio(14, "refs/heads/main")
    }

    /// Issues it by the first intermediate, logged in the CT log.
    pub(crate) fn issue(&self, spec: &Spec, key: &Key) -> Vec<u8> {
        spec.sign(&key.spki(), &self.intermediates[0], &[self.ct_log()])
    }

    pub(crate) fn ct_log(&self) -> CtLog<'_> {
        CtLog {
            key: &self.ct,
            milliseconds: u64::try_from(T - 59).unwrap() * 1_000,
            extensions: Vec::new(),
            issuer_spki: self.intermediates[0].spki(),
        }
    }

    /// The trust root, to be changed by a case.
    pub(crate) fn trusted_root(&self) -> Value {
        let start = |days: i64| json!({"start": jiff::Timestamp::from_second(T - days * DAY).unwrap().to_string()});
        let log = |log: &Log| {
            json!({
                "baseUrl": format!("https://{}", log.host),
                "hashAlgorithm": "SHA2_256",
                "publicKey": {"rawBytes": STANDARD.encode(log.key.spki()), "keyDetails": log.key.details(), "validFor": start(100)},
                "logId": {"keyId": STANDARD.encode(log.id())},
            })
        };
        let authority = |uri: &str, chain: &[Vec<u8>]| {
            let certificates: Vec<_> = chain.iter().map(|der| json!({"rawBytes": STANDARD.encode(der)})).collect();
            json!({"uri": uri, "certChain": {"certificates": certificates}, "validFor": start(100)})
        };
        let ca = |number| authority("https://fulcio.example", &[self.intermediate_certificate(number), self.root_certificate()]);
        json!({
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [log(&self.rekor1), log(&self.rekor2)],
            // The second one first: who looks for issuers by name finds the wrong one.
            "certificateAuthorities": [ca(1), ca(0)],
            "ctlogs": [{
                "baseUrl": "https://ct.example",
                "hashAlgorithm": "SHA2_256",
                "publicKey": {"rawBytes": STANDARD.encode(self.ct.spki()), "keyDetails": self.ct.details(), "validFor": start(100)},
                "logId": {"keyId": STANDARD.encode(sha256(&self.ct.spki()))},
            }],
            "timestampAuthorities": self.tsa.iter().map(|tsa| authority(&format!("https://{}", tsa.name), &[tsa.leaf.clone(), tsa.root.clone()])).collect::<Vec<_>>(),
        })
    }

    /// Signs a statement of this predicate type about the image, keyless.
    pub(crate) fn keyless(&self, predicate_type: &str) -> Signed {
        self.keyless_by(&self.leaf_spec(), statement(predicate_type))
    }

    pub(crate) fn keyless_by(&self, spec: &Spec, payload: Vec<u8>) -> Signed {
        let key = Key::p256("signer");
        let certificate = self.issue(spec, &key);
        Signed::envelope(&key, Some(certificate), payload)
    }
}

/// A statement as cosign writes it.
pub(crate) fn statement(predicate_type: &str) -> Vec<u8> {
    statement_about(predicate_type, &[hex::encode(sha256(IMAGE))])
}

pub(crate) fn statement_about(predicate_type: &str, digests: &[String]) -> Vec<u8> {
    let subject: Vec<_> = digests.iter().map(|hex| json!({"digest": {"sha256": hex}})).collect();
    let value =
        json!({"_type": "https://in-toto.io/Statement/v1", "subject": subject, "predicateType": predicate_type, "predicate": {}});
    value.to_string().into_bytes()
}

pub(crate) fn simple_signing() -> Vec<u8> {
    let value = json!({
        "critical": {
            "identity": {"docker-reference": "registry.example/team/app"},
            "image": {"docker-manifest-digest": format!("sha256:{}", hex::encode(sha256(IMAGE)))},
            "type": "cosign container image signature",
        },
        "optional": null,
    });
    value.to_string().into_bytes()
}

pub(crate) fn pae(payload: &[u8]) -> Vec<u8> {
    const TYPE: &str = "application/vnd.in-toto+json";
    [format!("DSSEv1 {} {TYPE} {} ", TYPE.len(), payload.len()).as_bytes(), payload].concat()
}

impl Signed {
    pub(crate) fn envelope(key: &Key, certificate: Option<Vec<u8>>, payload: Vec<u8>) -> Self {
        let signature = key.sign(&pae(&payload));
        Self::new(key, certificate, payload, signature)
    }

    /// A signature over the bytes as they are.
    pub(crate) fn message(key: &Key, certificate: Option<Vec<u8>>, payload: Vec<u8>) -> Self {
        let signature = key.sign(&payload);
        Self::new(key, certificate, payload, signature)
    }

    fn new(key: &Key, certificate: Option<Vec<u8>>, payload: Vec<u8>, signature: Vec<u8>) -> Self {
        let verifier_pem = certificate.as_ref().map_or_else(|| key.pem(), |der| pem("CERTIFICATE", der));
        Self { certificate, verifier_pem, spki: key.spki(), payload, signature }
    }

    /// The envelope as a legacy layer stores it.
    pub(crate) fn envelope_bytes(&self) -> Vec<u8> {
        let value = json!({
            "payloadType": "application/vnd.in-toto+json",
            "payload": STANDARD.encode(&self.payload),
            "signatures": [{"keyid": "", "sig": STANDARD.encode(&self.signature)}],
        });
        value.to_string().into_bytes()
    }

    /// What Rekor version 2 logs: the hash of the signed bytes.
    pub(crate) fn hashedrekord_v2(&self) -> Value {
        let verifier = match &self.certificate {
            Some(der) => json!({"keyDetails": "PKIX_ECDSA_P256_SHA_256", "x509Certificate": {"rawBytes": STANDARD.encode(der)}}),
            None => json!({"keyDetails": "PKIX_ECDSA_P256_SHA_256", "publicKey": {"rawBytes": STANDARD.encode(&self.spki)}}),
        };
        json!({"apiVersion": "0.0.2", "kind": "hashedrekord", "spec": {"hashedRekordV002": {
            "data": {"algorithm": "SHA2_256", "digest": STANDARD.encode(sha256(&pae(&self.payload)))},
            "signature": {"content": STANDARD.encode(&self.signature), "verifier": verifier},
        }}})
    }

    pub(crate) fn hashedrekord_v1(&self) -> Value {
        json!({"apiVersion": "0.0.1", "kind": "hashedrekord", "spec": {
            "data": {"hash": {"algorithm": "sha256", "value": hex::encode(sha256(&self.payload))}},
            "signature": {
                "content": STANDARD.encode(&self.signature),
                "publicKey": {"content": STANDARD.encode(&self.verifier_pem)},
            },
        }})
    }

    pub(crate) fn dsse_v1(&self) -> Value {
        json!({"apiVersion": "0.0.1", "kind": "dsse", "spec": {
            "envelopeHash": {"algorithm": "sha256", "value": hex::encode(sha256(&self.envelope_bytes()))},
            "payloadHash": {"algorithm": "sha256", "value": hex::encode(sha256(&self.payload))},
            "signatures": [{"signature": STANDARD.encode(&self.signature), "verifier": STANDARD.encode(&self.verifier_pem)}],
        }})
    }

    /// What Tekton Chains and slsa-github-generator logged: no signature inside.
    pub(crate) fn intoto_v001(&self) -> Value {
        json!({"apiVersion": "0.0.1", "kind": "intoto", "spec": {
            "content": {
                "hash": {"algorithm": "sha256", "value": hex::encode(sha256(&self.envelope_bytes()))},
                "payloadHash": {"algorithm": "sha256", "value": hex::encode(sha256(&self.payload))},
            },
            "publicKey": STANDARD.encode(&self.verifier_pem),
        }})
    }

    /// A Sigstore bundle of version 0.3.
    pub(crate) fn bundle(&self, entries: &[Value], tokens: &[Vec<u8>]) -> Value {
        let mut material = match &self.certificate {
            Some(der) => json!({"certificate": {"rawBytes": STANDARD.encode(der)}}),
            None => json!({"publicKey": {"hint": STANDARD.encode(sha256(&self.spki))}}),
        };
        material["tlogEntries"] = entries.into();
        if !tokens.is_empty() {
            let tokens: Vec<_> = tokens.iter().map(|token| json!({"signedTimestamp": STANDARD.encode(token)})).collect();
            material["timestampVerificationData"] = json!({"rfc3161Timestamps": tokens});
        }
        json!({
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": material,
            "dsseEnvelope": {
                "payload": STANDARD.encode(&self.payload),
                "payloadType": "application/vnd.in-toto+json",
                "signatures": [{"sig": STANDARD.encode(&self.signature)}],
            },
        })
    }

    /// A good bundle as cosign 3 makes it: Rekor version 2 and a timestamp.
    pub(crate) fn bundle_v2(&self, world: &World) -> Value {
        let entry = world.rekor2.log(&Entry::new(self.hashedrekord_v2(), T));
        self.bundle(&[entry], &[self.stamp(world)])
    }

    /// A good bundle with Rekor version 1.
    pub(crate) fn bundle_v1(&self, world: &World) -> Value {
        self.bundle(&[world.rekor1.log(&Entry::new(self.dsse_v1(), T))], &[])
    }

    pub(crate) fn stamp(&self, world: &World) -> Vec<u8> {
        world.tsa[0].stamp(&self.signature, T, &Flaws::default())
    }

    /// Annotations of a legacy layer with this log entry.
    pub(crate) fn annotations(&self, bundle: Option<String>) -> BTreeMap<String, String> {
        let mut map = BTreeMap::new();
        let is_envelope = self.payload.starts_with(b"{\"_type\"");
        let signature = if is_envelope { String::new() } else { STANDARD.encode(&self.signature) };
        map.insert("dev.cosignproject.cosign/signature".to_owned(), signature);
        if self.certificate.is_some() {
            map.insert("dev.sigstore.cosign/certificate".to_owned(), self.verifier_pem.clone());
            map.insert("dev.sigstore.cosign/chain".to_owned(), String::new());
        }
        if let Some(bundle) = bundle {
            map.insert("dev.sigstore.cosign/bundle".to_owned(), bundle);
        }
        map
    }
}
