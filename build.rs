//! Compiles the protos with protox, so that building needs no `protoc`.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use prost::Message;

const PROTO_ROOT: &str = "proto";
const SERVICE_FILE: &str = "google/iam/credentials/v1/iamcredentials.proto";
const PACKAGE: &str = ".google.iam.credentials.v1";
const ENVOY_FILE: &str = "envoy/service/auth/v3/external_auth.proto";

/// The messages that contain a secret: `src/proto.rs` implements their `Debug`.
const SECRET_MESSAGES: [&str; 6] = [
    ".google.iam.credentials.v1.GenerateAccessTokenResponse",
    ".google.iam.credentials.v1.GenerateIdTokenResponse",
    ".google.iam.credentials.v1.SignBlobRequest",
    ".google.iam.credentials.v1.SignBlobResponse",
    ".google.iam.credentials.v1.SignJwtRequest",
    ".google.iam.credentials.v1.SignJwtResponse",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={PROTO_ROOT}");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-env=RUSTC_RELEASE={}", rustc_release());

    let out = PathBuf::from(env::var("OUT_DIR")?);
    let descriptors = protox::compile([SERVICE_FILE], [PROTO_ROOT])?;
    fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;

    tonic_prost_build::configure()
        .build_server(false)
        .skip_debug(SECRET_MESSAGES)
        .compile_fds(descriptors.clone())?;

    if env::var_os("CARGO_FEATURE_EMULATOR").is_some() {
        let server = out.join("server");
        fs::create_dir_all(&server)?;
        tonic_prost_build::configure()
            .build_client(false)
            .extern_path(PACKAGE, "crate::proto")
            .out_dir(server)
            .compile_fds(descriptors)?;
    }
    if env::var_os("CARGO_FEATURE_BROKER").is_some() {
        compile_envoy(&out.join("envoy"))?;
    }
    Ok(())
}

/// Makes the messages without `Debug`, because the headers in them contain secrets. The client is for tests.
fn compile_envoy(out: &Path) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(out)?;
    tonic_prost_build::configure()
        .skip_debug(["."])
        .out_dir(out)
        .compile_fds(protox::compile([ENVOY_FILE], [PROTO_ROOT])?)?;
    Ok(())
}

/// Returns the compiler's version, for the header `x-goog-api-client`.
fn rustc_release() -> String {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    Command::new(Path::new(&rustc))
        .arg("--version")
        .output()
        .ok()
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .and_then(|text| text.split_whitespace().nth(1).map(str::to_owned))
        .unwrap_or_else(|| "unknown".to_owned())
}
