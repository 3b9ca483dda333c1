//! Shows which credentials the environment provides, and gets an access token with them. The token itself isn't
//! shown. `GOOGLE_APPLICATION_CREDENTIALS` may name a credential file of any type.
//!
//! `cargo run --example application_default`

use std::time::SystemTime;

use gcp_iam_credentials::{Credentials, Error};

#[tokio::main]
async fn main() {
    if let Err(error) = show().await {
        eprintln!("{error:#}");
        std::process::exit(1);
    }
}

async fn show() -> Result<(), Error> {
    let credentials = Credentials::application_default()?;
    println!("{}", credentials.explain());
    let token = credentials.token().await?;
    let left = token.expires_at().and_then(|end| end.duration_since(SystemTime::now()).ok());
    println!("token: {} bytes, valid for {:.0?}", token.secret().len(), left.unwrap_or_default());
    Ok(())
}
