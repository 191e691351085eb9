//! The engine: regorus, prepared once, cloned for each evaluation.

use std::{
    num::{NonZeroU32, NonZeroUsize},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::Duration,
};

use regorus::{Engine, PolicyLengthConfig, Value, utils::limits::ExecutionTimerConfig};

use super::{
    builtins::{self, Failure, Implementation, bounds},
    error::{LoadError, Location},
    functions::{self, Function},
    print::{KEEP, MEMO, METADATA, RECALL, UNKNOWN},
    program::Program,
    session::{Fatal, Memo, Session},
    syntax,
};

/// Largest module that the normaliser may print, in bytes and lines.
const MAX_MODULE: NonZeroUsize = NonZeroUsize::new(256 * 1024 * 1024).unwrap();
/// How many steps the engine takes between two looks at the clock.
const CHECK_INTERVAL: NonZeroU32 = NonZeroU32::new(256).unwrap();

/// A prepared engine and the program it holds.
#[derive(Clone)]
pub(super) struct Prepared {
    pub(super) engine: Arc<Engine>,
    pub(super) program: Arc<Program>,
}

/// Stack of an evaluation: the engine calls itself for every rule that a rule
/// needs, and for every level of an expression.
const STACK: usize = 256 * 1024 * 1024;

const PANICKED: &str = "the engine panicked";

/// Twice the time of a query and this is waited for: a function or a comparison
/// looks at no clock.
const GRACE: Duration = Duration::from_secs(2);

/// Why an evaluation has no outcome.
#[derive(Clone, Copy, Debug)]
pub(super) enum Lost {
    /// The engine panicked.
    Panicked,
    /// The time is over.
    Late,
    /// There is no thread to be had.
    NoThread,
}

impl From<Lost> for QueryError {
    fn from(lost: Lost) -> Self {
        let reason = match lost {
            Lost::Panicked => PANICKED,
            Lost::Late => return Self::Fatal(Fatal::Limit("time".to_owned())),
            Lost::NoThread => "no thread can be had",
        };
        Self::Failed { at: Location { file: Arc::from(""), line: 0, column: 0 }, reason: reason.to_owned() }
    }
}

/// Runs an evaluation on a stack of its own, whose queries take up to `limit`
/// each. A panic of the engine ends that evaluation only. What is late is told to
/// end and left alone; the process need not wait for it.
pub(super) fn on_large_stack<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce(Arc<AtomicBool>) -> T + Send + 'static,
) -> Result<T, Lost> {
    let abandoned = Arc::new(AtomicBool::new(false));
    let (sender, receiver) = mpsc::sync_channel(1);
    let flag = abandoned.clone();
    let thread = std::thread::Builder::new().stack_size(STACK).spawn(move || {
        // Nobody may be left to take it.
        let _ = sender.send(work(flag));
    });
    let thread = thread.map_err(|_| Lost::NoThread)?;
    match receiver.recv_timeout(limit.saturating_mul(2).saturating_add(GRACE)) {
        Ok(value) => {
            // It has nothing left to do but to give its memory back.
            let _ = thread.join();
            Ok(value)
        }
        Err(mpsc::RecvTimeoutError::Disconnected) => Err(Lost::Panicked),
        Err(mpsc::RecvTimeoutError::Timeout) => {
            abandoned.store(true, Ordering::Relaxed);
            Err(Lost::Late)
        }
    }
}

/// Why a query has no value.
#[derive(Debug)]
pub(super) enum QueryError {
    Fatal(Fatal),
    Failed { at: Location, reason: String },
}

impl Prepared {
    /// Hands modules and data to the engine, which analyses them.
    pub(super) fn new(program: Program, data: Value) -> Result<Self, LoadError> {
        Self::with(program, data, builtins::implementation)
    }

