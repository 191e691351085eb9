use super::*;

const COMMIT: &str = "4d9c329f66bd963b6bc0732adff5d816f596ef85";

fn git(repository: &str, path: &str, revision: Option<&str>) -> Location {
    let revision = revision.map(str::to_owned);
    Location::Git(GitLocation { repository: repository.to_owned(), path: path.to_owned(), revision })
}

fn location(text: &str) -> Location {
    SourceUrl::parse(text).unwrap().location().clone()
}

#[test]
fn git_urls_are_read_in_every_form() {
    for (text, repository, path, revision) in [
        ("github.com/org/repo", "https://github.com/org/repo.git", "", None),
        ("github.com/org/repo.git//policy/lib", "https://github.com/org/repo.git", "policy/lib", None),
        ("git::github.com/org/repo//a?ref=main&depth=1", "https://github.com/org/repo.git", "a", Some("main")),
        ("git::https://git.example:8443/o/r.git//a/?ref=v1", "https://git.example:8443/o/r.git", "a", Some("v1")),
        ("https://github.com/org/repo//a//b", "https://github.com/org/repo.git", "a/b", None),
        ("https://gitlab.com/org/repo", "https://gitlab.com/org/repo.git", "", None),
        ("git://git.example/o/r?depth=1&ref=x%2Fy", "https://git.example/o/r.git", "", Some("x/y")),
        ("git@github.com:org/repo.git//a?ref=main", "https://github.com/org/repo.git", "a", Some("main")),
        ("git.example/o/r.git", "https://git.example/o/r.git", "", None),
        ("registry.gitlab.com/org/repo", "https://registry.gitlab.com/org/repo.git", "", None),
        ("github.com/org/repo?ref=main//policy/lib", "https://github.com/org/repo.git", "policy/lib", Some("main")),
        ("git::file:///srv/rules.git//policy?ref=main&depth=1", "file:///srv/rules.git", "policy", Some("main")),
        ("git::/srv/rules.git//policy", "file:///srv/rules.git", "policy", None),
        ("git::./rules.git?ref=v1", "file://./rules.git", "", Some("v1")),
        ("git::https://user:word@git.example/o/r", "https://user:word@git.example/o/r.git", "", None),
    ] {
        assert_eq!(location(text), git(repository, path, revision), "{text}");
    }
}

#[test]
fn other_urls_are_read_as_conforma_reads_them() {
    let oci = |text: &str| Location::Oci { reference: text.parse().unwrap() };
    let https = |url: &str, name: &str| Location::Https { url: url.to_owned(), name: name.to_owned() };
    let local = |path: &str| Location::Local { path: path.to_owned() };
    for (text, want) in [
        ("oci::quay.io/org/data", oci("quay.io/org/data:latest")),
        ("oci::https://quay.io/org/data:v1", oci("quay.io/org/data:v1")),
        ("oci://registry.example/github.com/x:1", oci("registry.example/github.com/x:1")),
        ("quay.io/org/data:v1", oci("quay.io/org/data:v1")),
        ("eu.gcr.io/p/d", oci("eu.gcr.io/p/d:latest")),
        ("localhost:5000/a/b:c", oci("localhost:5000/a/b:c")),
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com/a:c", oci("123456789012.dkr.ecr.eu-west-1.amazonaws.com/a:c")),
        ("https://example.com/d/rules.yml?x=1", https("https://example.com/d/rules.yml?x=1", "rules.yml")),
        ("./policy", local("./policy")),
        ("../policy.git", local("../policy.git")),
        ("/etc/policy", local("/etc/policy")),
        ("file::policy", local("policy")),
        ("file:///srv/policy", local("/srv/policy")),
        ("policy", local("policy")),
    ] {
        assert_eq!(location(text), want, "{text}");
    }
}

#[test]
fn plain_http_is_refused_in_every_form() {
    for text in
        ["http://127.0.0.1:5055/x", "HTTP://a/b", "git::http://h/o/r", "http::example.com/x", "oci::http://h/r:t", "::http://x/y"]
    {
        assert_eq!(SourceUrl::parse(text), Err(UrlError::Insecure(text.to_owned())), "{text}");
    }
}

