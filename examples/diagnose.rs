//! Finds out why a chain of delegates fails, and prints the commands that fix it. Needs credentials: a login,
//! or a file that GOOGLE_APPLICATION_CREDENTIALS names.
//!
//! `cargo run --example diagnose -- TARGET [DELEGATE]...`

use std::error::Error;

use gcp_iam_credentials::diagnosis::Operation;
use gcp_iam_credentials::{Credentials, IamCredentialsClient};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut accounts = std::env::args().skip(1);
    let target = accounts.next().ok_or("which account?")?;
    // With an emulator, a client would otherwise be an invented principal.
    let client = IamCredentialsClient::builder().credentials(Credentials::application_default()?).build()?;
    let acting = client.impersonate(target).delegates(accounts);
    println!("{}", acting.diagnose(Operation::AccessToken).await?);
    Ok(())
}