    /// As [`Prepared::new`], with what evaluates each function.
    pub(super) fn with(
        program: Program,
        data: Value,
        implementation: impl Fn(&'static Function) -> Option<Implementation>,
    ) -> Result<Self, LoadError> {
        syntax::caught(|| Self::prepare(program, data, implementation)).unwrap_or_else(|| {
            let at = Location { file: Arc::from(""), line: 0, column: 0 };
            Err(LoadError::Engine { at, reason: PANICKED.to_owned() })
        })
    }

    fn prepare(
        program: Program,
        data: Value,
        implementation: impl Fn(&'static Function) -> Option<Implementation>,
    ) -> Result<Self, LoadError> {
        let program = Arc::new(program);
        let mut engine = Engine::new();
        engine.set_strict_builtin_errors(false);
        engine.set_policy_length_config(PolicyLengthConfig {
            max_col: syntax::MAX_COLUMN,
            max_file_bytes: MAX_MODULE,
            max_lines: MAX_MODULE,
        });
        let failed = |program: &Program, message: String| {
            let (at, reason) = located(program, &message);
            LoadError::Engine { at, reason }
        };
        for module in &program.modules {
            engine.add_policy(module.name.clone(), module.text.clone()).map_err(|e| failed(&program, e.to_string()))?;
        }
        engine.add_data(data).map_err(|e| failed(&program, e.to_string()))?;
        add_functions(&mut engine, implementation).map_err(|e| failed(&program, e))?;
        // The first query prepares the engine.
        engine.eval_query("true".to_owned(), false).map_err(|e| failed(&program, e.to_string()))?;
        Ok(Self { engine: Arc::new(engine), program })
    }

    /// Evaluates a query to its one value.
    pub(super) fn query(
        &self,
        session: &Rc<Session>,
        query: &str,
        input: Option<Value>,
        limit: Duration,
    ) -> Result<Value, QueryError> {
        let mut engine = Engine::clone(&self.engine);
        engine.set_execution_timer_config(ExecutionTimerConfig { limit, check_interval: CHECK_INTERVAL });
        if let Some(input) = input {
            engine.set_input(input);
        }
        let result = syntax::caught(|| session.enter(|| engine.eval_query(query.to_owned(), false)));
        // What a function reports as fatal counts, whatever became of its error:
        // the engine swallows errors of one clause when another has a value.
        if let Some(fatal) = session.fatal() {
            return Err(QueryError::Fatal(fatal));
        }
        let Some(result) = result else { return Err(Lost::Panicked.into()) };
        match result {
            Ok(results) => {
                let value = results.result.into_iter().next().and_then(|result| result.expressions.into_iter().next());
                Ok(value.map_or(Value::Undefined, |expression| expression.value))
            }
            Err(e) => Err(self.failed(&e.to_string())),
        }
    }

    fn failed(&self, message: &str) -> QueryError {
        if message.contains("execution exceeded time limit") || message.contains("time limit") {
            return QueryError::Fatal(Fatal::Limit("time".to_owned()));
        }
        let (at, reason) = located(&self.program, message);
        QueryError::Failed { at, reason }
    }
}

/// Takes the engine's place in a printed module back to the file.
fn located(program: &Program, message: &str) -> (Location, String) {
    let (line, _, reason) = syntax::position(message);
    let head = message.split_once("--> ").and_then(|(_, rest)| rest.lines().next()).unwrap_or_default();
    let module = head.rsplitn(3, ':').nth(2).unwrap_or_default();
    let nowhere = Location { file: Arc::from(""), line: 0, column: 0 };
    (program.origin(module, line).unwrap_or(nowhere), in_opas_words(reason))
}

/// The engine's reasons that OPA has words for.
fn in_opas_words(reason: String) -> String {
    let conflict = reason.starts_with("rule conflicts with rule") || reason.starts_with("complete rules should not");
    if conflict {
        return "eval_conflict_error: complete rules must not produce multiple outputs".to_owned();
    }
    if reason.starts_with("functions must not produce") || reason.starts_with("function produced multiple outputs") {
        return "eval_conflict_error: functions must not produce multiple outputs for same inputs".to_owned();
    }
    reason
}

fn add_functions(
    engine: &mut Engine,
    implementation: impl Fn(&'static Function) -> Option<Implementation>,
) -> Result<(), String> {
    for function in functions::all().chain(functions::OWN) {
        let Some(implementation) = implementation(function) else { continue };
        let makes = function.makes();
        let run = move |args: Vec<Value>| Ok(call(implementation, makes, args)?);
        // One argument more: the number of the call site.
        engine.add_extension(function.engine_name(), function.args + 1, Box::new(run)).map_err(|e| e.to_string())?;
    }
    let metadata = |args: Vec<Value>| Ok(numbered(&args).and_then(metadata).unwrap_or(Value::Undefined));
    engine.add_extension(METADATA.to_owned(), 1, Box::new(metadata)).map_err(|e| e.to_string())?;
    let memo = |args: Vec<Value>| Ok(memo(numbered(&args).unwrap_or(usize::MAX))?);
    engine.add_extension(MEMO.to_owned(), 1, Box::new(memo)).map_err(|e| e.to_string())?;
    engine.add_extension(RECALL.to_owned(), 2, Box::new(|args| Ok(recall(&args)?))).map_err(|e| e.to_string())?;
    engine.add_extension(UNKNOWN.to_owned(), 1, Box::new(|_| Ok(unknown()?))).map_err(|e| e.to_string())?;
    engine.add_extension(KEEP.to_owned(), 3, Box::new(|args| Ok(keep(&args)?))).map_err(|e| e.to_string())
}

/// What a function of the policy has returned for these operands.
fn recall(args: &[Value]) -> Result<Value, Ended> {
    let session = going_on()?;
    let [operands, function] = args else { return Err(Ended) };
    Ok(session.recall(number(function).ok_or(Ended)?, list(operands)))
}

/// True where nothing was recalled: the function must be evaluated.
fn unknown() -> Result<Value, Ended> {
    Ok(if going_on()?.is_unknown() { Value::Bool(true) } else { Value::Undefined })
}

/// Keeps what a function returned, and returns it: one value in a list, or none.
fn keep(args: &[Value]) -> Result<Value, Ended> {
    let session = going_on()?;
    let [results, operands, function] = args else { return Err(Ended) };
    let result = list(results).first().cloned().unwrap_or(Value::Undefined);
    session.keep(number(function).ok_or(Ended)?, list(operands), result.clone());
    Ok(result)
}

fn going_on() -> Result<Rc<Session>, Ended> {
    Session::current().filter(|session| !session.has_ended()).ok_or(Ended)
}

fn list(value: &Value) -> &[Value] {
    match value {
        Value::Array(items) => items.as_slice(),
        _ => &[],
    }
}

fn numbered(args: &[Value]) -> Option<usize> {
    args.last().and_then(number)
}

fn number(value: &Value) -> Option<usize> {
    value.as_u64().ok().and_then(|number| usize::try_from(number).ok())
}

/// Tells the engine to end; what happened stands in the session.
#[derive(Debug, thiserror::Error)]
#[error("ended")]
struct Ended;

/// Runs a function; whatever goes wrong is kept in the session.
fn call(implementation: Implementation, makes: bool, mut args: Vec<Value>) -> Result<Value, Ended> {
    let site = numbered(&args).unwrap_or(usize::MAX);
    args.pop();
    let session = Session::current().ok_or(Ended)?;
    if session.has_ended() {
        return Err(Ended);
    }
    session.at(site);
    let fatal = match implementation.run(&args, &session) {
        Ok(value) if !makes || session.take(bounds::shallow(&value)) => return Ok(value),
        Ok(_) => Fatal::Limit("memory".to_owned()),
        Err(Failure::Undefined(reason)) => {
            session.record(site, reason);
            return Ok(Value::Undefined);
        }
        Err(Failure::Lookup(source)) => Fatal::Lookup { site, source },
        Err(Failure::Limit(what)) => Fatal::Limit(what),
    };
    session.fail(fatal);
    Err(Ended)
}

fn metadata(number: usize) -> Option<Value> {
    Session::current()?.program().metadata.get(number).cloned()
}

/// The value of a rule that depends on data alone.
fn memo(number: usize) -> Result<Value, Ended> {
    let session = Session::current().ok_or(Ended)?;
    let program = session.program().clone();
    if let Some(memo) = program.memo_values.get(number) {
        session.restore(&memo.records);
        return Ok(memo.value.clone());
    }
    let path = program.memos.get(number).ok_or(Ended)?;
    let inner = Rc::new(session.nested());
    let fatal = match session.prepared.query(&inner, path, None, session.limit) {
        Ok(value) => {
            let memo = program.memo_values.set(number, Memo { value, records: inner.records() });
            session.restore(&memo.records);
            return Ok(memo.value.clone());
        }
        Err(QueryError::Fatal(fatal)) => fatal,
        Err(QueryError::Failed { at, reason }) => Fatal::Rule { at, reason },
    };
    session.fail(fatal);
    Err(Ended)
}
