use google_cloud_auth::credentials::user_account;
use google_cloud_iam_credentials_v1::client::IAMCredentials;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = serde_json::from_str(&std::fs::read_to_string("source.json")?)?;
    let source = user_account::Builder::new(file).build()?;
    let client = IAMCredentials::builder().with_credentials(source).build().await?;
    let reply = client
        .generate_access_token()
        .set_name("projects/-/serviceAccounts/target@project.iam.gserviceaccount.com")
        .set_scope(["https://www.googleapis.com/auth/cloud-platform"])
        .send()
        .await?;
    let value = http::HeaderValue::try_from(format!("Bearer {}", reply.access_token))?;
    println!("{}", value.len());
    Ok(())
}
