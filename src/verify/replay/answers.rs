//! What the rule engine asks.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use carnet_bundle::Reference;
use carnet_evidence::{Rules, TrustRoot, Verifier};
use carnet_policy::{
    Reading,
    rego::{Answer, Head, LookupError, ManifestBytes, Question, Referrer, Registry, SignerOptions, Verified},
};
use jiff::Timestamp;

use super::{
    evidence::{self, Wanted},
    inquiry::{Assumed, Inquiry, Transport},
    signer,
};
use crate::report::Assumption;

/// What the operator says about signatures.
#[derive(Clone, Debug)]
pub struct Operator {
    /// Whose logs, certificates and timestamps count.
    pub root: TrustRoot,
    /// What must vouch for a signature. A rule names its own signer, and whether
    /// a log is asked for; the rest of it holds.
    pub rules: Rules,
    /// The time of the run.
    pub now: Timestamp,
    /// carnet's reading or Conforma's.
    pub reading: Reading,
}

/// Answers the questions of rules, and keeps account of what was assumed.
pub struct Answers<T> {
    transport: T,
    operator: Operator,
    ledger: Mutex<Ledger>,
    verifiers: Mutex<BTreeMap<String, Arc<Result<Verifier, String>>>>,
    verified: Mutex<BTreeMap<(Wanted, Reference, String), Verified>>,
}

/// What was assumed, in answer to which question, and who relied on it.
#[derive(Default)]
struct Ledger {
    assumed: BTreeMap<Question, BTreeSet<Assumed>>,
    used_by: BTreeMap<Assumed, BTreeSet<String>>,
}

/// The answers as one asker gets them.
struct View<T> {
    answers: Arc<Answers<T>>,
    asker: String,
}

impl<T: Transport> Answers<T> {
    /// Answers from `transport`; what is computed is computed by what `operator`
    /// trusts.
    pub fn new(transport: T, operator: Operator) -> Self {
        let (ledger, verifiers, verified) = Default::default();
        Self { transport, operator, ledger, verifiers, verified }
    }

    /// The transport.
    pub fn transport(&self) -> &T {
        &self.transport
    }

    /// The same answers, with `asker` (a component, a group of rules) noted as the
    /// one who relied on what was assumed.
    pub fn for_asker(self: &Arc<Self>, asker: impl Into<String>) -> Arc<dyn Registry>
    where
        T: 'static,
    {
        Arc::new(View { answers: Arc::clone(self), asker: asker.into() })
    }

    /// Notes that `who`, a rule for instance, relied on the answer to `question`.
    pub fn used_by(&self, question: &Question, who: &str) {
        self.ledger().note(question, who);
    }

    /// Everything that was assumed, with who relied on it (V16.1).
    pub fn assumptions(&self) -> Vec<Assumption> {
        let ledger = self.ledger();
        let all: BTreeSet<&Assumed> = ledger.assumed.values().flatten().collect();
        let assumption = |assumed: &Assumed| Assumption {
            code: assumed.code.to_owned(),
            subject: assumed.subject.clone(),
            message: assumed.message.clone(),
            used_by: ledger.used_by.get(assumed).into_iter().flatten().cloned().collect(),
            vouched_by: String::new(),
        };
        all.into_iter().map(assumption).collect()
    }

    /// Asks, and enters what was assumed on the way.
    fn ask<A>(
        &self,
        question: Question,
        work: impl FnOnce(&mut Inquiry<'_, T>) -> Result<A, LookupError>,
    ) -> Result<A, LookupError> {
        let mut inquiry = Inquiry::new(&self.transport);
        let answer = work(&mut inquiry);
        // What a refused question relied on before it was refused counts, too.
        if !inquiry.assumed.is_empty() {
            self.ledger().assumed.entry(question).or_default().append(&mut inquiry.assumed);
        }
        answer
    }

    fn verify(&self, image: &Reference, options: &SignerOptions, wanted: Wanted) -> Result<Verified, LookupError> {
        let signer = format!("{options:?}");
        let key = (wanted, image.clone(), signer.clone());
        if let Some(known) = lock(&self.verified).get(&key) {
            return Ok(known.clone());
        }
        let verifier = self.verifier(signer, options);
        let verified = match (&*verifier, image.digest()) {
            (Ok(verifier), Some(digest)) => self.ask(Question::Evidence(image.clone()), |inquiry| {
                evidence::verify(inquiry, &image.pinned(*digest), wanted, verifier, self.operator.reading)
            })?,
            (Ok(_), None) => evidence::failed(format!("new digest: {image} has no digest")),
            (Err(error), _) => evidence::failed(format!("opts parameter: {error}")),
        };
        lock(&self.verified).insert(key, verified.clone());
        Ok(verified)
    }

    fn verifier(&self, name: String, options: &SignerOptions) -> Arc<Result<Verifier, String>> {
        let mut verifiers = lock(&self.verifiers);
        Arc::clone(verifiers.entry(name).or_insert_with(|| Arc::new(signer::verifier(options, &self.operator))))
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        lock(&self.ledger)
    }
}

impl<T: Transport> Registry for Answers<T> {
    fn head(&self, reference: &Reference) -> Result<Answer<Head>, LookupError> {
        self.ask(Question::Head(reference.clone()), |inquiry| match reference.digest() {
            None => inquiry.resolve(reference),
            Some(digest) => Ok(map(inquiry.manifest(&reference.pinned(*digest))?, |manifest| Head {
                size: u64::try_from(manifest.bytes.len()).unwrap_or(u64::MAX),
                media_type: manifest.media_type,
                digest: *digest,
            })),
        })
    }

