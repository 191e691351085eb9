use std::{
    collections::HashMap,
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    process::{Command, Stdio},
    thread,
};

use super::*;

const MAIN: &str = "4d9c329f66bd963b6bc0732adff5d816f596ef85";
const V1: &str = "c8f273846e1ad9a0ef3415fda1f56a86db2bef02";

fn testdata(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/policy-sources").join(name)
}

/// The repository of the tests, in a folder of its own.
fn rules() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut archive = tar::Archive::new(fs::File::open(testdata("rules.git.tar")).unwrap());
    archive.unpack(folder.path()).unwrap();
    folder
}

fn git(folder: &Path, arguments: &[&str]) -> String {
    let identity = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main"];
    let output = Command::new("git").args(identity).args(arguments).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn location(repository: &str, path: &str, revision: Option<&str>) -> GitLocation {
    GitLocation { repository: repository.to_owned(), path: path.to_owned(), revision: revision.map(str::to_owned) }
}

fn fetch(location: &GitLocation) -> Result<Fetched, GitError> {
    Git::default().fetch(location)
}

fn names(fetched: &Fetched) -> Vec<&str> {
    fetched.files.iter().map(|file| file.path.as_str()).collect()
}

/// Every way to name a revision, wherever the repository is.
fn every_revision_is_found(repository: &str) {
    for (revision, commit) in [
        (None, MAIN),
        (Some("main"), MAIN),
        (Some("heads/main"), MAIN),
        (Some("refs/heads/main"), MAIN),
        (Some("v1"), V1),
        (Some(V1), V1),
        (Some(MAIN), MAIN),
        (Some("c8f2738"), V1),
    ] {
        let fetched = fetch(&location(repository, "policy", revision)).unwrap();
        assert_eq!(fetched.commit.to_string(), commit, "{revision:?}");
        let read = objects::read(&fetched.objects, fetched.commit, "policy").unwrap();
        assert_eq!(read, fetched.files, "{revision:?}");
    }
    let fetched = fetch(&location(repository, "policy", Some("main"))).unwrap();
    assert_eq!(names(&fetched), ["g.rego", "h.rego"]);
    assert_eq!(fetched.objects, fs::read(testdata("policy-at-main.objects")).unwrap());
    let root = fetch(&location(repository, "", Some("v1"))).unwrap();
    assert!(names(&root).contains(&"configs/prod/policy.yaml"), "{root:?}");
    for revision in ["absent", "0123456", &"0".repeat(40)] {
        let error = fetch(&location(repository, "policy", Some(revision))).unwrap_err();
        assert!(matches!(error, GitError::Revision(_) | GitError::Remote(_)), "{revision}: {error}");
    }
    let error = fetch(&location(repository, "polici", Some("main"))).unwrap_err();
    assert!(matches!(error, GitError::Tree(TreeError::NoSuchDirectory { .. })), "{error}");
}

#[test]
fn a_repository_on_the_disk_is_read_in_place() {
    let folder = rules();
    every_revision_is_found(&format!("file://{}", folder.path().join("rules.git").display()));
    let error = fetch(&location("file:///absent/rules.git", "", None)).unwrap_err();
    assert!(matches!(error, GitError::Repository(_)), "{error}");
}

#[test]
fn a_repository_behind_http_is_fetched() {
    let folder = rules();
    let server = serve(folder.path());
    every_revision_is_found(&format!("{server}/rules.git"));
    let error = fetch(&location(&format!("{server}/absent.git"), "", None)).unwrap_err();
    assert!(matches!(error, GitError::Remote(_)), "{error}");
}

/// A branch and a commit by its id come one commit deep.
#[test]
fn history_is_not_fetched() {
    let folder = rules();
    let url = format!("{}/rules.git", serve(folder.path()));
    for revision in ["main", MAIN] {
        let temporary = tempfile::tempdir().unwrap();
        let (repository, commit) = Remote { url: &url, folder: temporary.path() }.fetch(Some(revision)).unwrap();
        assert_eq!(commit.to_string(), MAIN);
        assert!(!repository.has_object(gix::ObjectId::from_hex(V1.as_bytes()).unwrap()), "{revision}");
    }
}

#[test]
fn two_directories_of_a_branch_are_of_one_commit() {
    let folder = rules();
    let url = format!("{}/rules.git", serve(folder.path()));
    let sources = Git::default();
    let first = sources.fetch(&location(&url, "policy", Some("main"))).unwrap();
    git(&folder.path().join("rules.git"), &["update-ref", "refs/heads/main", V1]);
    assert_eq!(sources.fetch(&location(&url, "data", Some("main"))).unwrap().commit, first.commit);
    assert_eq!(fetch(&location(&url, "data", Some("main"))).unwrap().commit.to_string(), V1);
}

#[test]
fn repositories_of_sha_256_are_fetched_too() {
    let folder = tempfile::tempdir().unwrap();
    git(folder.path(), &["init", "--quiet", "--object-format=sha256", "work"]);
    let work = folder.path().join("work");
    fs::create_dir(work.join("policy")).unwrap();
    fs::write(work.join("policy/g.rego"), "package g\n").unwrap();
    git(&work, &["add", "."]);
    git(&work, &["commit", "--quiet", "-m", "one"]);
    git(&work, &["tag", "-a", "-m", "annotated", "v1"]);
    git(folder.path(), &["clone", "--quiet", "--bare", "work", "rules.git"]);
    let head = git(&work, &["rev-parse", "HEAD"]);
    assert_eq!(head.len(), 64);
    let disk = format!("file://{}", folder.path().join("rules.git").display());
    let http = format!("{}/rules.git", serve(folder.path()));
    for repository in [&disk, &http] {
        for revision in ["main", "v1", &head] {
            let fetched = fetch(&location(repository, "policy", Some(revision))).unwrap();
            assert_eq!(fetched.commit.to_string(), head, "{repository} {revision}");
            assert_eq!(objects::read(&fetched.objects, fetched.commit, "policy").unwrap(), fetched.files);
        }
        let tag = git(&work, &["rev-parse", "v1"]);
        let error = fetch(&location(repository, "policy", Some(&tag))).unwrap_err();
        assert!(matches!(error, GitError::NotACommit { .. }), "{error}");
    }
}

/// What a tree must not hold, and a branch that looks like a commit id.
#[test]
fn what_two_systems_unpack_in_two_ways_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    git(folder.path(), &["init", "--quiet", "work"]);
    let work = folder.path().join("work");
    fs::create_dir_all(work.join("policy/deep")).unwrap();
    fs::write(work.join("policy/deep/g.rego"), "package g\n").unwrap();
    std::os::unix::fs::symlink("policy", work.join("link")).unwrap();
    git(&work, &["add", "."]);
    git(&work, &["commit", "--quiet", "-m", "a link beside the way"]);
    let head = git(&work, &["rev-parse", "HEAD"]);
    let branch = "0123456789abcdef0123456789abcdef01234567";
    git(&work, &["update-ref", &format!("refs/heads/{branch}"), &head]);
    let repository = format!("file://{}", work.display());
    assert_eq!(names(&fetch(&location(&repository, "policy", None)).unwrap()), ["deep/g.rego"]);
    let error = fetch(&location(&repository, "policy", Some(branch))).unwrap_err();
    assert!(matches!(error, GitError::Revision(_)), "{error}");
    let error = fetch(&location(&repository, "", None)).unwrap_err();
    assert!(matches!(&error, GitError::Tree(TreeError::Unsafe { path, .. }) if path == "link"), "{error}");
    let error = fetch(&location(&repository, "link", None)).unwrap_err();
    assert!(matches!(error, GitError::Tree(TreeError::NoSuchDirectory { .. })), "{error}");
    fs::write(work.join("policy/deep/G.rego"), "package g\n").unwrap();
    git(&work, &["add", "."]);
    git(&work, &["commit", "--quiet", "-m", "two names"]);
    let error = fetch(&location(&repository, "policy", None)).unwrap_err();
    assert!(matches!(&error, GitError::Tree(TreeError::Unsafe { path, .. }) if path == "deep/g.rego"), "{error}");
}

