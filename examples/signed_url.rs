//! Makes a V4 signed URL for an object in Cloud Storage, without a private key on this machine.
//!
//! ```text
//! cargo run --example signed_url
//! ```
//!
//! The example runs offline: the emulator signs, and its published key verifies the signature. To
//! sign with Google, build the client with `IamCredentialsClient::new()`.

use std::error::Error;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gcp_iam_credentials::emulator::Emulator;
use gcp_iam_credentials::{Credentials, IamCredentialsClient, Signer, Token};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};

const HOST: &str = "storage.googleapis.com";
const ACCOUNT: &str = "signer@project.iam.gserviceaccount.com";

/// All characters except those that RFC 3986 leaves unreserved.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const PATH: &AsciiSet = &QUERY.remove(b'/');

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let emulator = Emulator::builder().start().await?;
    let client = IamCredentialsClient::builder()
        .credentials(Credentials::fixed(Token::new("anything", None)?))
        .endpoint(emulator.endpoint())
        .build()?;
    let signer = client.impersonate(ACCOUNT).signer()?;

    let object = "/bucket/reports/2026 summary.pdf";
    let url = signed_url(&signer, object, SystemTime::now(), Duration::from_secs(900)).await?;
    println!("{}", url.text);

    if !emulator.verify_blob(ACCOUNT, url.signed.as_bytes(), &url.signature) {
        return Err("the signature is invalid".into());
    }
    println!("verified with the published key of {ACCOUNT}");
    Ok(())
}

struct SignedUrl {
    text: String,
    /// The text that was signed.
    signed: String,
    signature: Vec<u8>,
}

/// Returns a URL with which anyone can read `object` (`/bucket/name`) for `lifetime` from `now`.
async fn signed_url(
    signer: &Signer,
    object: &str,
    now: SystemTime,
    lifetime: Duration,
) -> Result<SignedUrl, Box<dyn Error>> {
    let time = timestamp(now)?;
    let scope = format!("{}/auto/storage/goog4_request", &time[..8]);
    let encode = |text: &str| utf8_percent_encode(text, QUERY).to_string();
    let query = format!(
        "X-Goog-Algorithm=GOOG4-RSA-SHA256&X-Goog-Credential={}&X-Goog-Date={time}&X-Goog-Expires={}&\
         X-Goog-SignedHeaders=host",
        encode(&format!("{}/{scope}", signer.email())),
        lifetime.as_secs(),
    );
    let path = utf8_percent_encode(object, PATH);
    let request = format!("GET\n{path}\n{query}\nhost:{HOST}\n\nhost\nUNSIGNED-PAYLOAD");
    let signed = format!("GOOG4-RSA-SHA256\n{time}\n{scope}\n{}", hex(&Sha256::digest(&request)));
    let signature = signer.sign_blob(signed.as_str()).await?.into_signature();
    let text = format!("https://{HOST}{path}?{query}&X-Goog-Signature={}", hex(&signature));
    Ok(SignedUrl { text, signed, signature })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Formats an instant as `20261231T235959Z`.
fn timestamp(at: SystemTime) -> Result<String, Box<dyn Error>> {
    let seconds = i64::try_from(at.duration_since(UNIX_EPOCH)?.as_secs())?;
    let time = prost_types::Timestamp { seconds, nanos: 0 }.to_string();
    Ok(time.chars().filter(|character| !"-:".contains(*character)).collect())
}
