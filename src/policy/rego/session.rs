//! What the functions of one evaluation share: the registry, the clock, the
//! budget, and the record of what went wrong.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use carnet_bundle::Reference;
use jiff::Timestamp;
use regorus::Value;

use super::{
    engine::Prepared,
    error::Location,
    program::Program,
    recall::Recall,
    registry::{Answer, Head, LookupError, ManifestBytes, Question, Referrer, Registry, SignerOptions, Verified},
};

/// A function that had no value, once per place and reason.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Undefined {
    /// The rule that called it, as `package.name`.
    pub rule: String,
    /// The function.
    pub function: String,
    /// Where it was called.
    pub at: Location,
    /// Why it has no value.
    pub reason: String,
}

/// A question that a rule asked the registry.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Lookup {
    /// The question.
    pub question: Question,
    /// The rule that asked, as `package.name`.
    pub rule: String,
    /// The function it called.
    pub function: String,
}

/// What must end the evaluation, whatever the engine makes of the error.
#[derive(Clone, Debug)]
pub(super) enum Fatal {
    Lookup {
        site: usize,
        source: LookupError,
    },
    Limit(String),
    /// A rule that is evaluated once per run failed.
    Rule {
        at: Location,
        reason: String,
    },
}

/// One evaluation, on one thread.
pub(super) struct Session {
    pub(super) registry: Arc<dyn Registry>,
    pub(super) now: Timestamp,
    pub(super) prepared: Prepared,
    /// Time that one query may take.
    pub(super) limit: Duration,
    /// Bytes that may still be made.
    left: Cell<u64>,
    /// Set when nobody waits for the outcome any more.
    abandoned: Arc<AtomicBool>,
    /// The call site that is being evaluated.
    site: Cell<usize>,
    /// Questions to the registry and the call sites that asked.
    asked: RefCell<BTreeSet<(Question, usize)>>,
    /// Reason by call site.
    records: RefCell<BTreeMap<usize, String>>,
    fatal: RefCell<Option<Fatal>>,
    /// Blobs by reference: a rule may ask for one many times.
    pub(super) blobs: RefCell<BTreeMap<String, Rc<Vec<u8>>>>,
    recall: RefCell<Recall>,
    /// Whether what was asked for last was not recalled.
    unknown: Cell<bool>,
}

thread_local! {
    static CURRENT: RefCell<Vec<Rc<Session>>> = const { RefCell::new(Vec::new()) };
}

/// Bounds of one evaluation of the rules against one image.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Time that one query may take. The whole release policy of Conforma needs
    /// seconds for a build of a hundred tasks.
    pub time: Duration,
    /// Bytes that functions and comprehensions may make in all, whether they are
    /// kept or not. The release policy of Conforma makes some megabytes for a build of
    /// a hundred tasks.
    pub memory: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { time: Duration::from_secs(60), memory: 2 * 1024 * 1024 * 1024 }
    }
}

impl Session {
    pub(super) fn new(
        registry: Arc<dyn Registry>,
        now: Timestamp,
        prepared: Prepared,
        limits: &Limits,
        abandoned: Arc<AtomicBool>,
    ) -> Self {
        Self {
            registry,
            now,
            prepared,
            limit: limits.time,
            left: Cell::new(limits.memory),
            abandoned,
            site: Cell::new(usize::MAX),
            asked: RefCell::default(),
            records: RefCell::default(),
            fatal: RefCell::default(),
            blobs: RefCell::default(),
            recall: RefCell::default(),
            unknown: Cell::default(),
        }
    }

    /// A session for what does not depend on the image.
    pub(super) fn nested(&self) -> Self {
        let limits = Limits { time: self.limit, memory: self.left.get() };
        Self::new(self.registry.clone(), self.now, self.prepared.clone(), &limits, self.abandoned.clone())
    }

    /// A session for asking the same in parts.
    pub(super) fn again(&self, limits: &Limits) -> Self {
        Self::new(self.registry.clone(), self.now, self.prepared.clone(), limits, self.abandoned.clone())
    }

    pub(super) fn program(&self) -> &Arc<Program> {
        &self.prepared.program
    }

    /// Runs `work` with this session as the current one of the thread.
    pub(super) fn enter<T>(self: &Rc<Self>, work: impl FnOnce() -> T) -> T {
        struct Leave;
        impl Drop for Leave {
            fn drop(&mut self) {
                CURRENT.with_borrow_mut(|stack| drop(stack.pop()));
            }
        }
        CURRENT.with_borrow_mut(|stack| stack.push(self.clone()));
        let _leave = Leave;
        work()
    }

