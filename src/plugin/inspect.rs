//! `carnet inspect` and `carnet tree`: what an archive holds, without judging it.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use carnet_bundle::{Attachment, Limits, Opened, open};
use carnet_verify::{
    disk::open_container,
    inspect::{Attached, Overview, tree as render_tree},
};
use clap::{Args, ValueEnum};

use crate::usage;

/// Arguments of `carnet inspect`.
#[derive(Args, Debug)]
pub struct InspectArgs {
    /// Archive (.carnet.tar, .carnet.tar.gz), unpacked directory, detached attachment, or - for
    /// standard input
    #[arg(value_name = "ARCHIVE")]
    archive: PathBuf,

    /// How to write it
    #[arg(short, long, value_enum, default_value_t = Form::Text)]
    output: Form,
}

/// Arguments of `carnet tree`.
#[derive(Args, Debug)]
pub struct TreeArgs {
    /// Archive (.carnet.tar, .carnet.tar.gz), unpacked directory, or - for standard input
    #[arg(value_name = "ARCHIVE")]
    archive: PathBuf,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Form {
    /// For programs
    Json,
    /// For people
    Text,
    /// For programs
    Yaml,
}

/// Runs `carnet inspect`. Status 0 when the archive could be read, whatever is
/// wrong with it, else 2.
pub fn inspect(args: &InspectArgs) -> ExitCode {
    if let Some(attached) = detached(&args.archive) {
        return crate::usage::print(&match args.output {
            Form::Json => attached.to_json(),
            Form::Text => attached.to_text(),
            Form::Yaml => attached.to_yaml(),
        });
    }
    show(&args.archive, |opened| {
        let overview = Overview::new(opened);
        match args.output {
            Form::Json => overview.to_json(),
            Form::Text => overview.to_text(),
            Form::Yaml => overview.to_yaml(),
        }
    })
}

/// Runs `carnet tree`. Status as for [`inspect`].
pub fn tree(args: &TreeArgs) -> ExitCode {
    show(&args.archive, render_tree)
}

/// A file that holds an attachment and no bundle. Standard input can be read only
/// once, so it is taken for a bundle.
fn detached(path: &Path) -> Option<Attached> {
    if path == Path::new("-") {
        return None;
    }
    let mut container = open_container(path, &Limits::default()).ok()?;
    let attachment = Attachment::from_detached(container.as_mut(), None).ok()?;
    Some(Attached::new(&attachment))
}

fn show(archive: &Path, render: impl Fn(&Opened) -> String) -> ExitCode {
    let limits = Limits::default();
    let opened = open_container(archive, &limits).map_err(Into::into).and_then(|mut container| open(container.as_mut(), &limits));
    match opened {
        Ok(opened) => {
            // Whoever closed the pipe wants no more of it.
            let _ = io::stdout().write_all(render(&opened).as_bytes());
            ExitCode::SUCCESS
        }
        Err(error) => {
            let (name, reason) = (archive.display().to_string(), error.to_string());
            // What cannot be read names its path itself.
            let message = if reason.contains(&name) { reason } else { format!("{name}: {reason}") };
            usage::fail(&message, "give an archive that `carnet export` wrote, or the directory it was unpacked to")
        }
    }
}
