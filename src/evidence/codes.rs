//! The finding codes of this room.
//!
//! A code that speaks of one piece of evidence is a warning: that piece is not
//! counted, and by itself it fails nothing, because anyone who may push can
//! place a bad piece beside a good one. Whether enough good pieces are left is
//! asked elsewhere. Codes of the trust root are failures.

carnet_bundle::codes! {
    TRUST_ROOT_AGED = "trust-root-aged" "V5.3" Warning
        "The newest entry of the trust root is older than the rule allows."
        "fetch a newer trusted_root.json; keys that were retired since are still trusted by this one";
    HOST_CLOCK_IMPLAUSIBLE = "host-clock-implausible" "V5.4" Warning
        "The clock of this host is earlier than a time that a log or timestamp authority has signed."
        "set the clock of this host; the signature itself was found good";
    TUF_METADATA_MALFORMED = "tuf-metadata-malformed" "V5.5" Failure
        "A file of the carried TUF chain cannot be read, or two of them contradict each other."
        "export again with the chain that `carnet trust fetch` kept";
    TUF_METADATA_MISSING = "tuf-metadata-missing" "V5.5" Failure
        "A file that the TUF chain needs is not carried."
        "export again with --tuf-chain, or give the trust root itself with --trusted-root";
    TUF_THRESHOLD_NOT_MET = "tuf-threshold-not-met" "V5.6" Failure
        "Too few of the keys that may sign a file of the TUF chain have signed it."
        "give the root.json of the repository that made this chain; where it is that one, do not trust the archive, and export again";
    TUF_VERSION_MISMATCH = "tuf-version-mismatch" "V5.7" Failure
        "A file of the TUF chain has another version than the one that has to follow."
        "export again with the whole chain; a file was left out or replaced";
    TUF_ROLLBACK = "tuf-rollback" "V5.7" Failure
        "A file of the TUF chain is older than the least version that the trust policy accepts."
        "export again with a newer chain; this one was true once, and is replayed";
    TUF_DIGEST_MISMATCH = "tuf-digest-mismatch" "V5.8" Failure
        "A file has not the length or digest that the TUF chain signs for."
        "do not trust the archive; export again: the file was changed";
    TUF_METADATA_EXPIRED = "tuf-metadata-expired" "V5.9" Failure
        "A file of the TUF chain has expired."
        "fetch the chain again with `carnet trust fetch`, or say in trustRoot.tuf.expiredMetadata for how long that is accepted";
    EVIDENCE_NOT_CARRIED = "payload-not-carried" "V6.1" Warning
        "The payload of a piece of evidence is not in the bundle."
        "export again without leaving evidence out";
    EVIDENCE_MALFORMED = "evidence-malformed" "V6.2" Warning
        "A piece of evidence is not of the shape that its type demands."
        "ask the signer for new evidence";
    AMBIGUOUS_JSON = "ambiguous-json" "V6.3" Warning
        "A signed document has a key twice, or keys that differ in letter case only: two readers would read two documents."
        "do not trust the signer's tool; ask for a new attestation";
    EVIDENCE_LIMIT_EXCEEDED = "evidence-limit-exceeded" "V6.4" Warning
        "A piece of evidence asks for more work or memory than one piece may."
        "look at who placed it, and remove it from the registry if nobody needs it";
    UNSUPPORTED_BUNDLE_VERSION = "unsupported-bundle-version" "V6.5" Warning
        "A Sigstore bundle is of a version that this carnet does not know."
        "use a newer carnet, or ask the signer for a Sigstore bundle of version 0.3";
    LOG_EVIDENCE_MISSING = "log-evidence-missing" "V6.6" Warning
        "A log entry lacks the signed entry timestamp or the inclusion proof with checkpoint that its format demands."
        "ask the signer for new evidence";
    CERTIFICATE_MALFORMED = "certificate-malformed" "V6.7" Warning
        "A signing certificate cannot be read or does not name exactly one subject."
        "ask the signer for new evidence, and look at who issued the certificate";
    UNSUPPORTED_STATEMENT_TYPE = "unsupported-statement-type" "V6.8" Warning
        "A signed payload is not of type application/vnd.in-toto+json, or not an in-toto statement of version 0.1 or 1."
        "use a newer carnet, or ask the signer for an in-toto statement of version 1";
    UNSIGNED_STATEMENT = "unsigned-statement" "V6.9" Note
        "A statement carries no signature; only the digest of its index binds it."
        "sign the statement, or set attestations.buildkit in the trust policy where a signed index that binds it is enough";
    NOT_VERIFIED_KIND = "not-verified-kind" "V6.10" Note
        "Evidence of a kind that carnet carries and lists but does not verify."
        "verify it with the tool of its format";
    SIGNATURE_INVALID = "signature-invalid" "V7.1" Warning
        "A signature does not verify over what it claims to sign."
        "do not trust it: the content or the signature was changed; ask the signer for new evidence";
    SIGNATURE_NOT_COUNTED = "signature-not-counted" "V7.1" Note
        "An envelope has further signatures, by other keys or by the same one; one is counted."
        "nothing: signatures by other keys take nothing away from the one that is counted";
    UNSUPPORTED_ALGORITHM = "unsupported-algorithm" "V7.2" Warning
        "A key or signature is of an algorithm that carnet does not accept."
        "sign with ECDSA P-256 or P-384, Ed25519 or RSA of 2048 bits and more";
    KEY_MISMATCH = "key-mismatch" "V7.3" Warning
        "A signature was not made by the key that the operator gave."
        "check the key; if it is right, someone else signed";
    KEY_NOT_VALID_AT_SIGNING = "key-not-valid-at-signing" "V7.3" Warning
        "The operator trusts the key for a time only, and nothing shows that it signed within it."
        "widen the window, or sign with a timestamp";
    SIGNER_KIND_MISMATCH = "signer-kind-mismatch" "V7.4" Warning
        "The rules ask for a key and the evidence has a certificate, or the other way round."
        "give --public-key for key-signed evidence, --certificate-identity and --certificate-oidc-issuer for keyless evidence";
    SUBJECT_MISMATCH = "subject-mismatch" "V7.5" Warning
        "A signature speaks of another artifact than the one it is filed under."
        "look for the evidence of this image; this piece may have been moved here, and says nothing about it";
    REPOSITORY_MISMATCH = "repository-mismatch" "V7.6" Warning
        "A simple-signing payload names another repository than the one asked for."
        "relax repositoryMatch in the trust policy if images are mirrored under other names";
    SIGNED_UNDER_ANOTHER_NAME = "signed-under-another-name" "V7.6" Note
        "A simple-signing payload names another repository than the one the image is asked for in."
        "nothing, if the image was promoted or mirrored; set signatures.repositoryMatch in the trust policy where the name matters";
    VERIFIERS_DISAGREE = "verifiers-disagree" "V7.7" Warning
        "The second verifier refuses what the first one accepted."
        "treat the evidence as bad and report this as a defect of carnet";
    NO_LOG_ENTRY = "no-log-entry" "V8.1" Warning
        "A signature has no verified entry in a transparency log."
        "ask the signer to log its signatures; for one that never does, set logThreshold in the trust policy or use --ignore-rekor";
    LOG_NOT_TRUSTED = "log-not-trusted" "V8.2" Warning
        "A log entry names a log that the trust root does not list."
        "give the trust root of the instance that signed with --trusted-root; a newer one may list the log";
    UNSUPPORTED_ENTRY_KIND = "unsupported-entry-kind" "V8.3" Warning
        "A log entry is of a kind or version that cannot describe this signature or that carnet does not know."
        "use a newer carnet, or ask the signer for new evidence";
    LOG_ENTRY_MISMATCH = "log-entry-mismatch" "V8.4" Warning
        "A log entry describes another signature, key or payload than the one at hand."
        "do not trust it: the entry belongs to other evidence; ask the signer for new evidence";
    SET_INVALID = "set-invalid" "V8.5" Warning
        "The log's signed entry timestamp does not verify."
        "do not trust it: the entry was changed after the log signed it; ask the signer for new evidence";
    INCLUSION_PROOF_INVALID = "inclusion-proof-invalid" "V8.6" Warning
        "The inclusion proof does not lead from the log entry to the signed tree head."
        "do not trust it: the entry is not in the tree whose head is shown; ask the signer for new evidence";
    CHECKPOINT_INVALID = "checkpoint-invalid" "V8.7" Warning
        "The checkpoint is malformed or not signed by the log that the entry names."
        "do not trust it: the tree head was not made by that log; ask the signer for new evidence";
    LOG_NOT_VALID_AT_TIME = "log-not-valid-at-time" "V8.8" Warning
        "The signing time lies outside the time for which the trust root trusts the log."
        "sign again by a log of today, or give the trust root that covers that time; a retired log key says nothing about later times";
    DUPLICATE_LOG_ENTRY = "duplicate-log-entry" "V8.9" Warning
        "Two log entries of one bundle name the same log and index."
        "ask the signer for new evidence";
    CHECKPOINT_NOT_WITNESSED = "checkpoint-not-witnessed" "V8.10" Warning
        "Fewer of the operator's witnesses cosigned the checkpoint than the rules ask for."
        "wait for a witnessed checkpoint, or check the keys of the witnesses";
    TIMESTAMP_INVALID = "timestamp-invalid" "V9.1" Warning
        "A timestamp that names a trusted authority does not verify over this signature."
        "do not trust it: the timestamp was changed or belongs to another signature; ask the signer for new evidence";
    TIMESTAMP_NOT_TRUSTED = "timestamp-not-trusted" "V9.2" Warning
        "A timestamp is of an authority that the trust root does not list; it is not counted."
        "give the trust root that lists the authority with --trusted-root; a newer one may";
    TIMESTAMP_OUTSIDE_VALIDITY = "timestamp-outside-validity" "V9.3" Warning
        "A timestamp lies outside the time for which its authority or its certificates are trusted."
        "sign again with a timestamp of today's authority, or give the trust root that covers that time; a retired one says nothing about later times";
    TIMESTAMP_REPEATED = "timestamp-repeated" "V9.4" Note
        "A timestamp stands in the evidence twice; it is counted once."
        "nothing: it is counted once";
    NO_VERIFIED_TIME = "no-verified-time" "V9.5" Warning
        "Nothing trustworthy says when the signature was made."
        "give the trust root that lists the log or timestamp authority, or sign again with one; the clock is never asked";
    CERTIFICATE_CHAIN_UNTRUSTED = "certificate-chain-untrusted" "V10.1" Warning
        "The signing certificate does not lead to an authority of the trust root."
        "check which Sigstore instance signed and give its trust root";
    CERTIFICATE_EXPIRED_AT_SIGNING = "certificate-expired-at-signing" "V10.2" Warning
        "The signing certificate was not valid at the verified signing time."
        "sign again while the certificate is valid; the signature was made after it had ended, or before it began";
    CERTIFICATE_AUTHORITY_NOT_VALID_AT_SIGNING = "certificate-authority-not-valid-at-signing" "V10.3" Warning
        "The authority, or a certificate of its chain, was not valid or not trusted at the verified signing time."
        "give a newer trust root, which may know the authority's later certificates";
    ROOT_CERTIFICATE_DROPPED = "root-certificate-dropped" "V10.4" Note
        "The evidence carries a self-signed certificate; it is never an anchor and was left out of the path."
        "nothing: roots come from the trust root alone";
    SCT_MISSING = "sct-missing" "V10.5" Warning
        "The signing certificate has no signed certificate timestamp."
        "sign by an instance with a CT log; for one without, set certificates.sctThreshold in the trust policy";
    SCT_LOG_UNKNOWN = "sct-log-unknown" "V10.6" Warning
        "The certificate timestamp is of a CT log that the trust root does not list for that time."
        "give the trust root of the instance that signed with --trusted-root; a newer one may list the log";
    SCT_INVALID = "sct-invalid" "V10.7" Warning
        "The certificate timestamp does not verify."
        "do not trust it: the certificate was not logged as it is shown, or by another issuer; ask the signer for new evidence";
    IDENTITY_MISMATCH = "identity-mismatch" "V11.1" Warning
        "The signer's certificate names another identity than the rules ask for."
        "compare both, and correct the identity that is asked for if it is written differently; else someone else signed";
    ISSUER_MISMATCH = "issuer-mismatch" "V11.2" Warning
        "The signer's identity was vouched for by another issuer than the rules ask for."
        "check --certificate-oidc-issuer, or the issuer in policy.yaml";
    IDENTITY_PATTERN_UNANCHORED = "identity-pattern-unanchored" "V11.3" Warning
        "An identity pattern is not anchored: it also matches longer texts that contain a match."
        "write ^ at the start and $ at the end";
    IDENTITY_PATTERN_BROAD = "identity-pattern-broad" "V11.4" Warning
        "An identity pattern matches far more than one host: it accepts anything, or has an unescaped dot in a host name."
        "escape the dots of host names and name the part that matters";
    CERTIFICATE_RULES_UNUSED = "certificate-rules-unused" "V11.5" Note
        "The trust policy says how to read certificates, and the signer is a key, which has none."
        "ask for an identity if a certificate was meant; else leave these keys out of the file";
    CERTIFICATE_EXTENSION_MISMATCH = "certificate-extension-mismatch" "V11.5" Warning
        "The signer's certificate lacks an extension, or carries another value, than the trust policy asks for."
        "compare both, and correct the trust policy if the value is written differently; else it was built elsewhere, from another source or by another trigger";
    SOURCE_CONTRADICTION = "source-contradiction" "V11.6" Failure
        "A provenance names another source repository, commit or ref than the certificate that signed it states."
        "the job that signed did not build what the predicate says; correct what writes the predicate, or set attestations.sourceContradiction in the trust policy";
    SOURCE_NOT_COMPARABLE = "source-not-comparable" "V11.6" Note
        "A provenance and the certificate that signed it do not both say what source was built, so they were not compared."
        "take the source from the certificate (certificates.extensions in the trust policy) where it matters";
    BUILDER_CONTRADICTION = "builder-contradiction" "V11.7" Note
        "A provenance names another builder or run than the certificate that signed it states."
        "set attestations.builderContradiction in the trust policy where the two have to agree";
}
