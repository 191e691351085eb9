//! Findings about the sources of a policy (step V13.4).

carnet_bundle::codes! {
    SOURCE_NOT_ANCHORED = "policy-source-not-anchored" "V13.4" Failure
        "A source of policy.yaml names no exact content, and nothing that the operator gave does: whoever wrote the archive would choose the rules. No verdict."
        "pin the source in policy.yaml (`carnet policy pin`), or give --policy-lock FILE, --policy-source URL=DIRECTORY or --bundle-id DIGEST; --accept-bundled-sources takes it on the exporter's word";
    SOURCE_INSECURE = "policy-source-insecure" "V13.4" Failure
        "A source of policy.yaml would be fetched over plain http. No verdict."
        "write the source with https";
    SOURCE_UNSUPPORTED = "policy-source-unsupported" "V13.4" Failure
        "A source of policy.yaml has a form that neither Conforma nor carnet fetches. No verdict."
        "write git::host/org/repository//directory?ref=REVISION, oci::registry/repository:tag, https://host/file or a path";
    SOURCE_UNREADABLE = "policy-source-unreadable" "V13.4" Failure
        "A directory of the operator that stands for a source cannot be read. No verdict."
        "check the path, which is relative to the working directory; a repository is written git::host/org/repository";
    SOURCE_WITHOUT_RULES = "policy-source-without-rules" "V13.4" Failure
        "A source of rules holds no .rego file: nothing of it would be evaluated. No verdict."
        "correct the directory in the URL";
    SOURCE_NOT_CARRIED = "policy-source-not-carried" "V13.4" Failure
        "The archive does not hold the content that a source of policy.yaml is fixed to."
        "export again with this policy.yaml, or give --policy-source URL=DIRECTORY";
    SOURCE_PIN_MISMATCH = "policy-source-pin-mismatch" "V13.4" Failure
        "The content that the archive holds for a source is another commit or another manifest than the one it is fixed to."
        "do not trust the archive; export again";
    SOURCE_OBJECT_REPLACED = "policy-source-object-replaced" "V13.4" Failure
        "A file or directory of a git source was replaced: its bytes do not hash to the id that the commit names."
        "do not trust the archive; export again";
    SOURCE_OBJECT_MISSING = "policy-source-object-missing" "V13.4" Failure
        "An object that a source is made of is not in the archive."
        "do not trust the archive; export again";
    SOURCE_MALFORMED = "policy-source-malformed" "V13.4" Failure
        "The content of a source cannot be read: not the form that carnet writes, or not what its pin can name."
        "export again with a current carnet";
    SOURCE_COLLISION = "policy-source-sha1-collision" "V13.4" Failure
        "An object of a git source was made to collide with another under SHA-1."
        "do not trust the archive; use a repository of SHA-256";
    SOURCE_UNSAFE_TREE = "policy-source-unsafe-tree" "V13.4" Failure
        "A source holds a symbolic link, a submodule or a name that two systems read in two ways."
        "remove it from the directory that policy.yaml names, or name a directory without it";
    SOURCE_TOO_LARGE = "policy-source-too-large" "V13.4" Failure
        "A source holds more files or deeper directories than a policy has. No verdict."
        "name the directory of the rules, not the whole repository";
    LOCK_MISMATCH = "policy-lock-mismatch" "V13.4" Failure
        "The archive holds other content for a source than the policy lock of the operator names."
        "do not trust the archive, or give the lock that was written with it";
    LOCK_UNREADABLE = "policy-lock-unreadable" "V13.4" Failure
        "The policy lock in the archive cannot be read, so nothing says which content stands for which source."
        "export again with a current carnet";
}
