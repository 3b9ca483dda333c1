use gcp_auth::{CustomServiceAccount, TokenProvider};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let provider = CustomServiceAccount::from_file("key.json")?;
    let token = provider.token(&["https://www.googleapis.com/auth/cloud-platform"]).await?;
    let value = http::HeaderValue::try_from(format!("Bearer {}", token.as_str()))?;
    println!("{}", value.len());
    Ok(())
}