    fn manifest(&self, reference: &Reference) -> Result<Answer<ManifestBytes>, LookupError> {
        self.ask(Question::Manifest(reference.clone()), |inquiry| {
            let digest = match reference.digest() {
                Some(digest) => *digest,
                None => match inquiry.resolve(reference)? {
                    Answer::Found(head) => head.digest,
                    Answer::NotFound => return Ok(Answer::NotFound),
                    Answer::Refused(reason) => return Ok(Answer::Refused(reason)),
                },
            };
            inquiry.manifest(&reference.pinned(digest))
        })
    }

    fn blob(&self, reference: &Reference) -> Result<Answer<Vec<u8>>, LookupError> {
        let question = Question::Blob(reference.clone());
        match reference.digest() {
            Some(digest) => self.ask(question, |inquiry| inquiry.blob(&reference.pinned(*digest))),
            None => Err(LookupError::NotRecorded { question: Box::new(question) }),
        }
    }

    fn referrers(&self, reference: &Reference) -> Result<Answer<Vec<Referrer>>, LookupError> {
        let question = Question::Referrers(reference.clone());
        match reference.digest() {
            Some(digest) => self.ask(question, |inquiry| inquiry.referrers(&reference.pinned(*digest))),
            None => Err(LookupError::NotRecorded { question: Box::new(question) }),
        }
    }

    fn verify_image(&self, reference: &Reference, options: &SignerOptions) -> Result<Verified, LookupError> {
        self.verify(reference, options, Wanted::Signatures)
    }

    fn verify_attestation(&self, reference: &Reference, options: &SignerOptions) -> Result<Verified, LookupError> {
        self.verify(reference, options, Wanted::Attestations)
    }
}

impl<T: Transport> View<T> {
    fn ask<A>(&self, question: Question, answer: A) -> A {
        self.answers.used_by(&question, &self.asker);
        answer
    }
}

impl<T: Transport> Registry for View<T> {
    fn head(&self, reference: &Reference) -> Result<Answer<Head>, LookupError> {
        let answer = self.answers.head(reference);
        self.ask(Question::Head(reference.clone()), answer)
    }

    fn manifest(&self, reference: &Reference) -> Result<Answer<ManifestBytes>, LookupError> {
        let answer = self.answers.manifest(reference);
        self.ask(Question::Manifest(reference.clone()), answer)
    }

    fn blob(&self, reference: &Reference) -> Result<Answer<Vec<u8>>, LookupError> {
        let answer = self.answers.blob(reference);
        self.ask(Question::Blob(reference.clone()), answer)
    }

    fn referrers(&self, reference: &Reference) -> Result<Answer<Vec<Referrer>>, LookupError> {
        let answer = self.answers.referrers(reference);
        self.ask(Question::Referrers(reference.clone()), answer)
    }

    fn verify_image(&self, reference: &Reference, options: &SignerOptions) -> Result<Verified, LookupError> {
        let verified = self.answers.verify_image(reference, options);
        self.ask(Question::Evidence(reference.clone()), verified)
    }

    fn verify_attestation(&self, reference: &Reference, options: &SignerOptions) -> Result<Verified, LookupError> {
        let verified = self.answers.verify_attestation(reference, options);
        self.ask(Question::Evidence(reference.clone()), verified)
    }
}

impl Ledger {
    fn note(&mut self, question: &Question, who: &str) {
        for assumed in self.assumed.get(question).into_iter().flatten() {
            self.used_by.entry(assumed.clone()).or_default().insert(who.to_owned());
        }
    }
}

impl<T> std::fmt::Debug for Answers<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answers").field("operator", &self.operator).finish_non_exhaustive()
    }
}

fn map<A, B>(answer: Answer<A>, f: impl FnOnce(A) -> B) -> Answer<B> {
    match answer {
        Answer::Found(value) => Answer::Found(f(value)),
        Answer::NotFound => Answer::NotFound,
        Answer::Refused(reason) => Answer::Refused(reason),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
