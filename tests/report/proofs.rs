//! Reports whose proofs have every member, each value once.

use std::collections::BTreeMap;

use carnet_bundle::{
    Code, Digest, Finding, Severity,
    inventory::{Absence, AbsenceReason, EvidenceKind, LookResult, Method, Receipt, Role},
};
use carnet_policy::{
    ComponentOutcome, RuleResult,
    images::{Git, Source},
    sources::{Anchor, UsedSource},
};
use carnet_verify::report::{
    Assumption, Bundle, BundleTimestamp, Carnet, Ending, Format, Image, Relaxation, Report, Target, TextOptions, Trust, Tuf,
    TufLink,
    proof::{CertificateLog, Compared, Facts, Held, Ledger, LogEntry, Omitted, Piece, Signer, Time, TimeVoucher},
};
use jiff::Timestamp;
use serde_json::{Value, json};

/// Everything that a page could trip over.
pub(crate) const EVIL: &str = "x\n\u{2713} passed\r\u{1b}[2J\u{9b}\u{202e}\u{2066}\u{2028}\u{7f}\u{feff}\u{200b}\u{200d}\u{ad}\u{e0041}\t\u{ffff}\u{0}\
     </dd></details><script>alert(1)</script><img src=x onerror=alert(1)>\"'&amp;&#x3c;--></style>{{ x }}\
     aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

static STRANGE: Code =
    Code { name: "blob-digest-mismatch", step: "V3.1", severity: Severity::Failure, summary: "", hint: "copy the archive again" };

/// Texts that no other place has.
struct Values(u32);

impl Values {
    fn text(&mut self) -> String {
        self.0 += 1;
        format!("value-{:03}", self.0)
    }

    fn digest(&mut self) -> Digest {
        Digest::of(self.text().as_bytes())
    }

    fn time(&mut self) -> Timestamp {
        self.0 += 1;
        Timestamp::from_second(1_790_000_000 + i64::from(self.0) * 86_399).unwrap()
    }
}

