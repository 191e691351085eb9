//! What the operator sees while an export runs: bars on a terminal, plain lines
//! elsewhere, nothing with `--quiet`.

use std::{
    io::{self, IsTerminal},
    time::Duration,
};

use carnet_bundle::Descriptor;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::terminal::{Printable, human_size, say};

/// How much is shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verbosity {
    Bars,
    Lines,
    Quiet,
}

/// Shows how far an export has come.
pub(crate) struct Progress {
    verbosity: Verbosity,
    bars: MultiProgress,
    step: ProgressBar,
    total: ProgressBar,
}

impl Verbosity {
    pub(crate) fn new(quiet: bool, no_progress: bool) -> Self {
        match (quiet, no_progress) {
            (true, _) => Self::Quiet,
            (false, false) if io::stderr().is_terminal() => Self::Bars,
            (false, _) => Self::Lines,
        }
    }
}

impl Progress {
    pub(crate) fn new(verbosity: Verbosity) -> Self {
        let bars = MultiProgress::new();
        let step = match verbosity {
            Verbosity::Bars => bars.add(ProgressBar::new_spinner()),
            Verbosity::Lines | Verbosity::Quiet => ProgressBar::hidden(),
        };
        Self { verbosity, bars, step, total: ProgressBar::hidden() }
    }

    /// Something that happens once.
    pub(crate) fn line(&self, text: impl std::fmt::Display) {
        match self.verbosity {
            Verbosity::Bars => {
                // The terminal may be gone; the export goes on.
                let _ = self.bars.println(format!("carnet: {}", Printable(text)));
            }
            Verbosity::Lines => say(text),
            Verbosity::Quiet => {}
        }
    }

    /// What is going on now.
    pub(crate) fn step(&self, text: impl std::fmt::Display) {
        if self.verbosity == Verbosity::Bars {
            self.step.enable_steady_tick(Duration::from_millis(120));
            self.step.set_message(Printable(text).to_string());
        }
    }

    /// Starts to show the transfer of layers.
    pub(crate) fn layers(&mut self, count: usize, bytes: u64) {
        self.step(format_args!("fetching {count} layers"));
        if self.verbosity == Verbosity::Bars {
            let template = "{bar:30} {binary_bytes} of {binary_total_bytes} at {binary_bytes_per_sec}, {eta} left";
            let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            self.total = self.bars.add(ProgressBar::new(bytes).with_style(style));
        }
        if count > 0 {
            self.line(format_args!("fetching {count} layers, {}", human_size(bytes)));
        }
    }

    /// A handle for one layer; it may be used from any thread.
    pub(crate) fn layer(&self) -> ProgressBar {
        self.total.clone()
    }

    /// A layer has arrived.
    pub(crate) fn layer_done(&self, layer: &Descriptor, done: usize, count: usize) {
        match self.verbosity {
            Verbosity::Bars => self.step(format_args!("fetching layers: {done} of {count} done")),
            Verbosity::Lines => say(format_args!("layer {done} of {count}: {} ({})", layer.digest, human_size(layer.size))),
            Verbosity::Quiet => {}
        }
    }

    /// Clears the bars.
    pub(crate) fn finish(&self) {
        self.total.finish_and_clear();
        self.step.finish_and_clear();
    }
}
