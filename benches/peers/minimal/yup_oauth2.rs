use yup_oauth2::ServiceAccountImpersonationAuthenticator;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let secret = yup_oauth2::read_authorized_user_secret("source.json").await?;
    let target = "target@project.iam.gserviceaccount.com";
    let authenticator = ServiceAccountImpersonationAuthenticator::builder(secret, target).build().await?;
    let token = authenticator.token(&["https://www.googleapis.com/auth/cloud-platform"]).await?;
    let value = http::HeaderValue::try_from(format!("Bearer {}", token.token().unwrap_or_default()))?;
    println!("{}", value.len());
    Ok(())
}