/// One image that passes, judged by everything that can be judged.
pub(crate) fn passing() -> Report {
    let mut values = Values(100);
    let v = &mut values;
    let image = v.digest();
    let evidence = v.digest();
    let rule = RuleResult {
        msg: "Pass".to_owned(),
        metadata: BTreeMap::from([
            ("code".to_owned(), json!(v.text())),
            ("title".to_owned(), json!(v.text())),
            ("collections".to_owned(), json!([v.text(), v.text()])),
        ]),
    };
    let component = ComponentOutcome {
        name: v.text(),
        container_image: format!("registry.example/app@{image}"),
        source: Source { git: Some(Git { url: v.text(), revision: v.text(), ..Git::default() }) },
        successes: vec![result("builtin.image.signature_check", "Pass"), rule],
        ..ComponentOutcome::default()
    };
    let signature = Facts {
        kind: "image-signature",
        subject: image,
        subject_index: None,
        statement_type: None,
        predicate_type: None,
        docker_reference: Some(v.text()),
        signer: Signer::Certificate {
            subject: v.text(),
            issuer: v.text(),
            authority: v.text(),
            not_before: v.time(),
            not_after: v.time(),
            extensions: BTreeMap::from([(13, v.text())]),
        },
        times: vec![
            Time { at: v.time(), source: TimeVoucher::LogPromise, by: v.text() },
            Time { at: v.time(), source: TimeVoucher::TimestampAuthority, by: v.text() },
        ],
        log_entries: vec![LogEntry {
            log: v.text(),
            log_id: v.digest().to_hex(),
            index: 123_456_789,
            format: v.text(),
            promise: true,
            inclusion_proof: false,
            leaf: v.digest().to_hex(),
        }],
        certificate_logs: vec![CertificateLog { log: v.text(), at: v.time() }],
        compared: vec![Compared { what: "source commit", of_source: true, result: Held::Passed, says: v.text() }],
    };
    let attestation = Facts {
        kind: "attestation",
        subject_index: Some(7),
        statement_type: Some(v.text()),
        predicate_type: Some(v.text()),
        docker_reference: None,
        signer: Signer::Key { digest: v.digest() },
        times: Vec::new(),
        log_entries: Vec::new(),
        certificate_logs: Vec::new(),
        compared: Vec::new(),
        ..signature.clone()
    };
    let piece = |layer: u32, facts: Facts| Piece {
        evidence: format!("{evidence} layer {layer}"),
        digest: Some(evidence),
        form: EvidenceKind::SigstoreBundle,
        result: Held::Passed,
        facts: Some(facts),
        findings: Vec::new(),
    };
    let mut report = nothing();
    report.components = vec![component];
    report.key = v.text();
    report.policy = json!({"name": v.text(), "sources": [{"policy": [v.text()]}], "publicKey": "", "list": []});
    report.carnet = Carnet {
        version: v.text(),
        arguments: vec![v.text(), v.text()],
        timestamps: vec![BundleTimestamp { time: v.time(), authority: v.text(), through: v.text(), attachment: v.digest() }],
        bundle: Bundle { id: Some(v.digest()), content_id: Some(v.digest()) },
        trust: Trust {
            source: v.text(),
            digest: Some(v.digest()),
            date: Some(v.time()),
            age_days: Some(96),
            as_of: Some(v.time()),
            tuf: Some(Tuf { root: v.digest(), links: vec![TufLink { role: "snapshot", version: 41, expires: v.time() }] }),
            forecast: vec![Ending { what: v.text(), until: v.time() }],
        },
        sources: vec![UsedSource { url: v.text(), pinned: v.text(), anchor: Anchor::BundleId, directory: v.text(), files: 17 }],
        images: vec![Image { reference: v.text(), digest: image, components: vec![v.text()] }],
        findings: vec![Finding::new(&STRANGE, v.text(), v.text()).with_severity(Severity::Note).with_hint(v.text())],
        assumptions: vec![Assumption {
            code: v.text(),
            subject: v.text(),
            message: v.text(),
            used_by: vec![v.text(), v.text()],
            vouched_by: v.text(),
        }],
        relaxations: Vec::new(),
        ledger: Ledger {
            identity: BTreeMap::from([("issuer", v.text()), ("subjectRegExp", v.text())]),
            evidence: vec![vec![piece(0, signature), piece(1, attestation)]],
            receipts: vec![Receipt {
                subject: image,
                repository: v.text(),
                method: Method::CosignSig,
                result: LookResult::Found,
                found: 3,
                status: Some(206),
                answer: Some(v.digest()),
                note: v.text(),
            }],
            absent: Vec::new(),
            omitted: Vec::new(),
        },
    };
    report
}

/// One image that fails in every way, in a bundle that does too.
pub(crate) fn failing() -> Report {
    let mut report = passing();
    let component = &mut report.components[0];
    component.violations = vec![result("builtin.attestation.syntax_check", "value-901 is no URI"), result("", "value-902")];
    component.warnings = vec![result("tasks.future", "value-903")];
    let ledger = &mut report.carnet.ledger;
    let image = Digest::of(b"value-101");
    let other = Signer::Index { digest: Digest::of(b"index") };
    let pieces = &mut ledger.evidence[0];
    let attestation = pieces[1].facts.as_mut().unwrap();
    attestation.signer = other;
    attestation.compared = vec![
        Compared { what: "source commit", of_source: true, result: Held::Contradicted, says: "value-904".to_owned() },
        Compared { what: "builder", of_source: false, result: Held::NotComparable, says: "value-905".to_owned() },
    ];
    pieces.push(Piece {
        evidence: format!("{} layer 9", Digest::of(b"refused")),
        digest: Some(Digest::of(b"refused")),
        form: EvidenceKind::Dsse,
        result: Held::NotCounted,
        facts: None,
        findings: vec![Finding::new(&STRANGE, "value-906", "value-907").with_severity(Severity::Warning)],
    });
    ledger.receipts.push(Receipt {
        subject: image,
        repository: "registry.example/value-908".to_owned(),
        method: Method::ReferrersApi,
        result: LookResult::CouldNotLook,
        found: 0,
        status: Some(403),
        answer: None,
        note: String::new(),
    });
    ledger.absent = vec![Absence { digest: Digest::of(b"layer"), size: 4096, role: Role::Layer, reason: AbsenceReason::Foreign }];
    ledger.omitted = vec![Omitted { index: image, child: Digest::of(b"child"), platform: "linux/arm64/v8".to_owned() }];
    report.carnet.images.push(Image { reference: "value-909".to_owned(), digest: Digest::of(b"extra"), components: Vec::new() });
    report.carnet.findings.push(Finding::new(&STRANGE, "value-910", "value-911"));
    report.carnet.relaxations = vec![Relaxation { flag: "--value-912".to_owned(), effect: "value-913".to_owned() }];
    report.carnet.assumptions[0].vouched_by.clear();
    report
}

