//! The handshake of docker's plugins.

use std::process::ExitCode;

use serde_json::json;

use crate::usage;

/// Answers `docker-carnet docker-cli-plugin-metadata`: who is here
/// (<https://github.com/docker/cli/blob/master/cli-plugins/metadata/metadata.go>).
pub(crate) fn metadata() -> ExitCode {
    let metadata = json!({
        "SchemaVersion": "0.1.0",
        "Vendor": "carnet",
        "Version": env!("CARGO_PKG_VERSION"),
        "ShortDescription": "Evidence of container images, for places without a network",
        "URL": env!("CARGO_PKG_REPOSITORY"),
    });
    usage::print(&format!("{metadata}\n"))
}
