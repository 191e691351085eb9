//! An archive that was judged, opened to be written from.

use std::{collections::BTreeSet, path::Path};

use carnet_bundle::{Bundle, Finding, Limits, Reference, inventory::Subject, open};
use carnet_registry::Options;

use crate::{
    belongings::Belongings, cli::ImportArgs, delivery, destination::deliveries, docker_archive, error::ImportError, layout,
    members::Members, receipt::Receipt, signing_key::SigningKey, target::Target, verdict::Judged, vsa::Signed,
};

/// What an import may write: the images that passed, from the bundle that was
/// judged.
#[derive(Debug)]
pub struct Shipment {
    pub(crate) judged: Judged,
    pub(crate) bundle: Bundle,
    pub(crate) members: Members,
    pub(crate) images: Vec<Image>,
}

/// An image of the archive.
#[derive(Debug)]
pub(crate) struct Image {
    pub(crate) subject: Subject,
    pub(crate) belongings: Belongings,
    /// The repositories by which components name it. Where an image may go by its
    /// name, this counts; what it was exported as is the exporter's word.
    pub(crate) repositories: BTreeSet<String>,
    /// Why it is not written.
    pub(crate) refusal: Option<String>,
}

impl Image {
    /// Whether components name it by the repository that it was exported from.
    pub(crate) fn is_named(&self) -> bool {
        self.subject.reference.parse::<Reference>().is_ok_and(|source| self.repositories.contains(&source.name()))
    }
}

impl Shipment {
    /// Opens the archive again and finds what may be written.
    ///
    /// Everything but the image layers is read and hashed here, from the bundle id
    /// down. A bundle of another id is not the one that was judged, and what gate 1
    /// finds now it must have found then.
    ///
    /// # Errors
    ///
    /// Returns [`ImportError::Changed`] when it is not what was judged.
    pub fn open(args: &ImportArgs, judged: Judged) -> Result<Self, ImportError> {
        Self::open_archive(&args.verify.archive, args.only_passed, judged)
    }

    pub(crate) fn open_archive(archive: &Path, only_passed: bool, judged: Judged) -> Result<Self, ImportError> {
        let limits = Limits::default();
        let mut members = Members::open(archive, &limits)?;
        let opened = open(&mut members, &limits)?;
        let want = judged.bundle_id();
        if opened.id != want {
            return Err(ImportError::Changed(format!("bundle id mismatch: got {}, want {want}", opened.id)));
        }
        let new = |finding: &&Finding| finding.is_failure() && !judged.says(finding.code, &finding.subject);
        if let Some(finding) = opened.findings.iter().find(new) {
            return Err(ImportError::Changed(format!("{}: {}", finding.code, finding.message)));
        }
        let Some(bundle) = opened.bundle else {
            return Err(ImportError::Changed(format!("the bundle {want} cannot be read")));
        };
        let images = images(only_passed, &judged, &bundle);
        Ok(Self { judged, bundle, members, images })
    }

    /// Whether anything may be written.
    pub fn has_passed(&self) -> bool {
        self.images.iter().any(|image| image.refusal.is_none())
    }

    /// Writes it to where `args` say, and into `receipt` what became of it. With a
    /// `key`, the verdict is attached to what passed.
    ///
    /// # Errors
    ///
    /// Returns an [`ImportError`] when not everything could be written. No tag of an
    /// image and no file was written then.
    pub async fn write(
        &self,
        args: &ImportArgs,
        key: Option<&SigningKey>,
        options: Options,
        receipt: &mut Receipt,
    ) -> Result<(), ImportError> {
        receipt.begin(self, args.dry_run);
        if !self.has_passed() {
            return Ok(());
        }
        match &args.to {
            Some(Target::Layout(path)) => layout::write_directory(self, args, path, receipt),
            Some(Target::LayoutArchive(path)) => layout::write_archive(self, args, path, receipt),
            Some(Target::DockerArchive(path)) => docker_archive::write(self, args, path, receipt),
            Some(Target::Repository(_)) | None => {
                let signed = Signed::summaries(args, key, self)?;
                delivery::deliver(self, args, options, deliveries(args, self)?, &signed, receipt).await
            }
        }?;
        receipt.complete();
        Ok(())
    }

    /// The images that passed.
    pub(crate) fn passed(&self) -> impl Iterator<Item = &Image> {
        self.images.iter().filter(|image| image.refusal.is_none())
    }
}

fn images(only_passed: bool, judged: &Judged, bundle: &Bundle) -> Vec<Image> {
    let subjects = &bundle.inventory().subjects;
    let all: Vec<Belongings> = subjects.iter().map(|subject| Belongings::of(bundle, &subject.digest)).collect();
    let refusal = |subject: &Subject, own: &Belongings| match judged.refusal(&subject.digest, own, &all) {
        None if !judged.passes_beside_others() && !only_passed => Some("the verdict on the archive is fail".to_owned()),
        refusal => refusal,
    };
    let refusals: Vec<_> = subjects.iter().zip(&all).map(|(subject, own)| refusal(subject, own)).collect();
    let images = subjects.iter().zip(all).zip(refusals);
    images
        .map(|((subject, belongings), refusal)| Image {
            repositories: judged.repositories(&subject.digest, &belongings),
            subject: subject.clone(),
            belongings,
            refusal,
        })
        .collect()
}