/// The failing report, its texts all hostile.
pub(crate) fn hostile() -> Report {
    let evil = || EVIL.to_owned();
    let mut report = failing();
    for component in &mut report.components {
        component.name = evil();
        component.source.git = Some(Git { url: evil(), revision: evil(), ..Git::default() });
        for result in component.violations.iter_mut().chain(&mut component.warnings).chain(&mut component.successes) {
            result.msg = evil();
            result.metadata.insert("code".to_owned(), json!(EVIL));
            result.metadata.insert(evil(), json!({ EVIL: [EVIL] }));
        }
    }
    let carnet = &mut report.carnet;
    for piece in carnet.ledger.evidence.iter_mut().flatten() {
        piece.evidence += EVIL;
        for finding in &mut piece.findings {
            (finding.subject, finding.message, finding.hint) = (evil(), evil(), evil());
        }
        let Some(facts) = &mut piece.facts else { continue };
        facts.predicate_type = Some(evil());
        facts.docker_reference = Some(evil());
        if let Signer::Certificate { subject, issuer, authority, extensions, .. } = &mut facts.signer {
            (*subject, *issuer, *authority) = (evil(), evil(), evil());
            extensions.insert(9, evil());
        }
        facts.times.iter_mut().for_each(|time| time.by = evil());
        facts.log_entries.iter_mut().for_each(|entry| (entry.log, entry.format) = (evil(), evil()));
        facts.certificate_logs.iter_mut().for_each(|log| log.log = evil());
        facts.compared.iter_mut().for_each(|compared| compared.says = evil());
    }
    carnet.ledger.receipts.iter_mut().for_each(|receipt| (receipt.repository, receipt.note) = (evil(), evil()));
    carnet.ledger.omitted.iter_mut().for_each(|omitted| omitted.platform = evil());
    carnet.ledger.identity.values_mut().for_each(|text| *text = evil());
    carnet.trust.source = evil();
    carnet.trust.forecast.iter_mut().for_each(|ending| ending.what = evil());
    carnet.sources.iter_mut().for_each(|source| (source.url, source.pinned, source.directory) = (evil(), evil(), evil()));
    carnet.images.iter_mut().for_each(|image| (image.reference, image.components) = (evil(), vec![evil()]));
    carnet.findings = vec![Finding::new(&STRANGE, EVIL, EVIL).with_hint(EVIL)];
    carnet.assumptions =
        vec![Assumption { code: evil(), subject: evil(), message: evil(), used_by: vec![evil()], vouched_by: evil() }];
    carnet.relaxations = vec![Relaxation { flag: evil(), effect: evil() }];
    carnet.version = evil();
    carnet.arguments = vec![evil()];
    carnet.timestamps.iter_mut().for_each(|stamp| (stamp.authority, stamp.through) = (evil(), evil()));
    report.policy = json!({ EVIL: [EVIL] });
    report.key = evil();
    report
}

/// A report about nothing.
pub(crate) fn nothing() -> Report {
    Report {
        snapshot: String::new(),
        components: Vec::new(),
        materials: Vec::new(),
        key: String::new(),
        policy: json!({}),
        ec_version: "v".into(),
        effective_time: "2026-03-01T12:00:00Z".parse().unwrap(),
        time: "2026-11-25T12:00:00.5Z".parse().unwrap(),
        carnet: Carnet { version: "0.0.0".into(), ..Carnet::default() },
    }
}

pub(crate) fn render(report: &Report, format: Format) -> String {
    report.render(&Target { format, path: None, options: TextOptions::default() }, false, false)
}

pub(crate) fn proof(report: &Report) -> Value {
    serde_json::from_str(&render(report, Format::Proof)).unwrap()
}

fn result(code: &str, msg: &str) -> RuleResult {
    let metadata = if code.is_empty() { BTreeMap::new() } else { BTreeMap::from([("code".to_owned(), json!(code))]) };
    RuleResult { msg: msg.into(), metadata }
}