/// Serves the repositories below `root` by `git http-backend`, a request a
/// connection, until the test process ends.
fn serve(root: &Path) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let root = root.to_owned();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let root = root.clone();
            thread::spawn(move || answer(&stream, &root));
        }
    });
    address
}

fn answer(stream: &TcpStream, root: &Path) {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let mut words = line.split_whitespace();
    let (Some(method), Some(target)) = (words.next(), words.next()) else { return };
    let (method, target) = (method.to_owned(), target.to_owned());
    let mut headers = HashMap::new();
    loop {
        line.clear();
        reader.read_line(&mut line).unwrap();
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let body = body(&mut reader, &headers);
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let header = |name: &str| headers.get(name).cloned().unwrap_or_default();
    let mut backend = Command::new("git")
        .arg("http-backend")
        .envs([("GIT_PROJECT_ROOT", root.to_str().unwrap()), ("GIT_HTTP_EXPORT_ALL", "1")])
        .envs([("REQUEST_METHOD", method.as_str()), ("PATH_INFO", path), ("QUERY_STRING", query)])
        .envs([("CONTENT_TYPE", header("content-type")), ("CONTENT_LENGTH", body.len().to_string())])
        .envs([("HTTP_GIT_PROTOCOL", header("git-protocol")), ("HTTP_CONTENT_ENCODING", header("content-encoding"))])
        .envs([("GIT_CONFIG_COUNT", "1"), ("GIT_CONFIG_KEY_0", "safe.directory"), ("GIT_CONFIG_VALUE_0", "*")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    backend.stdin.take().unwrap().write_all(&body).unwrap();
    let output = backend.wait_with_output().unwrap().stdout;
    let end = output.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let (head, content) = (String::from_utf8_lossy(&output[..end]), &output[end + 4..]);
    let status = head.lines().find_map(|line| line.strip_prefix("Status: ")).unwrap_or("200 OK");
    let kept: String = head.lines().filter(|line| !line.starts_with("Status: ")).map(|line| format!("{line}\r\n")).collect();
    let mut stream = stream;
    let _ = write!(stream, "HTTP/1.1 {status}\r\n{kept}Connection: close\r\nContent-Length: {}\r\n\r\n", content.len());
    let _ = stream.write_all(content);
}

fn body(reader: &mut BufReader<&TcpStream>, headers: &HashMap<String, String>) -> Vec<u8> {
    let mut body = Vec::new();
    if let Some(length) = headers.get("content-length") {
        body.resize(length.parse().unwrap(), 0);
        reader.read_exact(&mut body).unwrap();
    } else if headers.get("transfer-encoding").is_some_and(|value| value == "chunked") {
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            let size = usize::from_str_radix(line.trim(), 16).unwrap();
            let mut chunk = vec![0; size + 2];
            reader.read_exact(&mut chunk).unwrap();
            body.extend_from_slice(&chunk[..size]);
            if size == 0 {
                break;
            }
        }
    }
    body
}
