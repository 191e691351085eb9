//! What `--help` shows below the flags: command lines that somebody types first.
//!
//! They are written for `carnet` and shown under the name that the user typed, each
//! with its purpose above it, as kubectl has them. A suite holds every line against
//! the command line itself.

use std::mem;

use clap::{Command, builder::StyledStr};

use crate::persona::Persona;

/// A command, by its words, and its examples: the purpose, the line.
type Of = (&'static [&'static str], &'static [(&'static str, &'static str)]);

const EXAMPLES: &[Of] = &[
    (
        &[],
        &[
            (
                "Where the registry is: everything into one archive",
                "carnet export --images images.yaml --policy policy.yaml -o app.carnet.tar",
            ),
            ("Where no network is: the verdict", "carnet verify app.carnet.tar --images images.yaml --policy policy.yaml"),
            (
                "Behind the gap: what passed goes into a registry",
                "carnet import app.carnet.tar --to registry.local/team/app --tag 1.0 \\\n--images images.yaml --policy policy.yaml",
            ),
            ("See all of it on this machine", "carnet demo"),
        ],
    ),
    (
        &["export"],
        &[
            ("One image, with everything that is said about it", "carnet export registry.example/team/app:1.0 -o app.carnet.tar"),
            (
                "A list of images, judged once by the policy; the id binds it all",
                "carnet export --images images.yaml --policy policy.yaml --id-file bundle.id \\\n-o app.carnet.tar",
            ),
            ("From what `cosign save` wrote", "carnet export --from oci:saved registry.example/team/app:1.0 -o app.carnet.tar"),
        ],
    ),
    (
        &["verify"],
        &[
            (
                "What you expect, by whom you trust: both files are yours",
                "carnet verify app.carnet.tar --images images.yaml --policy policy.yaml \\\n--trusted-root trusted_root.json",
            ),
            (
                "One image and one signer, without files",
                "carnet verify app.carnet.tar --image registry.example/team/app:1.0 \\\n\
                 --certificate-identity https://gitlab.com/team/app//.gitlab-ci.yml@refs/heads/main \\\n\
                 --certificate-oidc-issuer https://gitlab.com",
            ),
            (
                "Signed with a key that no log has seen",
                "carnet verify app.carnet.tar --image registry.example/team/app:1.0 \\\n--public-key cosign.pub --ignore-rekor",
            ),
            (
                "A report for people, one for programs, one to keep",
                "carnet verify app.carnet.tar --images images.yaml --policy policy.yaml \\\n\
                 --output text --output json=report.json",
            ),
        ],
    ),
    (
        &["import"],
        &[
            (
                "Say what would be written, and write nothing",
                "carnet import app.carnet.tar --to registry.local/team/app --tag 1.0 \\\n\
                 --images images.yaml --policy policy.yaml --dry-run",
            ),
            (
                "Move a tag to what passed",
                "carnet import app.carnet.tar --to registry.local/team/app --tag latest --force \\\n\
                 --images images.yaml --policy policy.yaml --receipt receipt.json",
            ),
            (
                "Many images, each to its place",
                "carnet import all.carnet.tar --map registry.example=registry.local/mirror \\\n\
                 --images images.yaml --policy policy.yaml",
            ),
        ],
    ),
    (
        &["serve"],
        &[(
            "Pulls from an archive, with nothing unpacked",
            "carnet serve app.carnet.tar --images images.yaml --policy policy.yaml",
        )],
    ),
    (
        &["attach"],
        &[
            (
                "A signature over the bundle, made by `cosign sign-blob --bundle`, into the archive",
                "carnet attach app.carnet.tar bundle.sigstore.json",
            ),
            (
                "The same beside the archive, for media that are written once",
                "carnet attach app.carnet.tar bundle.sigstore.json --detached app.attachment.tar",
            ),
        ],
    ),
    (
        &["images"],
        &[
            ("What runs in every namespace, for an export", "carnet images -A >images.yaml"),
            ("In another cluster, one namespace", "carnet images --context prod -n shop >images.yaml"),
            ("What a cluster behind the gap runs, by what kubectl printed there", "carnet images -f pods.json >images.yaml"),
        ],
    ),
    (
        &["status"],
        &[
            (
                "What runs against the bundles of a directory, each judged now",
                "carnet status -A --bundles shelf --policy policy.yaml --trusted-root trusted_root.json",
            ),
            (
                "For a pipeline: status 0 when everything in this namespace is covered",
                "carnet status -n shop --bundles shelf --policy policy.yaml -o name",
            ),
            (
                "By signed summaries of the last week, where bundles are not at hand",
                "carnet status -A --vsa app.vsa.json --vsa-key vsa.pub --max-age 7d",
            ),
        ],
    ),
    (
        &["inspect"],
        &[
            ("What an archive holds, without judging it", "carnet inspect app.carnet.tar"),
            ("For programs", "carnet inspect app.carnet.tar -o json"),
        ],
    ),
    (&["tree"], &[("Images, their platforms, and evidence about each", "carnet tree app.carnet.tar")]),
    (
        &["why"],
        &[
            ("What a code of a report means, and what to do", "carnet why identity-mismatch"),
            ("Where an archive has it", "carnet why app.carnet.tar blob-digest-mismatch"),
            ("What an archive holds about a digest; its first digits are enough", "carnet why app.carnet.tar 3b9c61"),
        ],
    ),
    (&["trust"], &[("What is trusted when nothing is said", "carnet trust show")]),
    (
        &["trust", "create"],
        &[(
            "A private instance, from its certificates and keys",
            "carnet trust create --fulcio url=https://fulcio.local,certificate-chain=fulcio.pem \\\n\
             --rekor url=https://rekor.local,public-key=rekor.pub -o trusted_root.json",
        )],
    ),
    (&["trust", "fetch"], &[("The root of the public Sigstore instance, as of now", "carnet trust fetch -o trusted_root.json")]),
    (
        &["trust", "show"],
        &[
            ("The public root that is built in: how old, what ends when", "carnet trust show"),
            ("A file of yours", "carnet trust show trusted_root.json"),
        ],
    ),
    (
        &["policy"],
        &[("Write down which rules a moving branch means today", "carnet policy pin policy.yaml --lock policy-lock.json")],
    ),
    (
        &["policy", "pin"],
        &[
            (
                "A policy that `ec` reads, too, with commits and digests in it",
                "carnet policy pin policy.yaml -o policy.pinned.yaml",
            ),
            (
                "A lock beside a policy that stays as it is",
                "carnet policy pin policy.yaml --lock policy-lock.json -o policy.pinned.yaml",
            ),
        ],
    ),
    (
        &["policy", "inspect"],
        &[
            ("The rules of a policy", "carnet policy inspect --policy policy.yaml"),
            ("The codes of a directory of rules", "carnet policy inspect --source ./rules -o names"),
        ],
    ),
    (&["policy", "test"], &[("The tests of a directory of rules", "carnet policy test ./rules")]),
    (&["demo"], &[("The files of the tour stay in carnet-demo", "carnet demo")]),
    (
        &["plugin"],
        &[
            ("`kubectl carnet`, with completion", "carnet plugin install --for kubectl"),
            ("What each program would find", "carnet plugin check"),
        ],
    ),
    (
        &["plugin", "install"],
        &[
            ("`kubectl carnet` and `docker carnet`, as links to this program", "carnet plugin install --for kubectl,docker"),
            ("Into a directory of yours that is on PATH", "carnet plugin install --for kubectl --dir ~/.local/bin"),
        ],
    ),
    (&["plugin", "check"], &[("Status 1 unless kubectl finds everything", "carnet plugin check --for kubectl")]),
    (
        &["completion"],
        &[
            ("bash", "carnet completion bash >~/.local/share/bash-completion/completions/carnet"),
            ("The program carnet-verify, for zsh", "carnet completion zsh --verifier >\"${fpath[1]}/_carnet-verify\""),
        ],
    ),
    (&["man"], &[("Where man(1) looks", "carnet man ~/.local/share/man/man1")]),
];

