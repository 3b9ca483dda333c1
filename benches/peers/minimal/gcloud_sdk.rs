use gcloud_sdk::GoogleApi;
use gcloud_sdk::google::iam::credentials::v1::GenerateAccessTokenRequest;
use gcloud_sdk::google::iam::credentials::v1::iam_credentials_client::IamCredentialsClient;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let api = GoogleApi::from_function(IamCredentialsClient::new, "https://iamcredentials.googleapis.com", None);
    let request = GenerateAccessTokenRequest {
        name: "projects/-/serviceAccounts/target@project.iam.gserviceaccount.com".to_owned(),
        scope: vec!["https://www.googleapis.com/auth/cloud-platform".to_owned()],
        ..GenerateAccessTokenRequest::default()
    };
    let reply = api.await?.get().generate_access_token(request).await?;
    let value = http::HeaderValue::try_from(format!("Bearer {}", reply.into_inner().access_token))?;
    println!("{}", value.len());
    Ok(())
}
