//! The policy, run once over what was collected, so that the questions of its
//! rules are asked while somebody can answer them (`bundle-spec/policy.md` §6).

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use carnet_bundle::{
    Assembly, Bundle, Content, Digest, Document, Limits, Plan, PlanError,
    container::{Container, ContainerError, Keep, Member, Names},
    media, open,
};
use carnet_verify::{Inputs, Rehearsal, VerifyArgs, disk::sources::Disk, rehearse};
use jiff::Timestamp;
use serde_json::json;
use tokio::{runtime::Handle, task};

use crate::{
    collect::Collection,
    error::ExportError,
    record::Recorder,
    source::{Origin, Sources},
};

/// What the operator of the export gave.
pub(crate) struct Given {
    pub(crate) documents: Vec<Document>,
    pub(crate) references: Vec<String>,
    pub(crate) public_key: Option<PathBuf>,
}

/// Runs the rules and adds to the collection what they asked for. Returns why they
/// could not be run to their end, if so: the archive may still serve a policy of
/// the operator of the other side.
pub(crate) async fn record(
    given: Given,
    sources: Arc<Sources>,
    origins: &[Origin],
    collection: &mut Collection,
) -> Result<Vec<String>, ExportError> {
    // Parts that make no bundle are refused with their reason when it is written.
    let lock = given.documents.iter().find(|document| document.media_type == media::POLICY_LOCK).cloned();
    let Ok(bundle) = bundle(&mut collection.assembly, lock) else { return Ok(Vec::new()) };
    let assembly = std::mem::take(&mut collection.assembly);
    let recorder = Arc::new(Recorder::new(sources, origins, assembly, Handle::current()));
    let asking = Arc::clone(&recorder);
    let ran = task::spawn_blocking(move || run(&given, &Arc::new(bundle), &asking)).await;
    let recorded = recorder.finish()?;
    collection.assembly = recorded.assembly;
    let Rehearsal { mut problems, unasked_parents } = match ran {
        Ok(Ok(rehearsal)) => rehearsal,
        Ok(Err(reason)) => Rehearsal { problems: [reason].into(), ..Rehearsal::default() },
        // A panic in there has been printed.
        Err(error) => Rehearsal { problems: [error.to_string()].into(), ..Rehearsal::default() },
    };
    let digests: Vec<&str> = unasked_parents.iter().filter_map(|parent| parent.split('@').nth(1)).collect();
    for gap in recorded.gaps {
        if digests.iter().any(|digest| gap.question.contains(digest)) {
            problems.insert(format!("{}: {}", gap.question, gap.obstacle));
        } else {
            collection.gaps.push(gap);
        }
    }
    Ok(problems.into_iter().collect())
}

fn run(given: &Given, bundle: &Arc<Bundle>, recorder: &Arc<Recorder>) -> Result<Rehearsal, String> {
    let mut words: Vec<std::ffi::OsString> = vec!["carnet-verify".into(), "collection".into()];
    if let Some(key) = &given.public_key {
        words.extend(["--public-key".into(), key.clone().into()]);
    }
    let args = VerifyArgs::read(words).map_err(|error| error.to_string())?;
    let read = |path: &Path| fs::read(path);
    let inputs = Inputs {
        images: given.images(),
        policy: given.document(media::POLICY_DOCUMENT),
        trusted_root: given.document(media::TRUSTED_ROOT),
        trust: carnet_verify::TrustInputs::default(),
        policy_lock: given.document(media::POLICY_LOCK),
        sources: &Disk,
        read: &read,
    };
    rehearse(&args, &inputs, bundle, recorder, Timestamp::now()).map_err(|error| error.to_string())
}

impl Given {
    fn document(&self, media_type: &str) -> Option<carnet_verify::Document> {
        let document = self.documents.iter().find(|document| document.media_type == media_type)?;
        Some(carnet_verify::Document { name: document.title.clone(), bytes: document.bytes.clone() })
    }

    /// images.yaml, and the references of the command line as another such list.
    fn images(&self) -> Vec<carnet_verify::Document> {
        let named = self.references.iter().map(|reference| json!({ "name": reference, "containerImage": reference }));
        let named: Vec<_> = named.collect();
        let text = json!({ "components": named }).to_string();
        let list = carnet_verify::Document { name: "the references of the command line".to_owned(), bytes: text.into_bytes() };
        self.document(media::IMAGES_DOCUMENT).into_iter().chain((!named.is_empty()).then_some(list)).collect()
    }
}

/// The bundle that the collection would make by now, without layers. With the
/// lock in it, by which pinned sources are found.
fn bundle(assembly: &mut Assembly, lock: Option<Document>) -> Result<Bundle, String> {
    // The plan takes the payloads, and gives them back.
    let blobs = std::mem::take(&mut assembly.blobs);
    let mut copy = Assembly { blobs: blobs.clone(), ..assembly.clone() };
    assembly.blobs = blobs;
    copy.documents.extend(lock);
    let plan = Plan::new(copy).map_err(|error: PlanError| error.to_string())?;
    let opened = open(&mut Members::of(&plan), &Limits::default()).map_err(|error| error.to_string())?;
    opened.bundle.ok_or_else(|| "the collection makes no bundle".to_owned())
}

/// The members of a plan that are at hand, as a container.
struct Members(BTreeMap<String, Arc<[u8]>>);

impl Members {
    fn of(plan: &Plan) -> Self {
        let held = plan.members().iter().filter_map(|member| match &member.content {
            Content::Bytes(bytes) => Some((member.name.clone(), Arc::clone(bytes))),
            Content::Stream(_) => None,
        });
        Self(held.collect())
    }
}

impl Container for Members {
    fn member(&mut self, name: &str, keep: Keep) -> Result<Option<Member>, ContainerError> {
        let Some(bytes) = self.0.get(name) else { return Ok(None) };
        let kept = matches!(keep, Keep::Bytes(_)).then(|| bytes.to_vec());
        Ok(Some(Member { size: u64::try_from(bytes.len()).unwrap_or(u64::MAX), digest: Digest::of(bytes), bytes: kept }))
    }

    fn finish(&mut self) -> Result<Names, ContainerError> {
        Ok(Names::Unordered(self.0.keys().cloned().collect()))
    }
}
