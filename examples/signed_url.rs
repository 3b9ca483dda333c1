//! Makes a signed URL for an object in Cloud Storage, without a private key on this machine.
//!
//! ```text
//! cargo run --example signed_url
//! ```
//!
//! The example runs offline: the emulator signs, and its published key verifies the signature. To
//! sign with Google, build the client with `IamCredentialsClient::new()`.

use std::error::Error;

use gcp_iam_credentials::emulator::Emulator;
use gcp_iam_credentials::signed_url::SignedUrlRequest;
use gcp_iam_credentials::{Credentials, IamCredentialsClient, Token};

const ACCOUNT: &str = "signer@project.iam.gserviceaccount.com";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let emulator = Emulator::builder().start().await?;
    let client = IamCredentialsClient::builder()
        .credentials(Credentials::fixed(Token::new("anything", None)?))
        .endpoint(emulator.endpoint())
        .build()?;

    let signer = client.impersonate(ACCOUNT).signer()?;
    let request = SignedUrlRequest::get("bucket", "reports/2026 summary.pdf");
    let url = signer.signed_url(request).await?;
    println!("{}", url.as_str());

    let signed = url.string_to_sign().as_bytes();
    assert!(emulator.verify_blob(ACCOUNT, signed, url.signature().signature()));
    println!("verified with the published key of {ACCOUNT}");
    Ok(())
}
