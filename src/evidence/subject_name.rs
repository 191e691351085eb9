//! Which subject of a statement is the artifact, and whether it bears the name of
//! the repository that is asked for.

use carnet_bundle::Reference;

use crate::{
    codes,
    rules::Rules,
    signed::Refusal,
    statement::{IMAGE_SIGNATURE, Statement},
    verifier::Subject,
};

/// How BuildKit names an image: a package URL (package-url/purl-spec) of this type.
const DOCKER: &str = "pkg:docker/";

/// V7.5, V7.6: the place of the subject that is `subject`. Where the rules compare
/// names, it is one that names the repository asked for; one digest may stand there
/// under several names. Image signatures in bundles have no name.
pub(crate) fn find(statement: &Statement, subject: Subject<'_>, rules: &Rules) -> Result<usize, Refusal> {
    let mut places = statement.places_of(subject.digest()).peekable();
    let Some(&first) = places.peek() else {
        let message = format!("subject mismatch: it speaks of {}, this is {}", statement.subject_names(), subject.digest());
        return Err(Refusal::new(&codes::SUBJECT_MISMATCH, message));
    };
    if !rules.compare_subject_name || statement.predicate_type == IMAGE_SIGNATURE {
        return Ok(first);
    }
    let asked = subject.repository();
    let wanted = asked.and_then(repository);
    let is_named = |place: &usize| wanted.is_some() && statement.name_of(*place).and_then(repository) == wanted;
    places.find(is_named).ok_or_else(|| {
        let (named, asked) = (statement.name_of(first).unwrap_or_default(), asked.unwrap_or("not known"));
        let message = format!("repository mismatch: its subject is named {named:?}, the repository asked for is {asked}");
        Refusal::new(&codes::REPOSITORY_MISMATCH, message)
    })
}

/// The repository that a name stands for, Docker Hub's short forms spelled out.
fn repository(name: &str) -> Option<String> {
    let reference = match name.strip_prefix(DOCKER) {
        Some(rest) => of_package_url(rest)?,
        None => name.parse::<Reference>().ok()?,
    };
    Some(reference.name())
}

/// `[host/]path@tag?platform=…&digest=…`, the colon of a port escaped or not. Another
/// qualifier, `repository_url` for one, may mean another place: then nothing is known.
fn of_package_url(rest: &str) -> Option<Reference> {
    let (path, qualifiers) = rest.split_once('?').unwrap_or((rest, ""));
    let known = |text: &str| text.is_empty() || text.starts_with("platform=") || text.starts_with("digest=");
    if !qualifiers.split('&').all(known) || rest.contains('#') {
        return None;
    }
    let path = path.split_once('@').map_or(path, |(path, _)| path);
    // No other escape is of a character that a reference may have.
    let path = path.replace("%3A", ":").replace("%3a", ":");
    // Behind the last slash a colon would start a tag.
    let is_plain = !path.rsplit('/').next().unwrap_or_default().contains(':');
    path.parse().ok().filter(|_| is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_url_names_the_repository_that_buildkit_pushed_to() {
        for (name, want) in [
            ("pkg:docker/alpine@3.20?platform=linux%2Famd64", Some("docker.io/library/alpine")),
            ("pkg:docker/org/app@v1?digest=sha256:00&platform=linux%2Famd64", Some("docker.io/org/app")),
            ("pkg:docker/registry.example/org/app@v1", Some("registry.example/org/app")),
            ("pkg:docker/localhost:5000/app@v1?platform=linux%2Famd64", Some("localhost:5000/app")),
            ("pkg:docker/localhost%3A5000/app@v1", Some("localhost:5000/app")),
            ("registry.example/org/app", Some("registry.example/org/app")),
            ("pkg:docker/org/app@v1?repository_url=evil.example", None),
            ("pkg:docker/org/app@v1?platform=linux&repository_url=evil.example", None),
            ("pkg:docker/org/app@v1#registry.example/other", None),
            ("pkg:docker/registry.example/org%2Fapp@v1", None),
            ("pkg:docker/org/app:v1", None),
            ("pkg:docker/", None),
            ("pkg:oci/app?repository_url=registry.example/org/app", None),
            ("_", None),
        ] {
            assert_eq!(repository(name).as_deref(), want, "{name}");
        }
    }
}
