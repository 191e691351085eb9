//! A small API server on loopback: it answers what a test tells it to, and remembers
//! what it was asked.

#![allow(dead_code, reason = "every suite uses a part of it")]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread,
};

use serde_json::{Value, json};

/// What the server answers: a status and a body; `None` never answers.
pub(crate) type Answer = Option<(u16, String)>;

/// One question.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// Path and query.
    pub(crate) target: String,
    /// The header `Authorization`.
    pub(crate) authorization: String,
}

pub(crate) struct Api {
    address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Api {
    /// Starts a server. It ends with the process.
    pub(crate) fn start(answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (answer, log) = (Arc::new(answer), asked.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answer, log) = (answer.clone(), log.clone());
                thread::spawn(move || serve(stream, &*answer, &log));
            }
        });
        Self { address, asked }
    }

    /// One that lists these pods to everybody, 2 on a page.
    pub(crate) fn with_pods(pods: Vec<Value>) -> Self {
        Self::start(move |asked| Some(page(&pods, &asked.target)))
    }

    /// Everything that it was asked for pods.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().iter().filter(|asked| asked.target.contains("/pods")).cloned().collect()
    }

    /// A kubeconfig for it: context `here` with the namespace `shop` and a token.
    pub(crate) fn kubeconfig(&self, dir: &Path) -> PathBuf {
        kubeconfig(dir, &format!("http://{}", self.address))
    }
}

pub(crate) fn kubeconfig(dir: &Path, server: &str) -> PathBuf {
    let path = dir.join("kubeconfig");
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: here\nclusters:\n- name: c\n  cluster: {{server: '{server}'}}\n\
         contexts:\n- name: here\n  context: {{cluster: c, user: u, namespace: shop}}\n- name: there\n  context: {{cluster: c, user: u, namespace: other}}\n\
         users:\n- name: u\n  user: {{token: secret-token}}\n"
    );
    fs::write(&path, text).unwrap();
    path
}

/// A list as the API answers it: items without kind, two on a page, with a token for
/// the next.
pub(crate) fn page(pods: &[Value], target: &str) -> (u16, String) {
    let query = target.split_once('?').map_or("", |(_, query)| query);
    let value = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}="))).map(str::to_owned);
    let namespace = target.strip_prefix("/api/v1/namespaces/").and_then(|rest| rest.split('/').next());
    let of_namespace = |pod: &&Value| namespace.is_none_or(|namespace| pod["metadata"]["namespace"] == namespace);
    let all: Vec<_> = pods.iter().filter(of_namespace).collect();
    let from: usize = value("continue").map_or(0, |token| token.strip_prefix("from-").unwrap().parse().unwrap());
    let size = if value("limit").is_some() { 2 } else { usize::MAX };
    let items: Vec<_> = all.iter().skip(from).take(size).collect();
    let next = if from.saturating_add(size) < all.len() { format!("from-{}", from + size) } else { String::new() };
    let list = json!({ "kind": "PodList", "apiVersion": "v1", "metadata": { "resourceVersion": "7", "continue": next }, "items": items });
    (200, list.to_string())
}

/// An error as the API says it.
pub(crate) fn status(code: u16, reason: &str, message: &str) -> Answer {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "reason": reason, "code": code,
    });
    Some((code, body.to_string()))
}

/// Answers the one question of a connection.
pub(crate) fn serve(stream: impl Read + Write, answer: &(dyn Fn(&Asked) -> Answer + Send + Sync), log: &Mutex<Vec<Asked>>) {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    if reader.read_line(&mut line).unwrap_or(0) == 0 {
        return;
    }
    let mut asked = Asked { target: line.split(' ').nth(1).unwrap_or_default().to_owned(), authorization: String::new() };
    loop {
        line.clear();
        if reader.read_line(&mut line).unwrap_or(0) == 0 || line == "\r\n" {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("authorization")
        {
            asked.authorization = value.trim().to_owned();
        }
    }
    log.lock().unwrap().push(asked.clone());
    match answer(&asked) {
        Some((code, body)) => {
            let head = format!(
                "HTTP/1.1 {code} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            // Whoever has gone wants no answer.
            let stream = reader.get_mut();
            let _ =
                stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).and_then(|()| stream.flush());
        }
        // Until the other side gives up.
        None => drop(reader.read(&mut [0])),
    }
}
