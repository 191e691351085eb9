//! Finding codes of gate 1, integrity (`bundle-spec/verify.md` V1 to V4).

crate::codes! {
    ARCHIVE_NOT_CANONICAL = "archive-not-canonical" "V1.2" Failure
        "A tar that is not the one canonical sequence of bytes."
        "unpack it with tar and verify the directory, or copy the archive again without re-packing it";
    MEMBER_DUPLICATE = "member-duplicate" "V1.3" Failure
        "A member name stands twice, so two readers could see two contents."
        "export or copy the archive again; this one was changed";
    BUNDLE_ID_MISMATCH = "bundle-id-mismatch" "V2.2" Failure
        "The bundle is not the one whose id was given."
        "ask the exporter for the id of this archive, or for the archive with that id";
    INDEX_MALFORMED = "bundle-index-malformed" "V2.3" Failure
        "The bundle index does not have the one allowed form."
        "export the images again";
    BLOB_DIGEST_MISMATCH = "blob-digest-mismatch" "V3.1" Failure
        "The bytes of a blob do not have the digest that names them: a swapped or damaged blob."
        "copy or export the archive again; this copy was changed";
    BLOB_SIZE_MISMATCH = "blob-size-mismatch" "V3.1" Failure
        "A blob does not have the size that its descriptor gives."
        "copy or export the archive again; this copy was changed";
    MEMBER_MISSING = "member-missing" "V3.2" Failure
        "The tree names a blob that is neither there nor declared absent: a removed blob."
        "copy or export the archive again; this copy lost something";
    MEMBER_NOT_LISTED = "member-not-listed" "V3.3" Failure
        "A member that nothing in the tree names: a smuggled file."
        "copy or export the archive again; something was added to this copy";
    MANIFEST_MALFORMED = "manifest-malformed" "V3.4" Failure
        "A manifest or index that two readers could read in two ways, or not at all."
        "the image itself is damaged or hostile; build and push it again";
    DOCUMENT_NOT_CANONICAL = "document-not-canonical" "V3.5" Failure
        "A document of carnet's own is not in RFC 8785 form."
        "export the images again";
    INDEX_JSON_MISMATCH = "index-json-mismatch" "V4.1" Failure
        "The member index.json is not what follows from the tree: other tools would see another content."
        "copy or export the archive again; this copy was changed";
    INVENTORY_MISMATCH = "inventory-mismatch" "V4.2" Failure
        "An entry of the inventory is not what follows from the tree."
        "export the images again";
    ABSENCE_NOT_NAMED = "absence-not-named" "V4.3" Failure
        "The inventory declares a blob absent that the tree does not name, or that is there."
        "export the images again";
    CHILD_NOT_CARRIED = "platform-not-carried" "V4.3" Failure
        "A child of an index does not travel."
        "name the platforms that are meant to be judged with --platform, or export without --platform";
    CONFIG_NOT_CARRIED = "config-not-carried" "V4.3" Failure
        "An image config does not travel."
        "export from a source that holds the config, or judge the evidence only with --layers=none";
    EVIDENCE_NOT_CARRIED = "evidence-not-carried" "V4.3" Failure
        "A payload of evidence does not travel; what it would have shown is not counted."
        "export from a source that holds the payload";
    LAYERS_NOT_CARRIED = "layers-not-carried" "V4.3" Failure
        "An image layer does not travel, so its bytes cannot be compared."
        "export with layers, or judge the evidence only with --layers=none";
    RECEIPT_MISSING = "receipt-missing" "V4.4" Failure
        "The inventory has no receipt for a place that every exporter looks at."
        "export the images again with a current carnet";
    COLLECTION_INCOMPLETE = "collection-incomplete" "V4.5" Failure
        "A place could not be looked at during export, so evidence may be missing."
        "export again where the registry answers, or accept the gap with --allow-incomplete";
    ATTACHMENT_MALFORMED = "attachment-malformed" "V4.7" Failure
        "An attachment that is not of the closed list or not of its one form."
        "leave the attachment out: a bundle is whole without it; carnet attach makes the one form";
    ATTACHMENT_SUBJECT_MISMATCH = "attachment-subject-mismatch" "V4.7" Failure
        "An attachment that is about something else than this bundle."
        "give the attachment that was made for this bundle id";
    ATTACHMENT_LIMIT_EXCEEDED = "attachment-limit-exceeded" "V4.7" Failure
        "More attachments than a bundle may have, or a larger one."
        "leave attachments out: at most 64 of 16 MiB each can travel";
}