/// Puts its examples below the help of each command, under the name that was typed.
pub(crate) fn shown(mut command: Command, persona: Persona) -> Command {
    for (path, examples) in EXAMPLES {
        let named = path.iter().try_fold(&mut command, |command, name| command.find_subcommand_mut(name));
        // In its place: `mut_subcommand` would move it behind the others.
        if let Some(named) = named {
            *named = below(mem::take(named), &text(examples, persona));
        }
    }
    command
}

/// The first example of a command, on one line.
pub(crate) fn first(path: &[&str], persona: Persona) -> Option<String> {
    let (_, examples) = EXAMPLES.iter().find(|(of, _)| *of == path)?;
    let (_, line) = examples.first()?;
    Some(typed(line, persona).replace(" \\\n", " "))
}

fn below(command: Command, text: &str) -> Command {
    let own = command.get_after_help().map(StyledStr::to_string);
    let parts: Vec<_> = [text.to_owned()].into_iter().chain(own).collect();
    command.after_help(parts.join("\n\n"))
}

fn text(examples: &[(&str, &str)], persona: Persona) -> String {
    let one = |(purpose, line): &(&str, &str)| format!("  # {purpose}\n  {}", typed(line, persona).replace('\n', "\n    "));
    format!("Examples:\n{}", examples.iter().map(one).collect::<Vec<_>>().join("\n\n"))
}

fn typed(line: &str, persona: Persona) -> String {
    line.replacen("carnet", persona.called(), 1)
}