#[test]
fn what_would_become_another_url_is_refused() {
    for text in [
        "",
        " ",
        "s3::https://bucket/x",
        "ftp://host/x",
        "git::ssh://git@github.com/o/r",
        "git::git@github.com:o/r",
        "git::git://host/o/r",
        "git::file://srv/rules",
        "github.com/o/r?ref=a&ref=b",
        "github.com/o/r?archive=zip",
        "github.com/o/r#main",
        "github.com/o/r//a/../b",
        "github.com/o/r//%2e%2e/b",
        "github.com/o/r?ref=--upload-pack",
        "github.com/o/r//.git/hooks",
        "github.com",
        "https://example.com/",
        "https://example.com",
        "oci::alpine",
        "oci://https://quay.io/o/r:t",
        "oci::org/repo:tag",
        "oci::quay.io/org/x@sha256:12",
    ] {
        assert!(SourceUrl::parse(text).is_err(), "{text}: {:?}", SourceUrl::parse(text));
    }
}

#[test]
fn only_full_ids_and_digests_are_pins() {
    let digest = format!("sha256:{}", "0a".repeat(32));
    let pin = |text: &str| SourceUrl::parse(text).unwrap().pin();
    let commit = Revision::Commit(COMMIT.parse().unwrap());
    assert_eq!(pin(&format!("github.com/o/r?ref={COMMIT}")), Some(commit));
    assert_eq!(pin(&format!("github.com/o/r?ref={}", COMMIT.to_uppercase())), Some(commit));
    assert_eq!(pin(&format!("github.com/o/r?ref={COMMIT}//a")), Some(commit));
    assert_eq!(pin(&format!("oci::quay.io/o/r:t@{digest}")), Some(Revision::Manifest(digest.parse().unwrap())));
    for text in
        ["github.com/o/r", "github.com/o/r?ref=main", "github.com/o/r?ref=4d9c329", "oci::quay.io/o/r:t", "./a", "https://e.x/a"]
    {
        assert_eq!(pin(text), None, "{text}");
    }
    assert_eq!(pin(&format!("github.com/o/r?ref=refs/heads/{COMMIT}")), None);
}

/// Second column: what go-gather prints, oddities included. Third: the line to
/// write, where that is another.
#[test]
fn pinned_forms_are_those_of_conforma() {
    let digest: Digest = format!("sha256:{}", "0a".repeat(32)).parse().unwrap();
    for (text, want, line) in [
        ("github.com/o/r//p", "git::github.com/o/r//p?ref=ID", None),
        ("git::https://github.com/o/r.git//p?ref=main&depth=1", "git::github.com/o/r.git//p?ref=ID", None),
        ("git@github.com:o/r//p", "git::github.com/o/r//p?ref=ID", None),
        ("git::file:///srv/rules.git//policy?ref=main&depth=1", "git::file:///srv/rules.git//policy?ref=ID", None),
        ("github.com/o/r?ref=main//p", "git::github.com/o/r?ref=ID", Some("git::github.com/o/r.git//p?ref=ID")),
        (
            "git://h.example/o/r//p?depth=1&ref=main",
            "git::h.example/o/r//p?depth=1&ref=main?ref=ID",
            Some("git::h.example/o/r.git//p?ref=ID"),
        ),
    ] {
        let url = SourceUrl::parse(text).unwrap();
        let commit = Revision::Commit(COMMIT.parse().unwrap());
        let id = |text: &str| text.replace("ID", COMMIT);
        assert_eq!(url.conforma_form(Some(&commit)), id(want), "{text}");
        assert_eq!(url.pinned_line(&commit), Some(id(line.unwrap_or(want))), "{text}");
        let again = SourceUrl::parse(&id(line.unwrap_or(want))).unwrap();
        assert_eq!(again.pin(), Some(commit), "{text}");
    }
    let manifest = Revision::Manifest(digest);
    for (text, want) in [
        ("oci::quay.io/o/r:t", "oci::quay.io/o/r:t@DIGEST"),
        ("oci::https://quay.io/o/r:t", "oci::quay.io/o/r:t@DIGEST"),
        ("quay.io/o/r", "oci::quay.io/o/r@DIGEST"),
        (
            "oci::quay.io/o/r:t@sha256:0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b",
            "oci::quay.io/o/r:t@DIGEST",
        ),
    ] {
        let url = SourceUrl::parse(text).unwrap();
        assert_eq!(url.conforma_form(Some(&manifest)), want.replace("DIGEST", &digest.to_string()), "{text}");
    }
    for (text, want) in [
        ("https://example.com/d/rules.yml", "http::example.com/d/rules.yml"),
        ("./policy", "file::./policy"),
        ("file:///srv/policy", "file::/srv/policy"),
    ] {
        let url = SourceUrl::parse(text).unwrap();
        assert_eq!(url.conforma_form(None), want);
        assert_eq!(url.pinned_line(&manifest), None);
    }
}
