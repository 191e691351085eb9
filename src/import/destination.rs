//! Which repository each image goes to, and under which tags.

use std::collections::{BTreeMap, BTreeSet};

use carnet_bundle::{Digest, Reference};

use crate::{
    belongings::Belongings,
    cli::ImportArgs,
    error::ImportError,
    shipment::{Image, Shipment},
    target::{Place, Target},
};

/// What goes to one repository.
pub(crate) struct Delivery {
    pub(crate) repository: Reference,
    pub(crate) all: Belongings,
    /// Tags of images.
    pub(crate) tags: BTreeMap<String, Digest>,
}

/// Finds a place for every image that passed. Images of one repository stay
/// together; those of several never become one unless each was mapped there.
pub(crate) fn deliveries(args: &ImportArgs, shipment: &Shipment) -> Result<Vec<Delivery>, ImportError> {
    let mut deliveries: Vec<Delivery> = Vec::new();
    one_source(args, shipment)?;
    for image in shipment.passed() {
        let source = source(image)?;
        let (repository, tag) = match mapped(args, &source.name())? {
            Some(repository) => {
                must_be_named(image)?;
                (repository, None)
            }
            None => {
                let place = default_place(args, &source)?;
                (place.repository.clone(), place.tag.clone())
            }
        };
        let at = deliveries.iter().position(|one| one.repository.name() == repository.name()).unwrap_or_else(|| {
            deliveries.push(Delivery { repository, all: Belongings::default(), tags: BTreeMap::new() });
            deliveries.len() - 1
        });
        let delivery = &mut deliveries[at];
        for tag in tags(args, tag, image, &source) {
            let one = *delivery.tags.entry(tag.clone()).or_insert(image.subject.digest);
            if one != image.subject.digest {
                let tag = format!("{}:{tag}", delivery.repository.name());
                return Err(ImportError::TagTwice { tag, one, other: image.subject.digest });
            }
        }
        delivery.all.merge(image.belongings.clone());
    }
    Ok(deliveries)
}

/// What goes to `--to` comes from one repository.
fn one_source(args: &ImportArgs, shipment: &Shipment) -> Result<(), ImportError> {
    let Some(Target::Repository(place)) = &args.to else { return Ok(()) };
    let mut sources = BTreeSet::new();
    for image in shipment.passed() {
        let source = source(image)?.name();
        if mapped(args, &source)?.is_none() {
            sources.insert(source);
        }
    }
    match sources.len() {
        0 | 1 => Ok(()),
        _ => Err(ImportError::SeveralSources { target: place.repository.name(), sources: sources.into_iter().collect() }),
    }
}

/// The reference under which an image was exported.
pub(crate) fn source(image: &Image) -> Result<Reference, ImportError> {
    let reference = &image.subject.reference;
    reference.parse().map_err(|_| ImportError::NoDestination(reference.clone()))
}

/// The name that an image was exported under decides where it goes only if the
/// operator knows it by that name.
pub(crate) fn must_be_named(image: &Image) -> Result<(), ImportError> {
    let expected = || image.repositories.iter().cloned().collect();
    image
        .is_named()
        .then_some(())
        .ok_or_else(|| ImportError::NameNotExpected { got: image.subject.reference.clone(), want: expected() })
}

/// The tags that an image gets: those of the command line, else its own.
pub(crate) fn tags(args: &ImportArgs, of_place: Option<String>, image: &Image, source: &Reference) -> Vec<String> {
    let mut tags: Vec<String> = of_place.into_iter().chain(args.tag.iter().cloned()).collect();
    if tags.is_empty() && image.is_named() {
        tags.extend(source.tag().map(str::to_owned));
    }
    tags
}

/// Where `--map` sends a repository; the longest match decides.
fn mapped(args: &ImportArgs, source: &str) -> Result<Option<Reference>, ImportError> {
    let matching = args.map.iter().filter_map(|map| Some((map.from.len(), map.apply(source)?)));
    let Some((_, name)) = matching.max_by_key(|(length, _)| *length) else { return Ok(None) };
    name.parse().map(Some).map_err(|_| ImportError::NoDestination(name))
}

fn default_place<'a>(args: &'a ImportArgs, source: &Reference) -> Result<&'a Place, ImportError> {
    match &args.to {
        Some(Target::Repository(place)) => Ok(place),
        _ => Err(ImportError::NoDestination(source.name())),
    }
}
