use google_cloud_auth::credentials::{CacheableResource, impersonated};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = serde_json::from_str(&std::fs::read_to_string("impersonated.json")?)?;
    let credentials = impersonated::Builder::new(file).build()?;
    if let CacheableResource::New { data, .. } = credentials.headers(http::Extensions::new()).await? {
        println!("{}", data.len());
    }
    Ok(())
}