    pub(super) fn current() -> Option<Rc<Self>> {
        CURRENT.with_borrow(|stack| stack.last().cloned())
    }

    /// Says which call is evaluated next.
    pub(super) fn at(&self, site: usize) {
        self.site.set(site);
    }

    fn ask(&self, question: Question) {
        self.asked.borrow_mut().insert((question, self.site.get()));
    }

    /// Questions and the call sites that asked.
    pub(super) fn asked(&self) -> BTreeSet<(Question, usize)> {
        self.asked.borrow().clone()
    }

    pub(super) fn head(&self, reference: &Reference) -> Result<Answer<Head>, LookupError> {
        self.ask(Question::Head(reference.clone()));
        self.registry.head(reference)
    }

    pub(super) fn manifest(&self, reference: &Reference) -> Result<Answer<ManifestBytes>, LookupError> {
        self.ask(Question::Manifest(reference.clone()));
        self.registry.manifest(reference)
    }

    pub(super) fn blob(&self, reference: &Reference) -> Result<Answer<Vec<u8>>, LookupError> {
        self.ask(Question::Blob(reference.clone()));
        self.registry.blob(reference)
    }

    pub(super) fn referrers(&self, reference: &Reference) -> Result<Answer<Vec<Referrer>>, LookupError> {
        self.ask(Question::Referrers(reference.clone()));
        self.registry.referrers(reference)
    }

    pub(super) fn verify_image(&self, reference: &Reference, options: &SignerOptions) -> Result<Verified, LookupError> {
        self.ask(Question::Evidence(reference.clone()));
        self.registry.verify_image(reference, options)
    }

    pub(super) fn verify_attestation(&self, reference: &Reference, options: &SignerOptions) -> Result<Verified, LookupError> {
        self.ask(Question::Evidence(reference.clone()));
        self.registry.verify_attestation(reference, options)
    }

    /// What a function returned for these operands; undefined also where nothing is
    /// known, which is remembered.
    pub(super) fn recall(&self, function: usize, operands: &[Value]) -> Value {
        let known = self.recall.borrow().get(function, operands).cloned();
        self.unknown.set(known.is_none());
        known.unwrap_or(Value::Undefined)
    }

    pub(super) fn is_unknown(&self) -> bool {
        self.unknown.get()
    }

    pub(super) fn keep(&self, function: usize, operands: &[Value], result: Value) {
        self.recall.borrow_mut().set(function, operands, result);
    }

    pub(super) fn record(&self, site: usize, reason: String) {
        self.records.borrow_mut().entry(site).or_insert(reason);
    }

    /// Remembers the first fatal trouble.
    pub(super) fn fail(&self, fatal: Fatal) {
        self.fatal.borrow_mut().get_or_insert(fatal);
    }

    pub(super) fn fatal(&self) -> Option<Fatal> {
        self.fatal.borrow().clone()
    }

    pub(super) fn records(&self) -> BTreeMap<usize, String> {
        self.records.borrow().clone()
    }

    pub(super) fn restore(&self, records: &BTreeMap<usize, String>) {
        records.iter().for_each(|(site, reason)| self.record(*site, reason.clone()));
    }

    /// Bytes that may still be made.
    pub(super) fn left(&self) -> u64 {
        self.left.get()
    }

    /// Takes bytes from what may still be made; false when that is used up.
    pub(super) fn take(&self, bytes: u64) -> bool {
        let left = self.left.get().checked_sub(bytes);
        self.left.set(left.unwrap_or(0));
        left.is_some()
    }

    /// Whether the evaluation has to end, for whatever reason.
    pub(super) fn has_ended(&self) -> bool {
        self.fatal.borrow().is_some() || self.abandoned.load(Ordering::Relaxed)
    }
}

/// Values of rules that depend on data alone, made once per run.
#[derive(Default)]
pub(super) struct Memos(Mutex<BTreeMap<usize, Arc<Memo>>>);

/// The value of such a rule and what was recorded on the way.
pub(super) struct Memo {
    pub(super) value: Value,
    pub(super) records: BTreeMap<usize, String>,
}

impl Memos {
    pub(super) fn get(&self, number: usize) -> Option<Arc<Memo>> {
        self.0.lock().ok().and_then(|memos| memos.get(&number).cloned())
    }

    pub(super) fn set(&self, number: usize, memo: Memo) -> Arc<Memo> {
        let memo = Arc::new(memo);
        if let Ok(mut memos) = self.0.lock() {
            memos.insert(number, memo.clone());
        }
        memo
    }
}
