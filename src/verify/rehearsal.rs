//! The rules of a policy, run where their questions can still be answered.
//!
//! The exporter runs them so that what they ask is asked and written down; no
//! verdict comes of it. What the operator will say on the other side is not known
//! here, so the run admits what might be admitted there.

use std::{collections::BTreeSet, sync::Arc};

use carnet_bundle::Bundle;
use carnet_evidence::Verifier;
use carnet_policy::{ComponentOutcome, checks::Options, input};
use jiff::Timestamp;

use crate::{
    cli::{Compat, VerifyArgs},
    codes,
    error::VerifyError,
    inputs::{Inputs, Question},
    judge::Judgement,
    matching::Matching,
    replay::{Answers, Transport},
    rules::{Rules, Unusable, answers, facts},
    trust::trust_root,
};

/// What came of a rehearsal.
#[derive(Debug, Default)]
pub struct Rehearsal {
    /// Why rules could not be run to their end.
    pub problems: BTreeSet<String>,
    /// Parent images that were asked for although no rule speaks of parents: they
    /// stand in the input, and nobody misses them.
    pub unasked_parents: BTreeSet<String>,
}

/// Runs the rules over `bundle` in both readings, with questions answered by
/// `transport`.
///
/// # Errors
///
/// Returns a [`VerifyError`] when the operator's documents make no question.
pub fn rehearse<T: Transport + Clone + 'static>(
    args: &VerifyArgs,
    inputs: &Inputs<'_>,
    bundle: &Arc<Bundle>,
    transport: &T,
    now: Timestamp,
) -> Result<Rehearsal, VerifyError> {
    let mut rehearsal = Rehearsal::default();
    for compat in [None, Some(Compat::Ec)] {
        let args = VerifyArgs { compat, ..args.clone() };
        let problems = one_reading(args, inputs, bundle, transport.clone(), now, &mut rehearsal.unasked_parents)?;
        rehearsal.problems.extend(problems);
    }
    Ok(rehearsal)
}

fn one_reading<T: Transport + 'static>(
    mut args: VerifyArgs,
    inputs: &Inputs<'_>,
    bundle: &Arc<Bundle>,
    transport: T,
    now: Timestamp,
    unasked_parents: &mut BTreeSet<String>,
) -> Result<Vec<String>, VerifyError> {
    let question = Question::read(&args, inputs, Some(bundle))?;
    // Whether a log is asked for is settled on the other side; signatures by key
    // can do without one.
    args.ignore_rekor.0 |= question.key.is_some();
    let verifier = Verifier::new(trust_root(&args, inputs, &question, Some(bundle))?, question.rules(&args), now)?;
    let mut evidence = question.trust.rules.clone();
    evidence.requirements = evidence.requirements.lowered();
    let trust = (verifier.trust_root(), evidence);
    let effective = args.effective_time(now)?;
    if question.effective.policy.sources.is_empty() {
        let asked = answers(&args, trust, now, transport);
        return Ok(inputs_alone(&args, &question, bundle, &asked, unasked_parents));
    }
    let rules = match Rules::load(&args, inputs, &question, bundle, trust, effective, now, transport) {
        Ok(Some(rules)) => rules,
        Ok(None) => return Ok(Vec::new()),
        Err(Unusable::NoVerdict(error)) => return Ok(vec![error.to_string()]),
        Err(Unusable::Failed(findings)) => return Ok(findings.into_iter().map(|finding| finding.message).collect()),
    };
    let matching = Matching::new(&question.images.components, bundle, args.reading());
    let judgement = Judgement::new(bundle, &matching.matched, &verifier, 1);
    // What the trust policy of the other side may lower is lowered.
    let requirements = verifier.rules().requirements.lowered();
    let options = Options { reading: args.reading(), key_mode: question.key.is_some(), requirements, ..Options::default() };
    let snapshot = input::snapshot(&question.images, matching.matched.iter().map(|matched| &matched.component));
    let policy = serde_json::to_value(rules.policy()).unwrap_or_default();
    let mut problems = Vec::new();
    for matched in &matching.matched {
        if !judgement.check(matched, &options).goes_on {
            continue;
        }
        unasked_parents.extend(rules.unasked_parent(matched, bundle));
        let facts = match rules.facts(matched, bundle) {
            Ok(facts) => facts,
            Err(finding) => {
                problems.push(finding.message);
                continue;
            }
        };
        let Some(input) = judgement.policy_input(&facts, matched, &options, &snapshot, &policy) else { continue };
        let mut findings = Vec::new();
        if let Err(error) = rules.evaluate(matched, &input, &mut ComponentOutcome::default(), &mut findings) {
            problems.push(error.to_string());
        }
        let refused = findings.into_iter().filter(|finding| finding.code == codes::LOOKUP_TAMPERED.name);
        problems.extend(refused.map(|finding| finding.message));
    }
    Ok(problems)
}

/// Without rules only a report shows the input; what it lacks then, nobody misses.
fn inputs_alone<T: Transport + 'static>(
    args: &VerifyArgs,
    question: &Question,
    bundle: &Arc<Bundle>,
    asked: &Arc<Answers<T>>,
    unasked_parents: &mut BTreeSet<String>,
) -> Vec<String> {
    let matching = Matching::new(&question.images.components, bundle, args.reading());
    let mut problems = Vec::new();
    for matched in &matching.matched {
        let parent = matched.digest.as_ref().and_then(|digest| input::ImageFacts::read(bundle, digest).parent);
        unasked_parents.extend(parent.map(|parent| parent.reference));
        problems.extend(facts(asked, matched, bundle).err().map(|tampered| tampered.message));
    }
    problems
}
