//! TLS with the emulator's own certificate authority.

use gcp_iam_credentials::emulator::{Emulator, Fault};
use gcp_iam_credentials::proto::iam_credentials_client::IamCredentialsClient;
use tonic::Status;
use tonic::transport::{Certificate, Channel, ClientTlsConfig};

use crate::support::emulator::{EMAIL, get_token};

async fn start() -> Emulator {
    Emulator::builder().tls().start().await.unwrap()
}

/// Returns the settings of a client that trusts only the authority of an emulator.
fn trusting(emulator: &Emulator) -> ClientTlsConfig {
    ClientTlsConfig::new().ca_certificate(Certificate::from_pem(emulator.ca_pem().unwrap()))
}

async fn token_over(emulator: &Emulator, tls: ClientTlsConfig) -> Result<String, Status> {
    let channel = Channel::from_shared(emulator.endpoint().to_owned()).unwrap().tls_config(tls).unwrap();
    get_token(&mut IamCredentialsClient::new(channel.connect_lazy())).await
}

#[tokio::test]
async fn tls_uses_a_certificate_of_the_emulators_own_authority() {
    let (emulator, other) = (start().await, start().await);
    token_over(&emulator, trusting(&emulator)).await.unwrap();
    let google = trusting(&emulator).domain_name("iamcredentials.googleapis.com");
    token_over(&emulator, google).await.expect("the certificate names Google's hosts too");
    token_over(&emulator, trusting(&other)).await.expect_err("another authority issued the certificate");
}

#[tokio::test]
async fn faults_apply_over_tls() {
    let emulator = start().await;
    emulator.faults().inject(Fault::reset().times(1));
    token_over(&emulator, trusting(&emulator)).await.expect_err("the connection is reset");
    token_over(&emulator, trusting(&emulator)).await.unwrap();
}

#[tokio::test]
async fn credential_files_name_the_https_endpoint() {
    let emulator = start().await;
    let file = emulator.service_account_key_json(EMAIL);
    assert!(emulator.endpoint().starts_with("https://127.0.0.1:"), "{}", emulator.endpoint());
    assert!(file.contains(emulator.endpoint()), "{file}");
}
