use gcp_iam_credentials::scopes::CLOUD_PLATFORM;
use gcp_iam_credentials::{Credentials, IamCredentialsClient};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let source = Credentials::from_file("source.json")?;
    let client = IamCredentialsClient::builder().credentials(source).build()?;
    let acting = client.impersonate("target@project.iam.gserviceaccount.com").access_token([CLOUD_PLATFORM])?;
    let mut headers = http::HeaderMap::new();
    acting.apply(&mut headers).await?;
    println!("{}", headers.len());
    Ok(())
}
